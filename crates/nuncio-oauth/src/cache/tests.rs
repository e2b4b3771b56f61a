use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nuncio_core::secret::ClientSecret;
use nuncio_runtime::clock::TestClock;
use tokio::time::{advance, sleep};

use super::*;

const LATENCY: Duration = Duration::from_secs(2);
const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);
const START: &str = "2026-01-01T12:00:00Z";

/// How long the token lives, or why there is none.
type Answer = Result<Duration, Box<TokenError>>;

/// Gives `token-1`, `token-2` and so on, each for an hour, unless its script says otherwise.
#[derive(Default)]
struct Scripted {
    calls: AtomicUsize,
    script: Mutex<VecDeque<Answer>>,
}

#[async_trait]
impl TokenEndpoint for Scripted {
    async fn request(&self, _wanted: &WantedToken) -> Result<Granted, TokenError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        sleep(LATENCY).await;
        let life = lock(&self.script).pop_front().unwrap_or(Ok(HOUR)).map_err(|error| *error)?;
        let access_token = AccessToken::from(format!("token-{call}"));
        Ok(Granted { access_token, life, passed_over: None })
    }
}

struct Jitter(f64);

impl Entropy for Jitter {
    fn id_bytes(&self) -> [u8; 10] {
        [7; 10]
    }

    fn jitter(&self) -> f64 {
        self.0
    }
}

struct World {
    endpoint: Arc<Scripted>,
    cache: TokenCache,
    client: OauthClient,
    authorities: String,
}

impl World {
    fn new() -> Self {
        Self::with_jitter(0.0)
    }

    fn with_jitter(jitter: f64) -> Self {
        let endpoint = Arc::new(Scripted::default());
        let clock = Arc::new(TestClock::starting_at(START.parse().unwrap()));
        let over: Arc<dyn TokenEndpoint> = Arc::<Scripted>::clone(&endpoint);
        let cache = TokenCache::over(over, clock, Arc::new(Jitter(jitter)));
        Self { endpoint, cache, client: client("secret"), authorities: String::new() }
    }

    fn then(&self, answer: Answer) -> &Self {
        lock(&self.endpoint.script).push_back(answer);
        self
    }

    fn request(&self) -> TokenRequest<'_> {
        let (client, ca_certificates_pem) = (&self.client, self.authorities.as_str());
        TokenRequest { client, ca_certificates_pem, proxy: None, timeout: MINUTE }
    }

    async fn token(&self) -> Result<String, TokenError> {
        let token = self.cache.token(self.request()).await?;
        Ok(token.access_token.expose().to_owned())
    }

    async fn refuse(&self, token: &str) {
        self.cache.invalidate(self.request(), &AccessToken::from(token.to_owned())).await;
    }

    /// The next caller gets this token, and so many requests have been made since the beginning.
    async fn check(&self, token: &str, calls: usize) {
        assert_eq!(self.token().await.unwrap(), token);
        assert_eq!(self.calls(), calls, "requests");
    }

    /// The next caller gets this error, and so many requests have been made since the beginning.
    async fn check_error(&self, code: &str, calls: usize) -> TokenErrorKind {
        let error = self.token().await.unwrap_err();
        assert_eq!((error.reason.code.as_str(), self.calls()), (code, calls));
        error.kind
    }

    fn calls(&self) -> usize {
        self.endpoint.calls.load(Ordering::SeqCst)
    }
}

fn client(secret: &str) -> OauthClient {
    OauthClient {
        client_id: "the-client".to_owned(),
        tenant_id: None,
        credential: ClientCredential::SecretPost(ClientSecret::from(secret.to_owned())),
        client_secret_expire_date: None,
        next_secret: None,
        token_endpoint: "https://login.example.test/token".to_owned(),
        scope: "mail.send".to_owned(),
    }
}

fn fault(retry_after: Option<Duration>) -> Answer {
    failure("DOWN", TokenErrorKind::Temporary { retry_after })
}

fn refusal() -> Answer {
    failure("WRONG", TokenErrorKind::Fatal)
}

fn failure(code: &str, kind: TokenErrorKind) -> Answer {
    let reason = Reason::new(code, "scripted");
    Err(Box::new(TokenError { kind, reason, presented_chain: Vec::new() }))
}

fn temporary(retry_after: Duration) -> TokenErrorKind {
    TokenErrorKind::Temporary { retry_after: Some(retry_after) }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_make_one_request() {
    let world = Arc::new(World::new());
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let world = Arc::clone(&world);
        callers.spawn(async move { world.token().await });
    }

    for token in callers.join_all().await {
        assert_eq!(token.unwrap(), "token-1");
    }
    assert_eq!(world.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_failing_request_share_its_error() {
    let world = Arc::new(World::new());
    world.then(refusal());
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let world = Arc::clone(&world);
        callers.spawn(async move { world.token().await });
    }

    for token in callers.join_all().await {
        assert_eq!(token.unwrap_err().reason.code, "WRONG");
    }
    assert_eq!(world.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_on_when_its_caller_gives_up() {
    let world = World::new();
    tokio::time::timeout(LATENCY / 2, world.token()).await.unwrap_err();

    sleep(LATENCY).await;

    world.check("token-1", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_serves_until_three_quarters_of_its_life() {
    let world = World::new();
    world.check("token-1", 1).await;

    advance(Duration::from_mins(44)).await;

    world.check("token-1", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_in_the_background_while_the_old_one_serves() {
    let world = World::new();
    world.check("token-1", 1).await;
    advance(HOUR.mul_f64(0.75)).await;

    let before = Instant::now();
    world.token().await.unwrap();
    world.token().await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO, "nobody waits");

    sleep(LATENCY * 2).await;
    world.check("token-2", 2).await;
}

#[tokio::test(start_paused = true)]
async fn jitter_moves_the_refresh_to_four_fifths() {
    let world = World::with_jitter(1.0);
    world.check("token-1", 1).await;

    advance(HOUR.mul_f64(0.79)).await;
    world.check("token-1", 1).await;
    sleep(LATENCY * 2).await;
    assert_eq!(world.calls(), 1);

    advance(HOUR.mul_f64(0.01)).await;
    world.check("token-1", 1).await;
    sleep(LATENCY * 2).await;
    world.check("token-2", 2).await;
}

#[tokio::test(start_paused = true)]
async fn the_old_token_serves_while_its_refresh_fails() {
    let world = World::new();
    world.check("token-1", 1).await;
    for _ in 0..1000 {
        world.then(fault(None));
    }

    let end = Instant::now() + Duration::from_secs(3600 - 2 - 11); // Latency and margin.
    while Instant::now() < end {
        assert_eq!(world.token().await.unwrap(), "token-1");
        advance(Duration::from_secs(5)).await;
    }

    advance(Duration::from_mins(1)).await;
    assert_eq!(world.token().await.unwrap_err().reason.code, "DOWN");
    let refreshes = world.calls() - 1;
    assert!((10..=60).contains(&refreshes), "{refreshes} requests in 15 minutes");
}

#[tokio::test(start_paused = true)]
async fn near_its_end_a_token_is_not_given_while_a_newer_one_can_be_had() {
    let world = World::new();
    world.check("token-1", 1).await;

    advance(Duration::from_mins(56)).await;

    world.check("token-2", 2).await;
}

#[tokio::test(start_paused = true)]
async fn near_its_end_a_token_is_better_than_none() {
    let world = World::new();
    world.then(Ok(HOUR)).then(refusal());
    world.check("token-1", 1).await;

    advance(Duration::from_mins(56)).await;

    world.check("token-1", 2).await;
}

#[tokio::test(start_paused = true)]
async fn tokens_of_seconds_work_too() {
    let world = World::new();
    world.then(Ok(Duration::from_secs(5)));
    world.check("token-1", 1).await; // It has 3 s left, and 1.75 s until its refresh.
    world.check("token-1", 1).await;

    advance(Duration::from_secs(3)).await;

    world.check("token-2", 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_as_long_after_the_request_as_the_endpoint_said() {
    let world = World::new();
    assert_eq!(world.cache.cached_until(world.request()).await, None);

    let token = world.cache.token(world.request()).await.unwrap();

    let end: Timestamp = "2026-01-01T13:00:00Z".parse().unwrap();
    assert_eq!(token.expires_at, end);
    assert_eq!(world.cache.cached_until(world.request()).await, Some(end));
    advance(HOUR).await;
    assert_eq!(world.cache.cached_until(world.request()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_for_all() {
    let world = World::new();
    world.check("token-1", 1).await;

    world.refuse("token-1").await;
    world.check("token-2", 2).await;

    world.refuse("token-1").await; // From a slower connection.
    world.check("token-2", 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_refused_token_is_a_fatal_error_for_a_minute() {
    let world = World::new();
    world.check("token-1", 1).await;
    world.refuse("token-1").await;
    world.check("token-2", 2).await;

    world.refuse("token-2").await;
    let kind = world.check_error("ACCESS_TOKEN_REFUSED", 2).await;
    assert_eq!(kind, TokenErrorKind::Fatal);
    advance(Duration::from_secs(57)).await; // 59 s after the request.
    world.check_error("ACCESS_TOKEN_REFUSED", 2).await;

    advance(Duration::from_secs(1)).await;
    world.check("token-3", 3).await;
    world.refuse("token-3").await;
    world.check_error("ACCESS_TOKEN_REFUSED", 3).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_after_a_refused_token_is_an_outage() {
    let world = World::new();
    world.then(Ok(HOUR)).then(fault(None));
    world.check("token-1", 1).await;
    world.refuse("token-1").await;
    let kind = world.check_error("DOWN", 2).await;
    assert_eq!(kind, temporary(Duration::from_secs(1)), "the cache's own pause");

    advance(Duration::from_secs(1)).await;

    world.check("token-3", 3).await;
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured() {
    let world = World::new();
    world.then(fault(Some(Duration::from_secs(90))));

    let kind = world.check_error("DOWN", 1).await;
    assert_eq!(kind, temporary(Duration::from_secs(90)));
    advance(Duration::from_secs(30)).await;
    let kind = world.check_error("DOWN", 1).await;
    assert_eq!(kind, temporary(MINUTE), "what is left of it");
    advance(Duration::from_millis(59_999)).await;
    world.check_error("DOWN", 1).await;

    advance(Duration::from_millis(1)).await;
    world.check("token-2", 2).await;
}

#[tokio::test(start_paused = true)]
async fn pauses_after_faults_double_to_half_a_minute() {
    let world = World::new();
    for (calls, pause_s) in [1, 2, 4, 8, 16, 30, 30].into_iter().enumerate() {
        world.then(fault(None));
        world.check_error("DOWN", calls + 1).await;
        let pause = Duration::from_secs(pause_s);
        let kind = world.check_error("DOWN", calls + 1).await;
        assert_eq!(kind, temporary(pause));
        advance(pause).await;
    }

    world.check("token-8", 8).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_for_one_to_ten_minutes() {
    let world = World::new();
    for (calls, pause_min) in [1, 2, 4, 8, 10, 10].into_iter().enumerate() {
        world.then(refusal());
        world.check_error("WRONG", calls + 1).await;
        advance(Duration::from_millis(pause_min * 60_000 - 1)).await;
        let kind = world.check_error("WRONG", calls + 1).await;
        assert_eq!(kind, TokenErrorKind::Fatal);
        advance(Duration::from_millis(1)).await;
    }

    world.check("token-7", 7).await;
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_the_memory_of_refusals() {
    let world = World::new();
    let short = Duration::from_secs(100);
    world.then(refusal()).then(refusal()).then(Ok(short)).then(refusal());
    world.check_error("WRONG", 1).await;
    advance(Duration::from_mins(1)).await;
    world.check_error("WRONG", 2).await;
    advance(Duration::from_mins(2)).await;
    world.check("token-3", 3).await;

    advance(short).await;
    world.check_error("WRONG", 4).await;
    advance(Duration::from_mins(1)).await;

    world.check("token-5", 5).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_hold_for_other_settings() {
    let mut world = World::new();
    world.then(refusal()).then(refusal());
    world.check_error("WRONG", 1).await;

    world.client = client("another secret");
    world.check_error("WRONG", 2).await;

    world.authorities = "another authority".to_owned();
    world.check("token-3", 3).await;
}

#[tokio::test(start_paused = true)]
async fn every_part_of_the_client_tells_tokens_apart() {
    let mut world = World::new();
    world.check("token-1", 1).await;

    let secret = || ClientSecret::from("secret".to_owned());
    let change: [fn(&mut OauthClient); 3] = [
        |client| client.client_id.push('2'),
        |client| client.scope.push('2'),
        |client| client.token_endpoint.push('2'),
    ];
    for (call, change) in (2..).zip(change) {
        change(&mut world.client);
        world.check(&format!("token-{call}"), call).await;
    }
    world.client.credential = ClientCredential::SecretBasic(secret());
    world.check("token-5", 5).await;
    world.client = client("secret");
    world.check("token-1", 5).await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_asks_always_and_caches_nothing() {
    let world = World::new();
    world.check("token-1", 1).await;

    let fetched = world.cache.fetch(world.request()).await.unwrap();
    assert_eq!(fetched.access_token.expose(), "token-2");
    world.then(refusal());
    world.cache.fetch(world.request()).await.unwrap_err();

    world.check("token-1", 3).await;
}

#[tokio::test(start_paused = true)]
async fn the_client_that_was_not_asked_for_longest_is_forgotten() {
    let mut world = World::new();
    for number in 1..=CLIENTS_MAX {
        world.client = client(&format!("secret {number}"));
        world.check(&format!("token-{number}"), number).await;
    }
    world.client = client("secret 1");
    world.check("token-1", CLIENTS_MAX).await;

    world.client = client("one more");
    world.token().await.unwrap();

    world.client = client("secret 1");
    world.check("token-1", CLIENTS_MAX + 1).await;
    world.client = client("secret 2");
    world.token().await.unwrap();
    assert_eq!(world.calls(), CLIENTS_MAX + 2, "it was forgotten");
    assert_eq!(lock(&world.cache.slots).by_client.len(), CLIENTS_MAX);
}

struct Panics(AtomicUsize);

#[async_trait]
impl TokenEndpoint for Panics {
    async fn request(&self, _wanted: &WantedToken) -> Result<Granted, TokenError> {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        assert!(!first, "this panic is part of the test");
        let access_token = AccessToken::from("good".to_owned());
        Ok(Granted { access_token, life: HOUR, passed_over: None })
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_panics_stops_nobody_for_good() {
    let clock = Arc::new(TestClock::starting_at(START.parse().unwrap()));
    let endpoint = Arc::new(Panics(AtomicUsize::new(0)));
    let cache = TokenCache::over(endpoint, clock, Arc::new(Jitter(0.0)));
    let client = client("secret");
    let request =
        TokenRequest { client: &client, ca_certificates_pem: "", proxy: None, timeout: MINUTE };

    assert_eq!(cache.token(request).await.unwrap_err().reason.code, "INTERNAL");
    assert_eq!(cache.token(request).await.unwrap().access_token.expose(), "good");
}

#[tokio::test(start_paused = true)]
async fn a_fetched_token_ends_the_pause_after_failures() {
    let world = World::new();
    world.then(refusal());
    world.check_error("WRONG", 1).await;
    world.check_error("WRONG", 1).await;

    world.cache.fetch(world.request()).await.unwrap();

    world.check("token-3", 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_fails_ends_no_pause() {
    let world = World::new();
    world.then(refusal()).then(refusal());
    world.check_error("WRONG", 1).await;

    world.cache.fetch(world.request()).await.unwrap_err();

    world.check_error("WRONG", 2).await;
}
