//! The tokens of this node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use nuncio_core::job::Reason;
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::token::{Token, TokenError, TokenErrorKind, TokenRequest, TokenSource};
use nuncio_core::secret::AccessToken;
use nuncio_core::settings::{ClientCredential, OauthClient};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::endpoint::{Granted, TokenEndpoint, WantedToken};
use crate::request::HttpTokenEndpoint;
use crate::secrets::EitherSecret;
use slot::{Outcome, Slot, Step};

mod slot;

/// The most clients whose tokens are kept; the one that was not asked for longest goes first.
pub const CLIENTS_MAX: usize = 64;

/// Gives tokens from memory, and asks the token endpoint as rarely as can be.
///
/// - All who want the same token wait for one request; it goes on if they stop waiting.
/// - A token is renewed in the background at 75 to 80 % of its life, and serves on while that fails.
/// - After a refusal or a fault there is a pause; callers get the same answer until it is over.
/// - Another credential, scope, set of authorities or proxy is another client: what was known does not hold
///   for it.
pub struct TokenCache {
    shared: Arc<Shared>,
    /// The requests under way. They end with the cache.
    flights: Mutex<JoinSet<()>>,
    slots: Mutex<Slots>,
}

struct Shared {
    endpoint: Arc<EitherSecret>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

type SharedSlot = Arc<Mutex<Slot>>;
type Landing = watch::Receiver<Option<Outcome>>;

#[derive(Default)]
struct Slots {
    by_client: HashMap<ClientDigest, Used>,
    /// Grows with every use.
    uses: u64,
}

struct Used {
    slot: SharedSlot,
    last: u64,
}

/// Stands for everything that makes two requests ask for different tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct ClientDigest([u8; 32]);

impl TokenCache {
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let endpoint = HttpTokenEndpoint::new(Arc::clone(&clock), Arc::clone(&entropy));
        Self::over(Arc::new(endpoint), clock, entropy)
    }

    /// Caches what another kind of endpoint gives.
    pub fn over(
        endpoint: Arc<dyn TokenEndpoint>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let endpoint = Arc::new(EitherSecret::over(endpoint));
        let shared = Arc::new(Shared { endpoint, clock, entropy });
        Self { shared, flights: Mutex::default(), slots: Mutex::default() }
    }

    fn slot(&self, client: ClientDigest) -> SharedSlot {
        lock(&self.slots).slot(client)
    }

    /// Joins the request that is under way, or starts one.
    fn fly(&self, shared_slot: &SharedSlot, slot: &mut Slot, request: TokenRequest<'_>) -> Landing {
        if let Some(landing) = slot.flight() {
            return landing;
        }
        let (landed, landing) = watch::channel(None);
        slot.take_off(landing.clone(), Instant::now());
        let (shared, slot) = (Arc::clone(&self.shared), Arc::clone(shared_slot));
        let wanted = WantedToken::from(request);
        let mut flights = lock(&self.flights);
        while flights.try_join_next().is_some() {} // Those that have ended.
        flights.spawn(async move {
            let outcome = shared.fetch_into(&slot, &wanted).await;
            landed.send_replace(Some(outcome));
        });
        landing
    }
}

#[async_trait]
impl TokenSource for TokenCache {
    async fn token(&self, request: TokenRequest<'_>) -> Result<Token, TokenError> {
        let slot = self.slot(ClientDigest::of(request));
        let landing = {
            let mut state = lock(&slot);
            match state.step(Instant::now()) {
                Step::Serve(token) => return Ok(token),
                Step::Refuse(error) => return Err(error),
                Step::ServeAndRefresh(token) => {
                    self.fly(&slot, &mut state, request);
                    return Ok(token);
                }
                Step::Fetch => self.fly(&slot, &mut state, request),
            }
        };
        match landed(landing).await {
            Ok(token) => Ok(token),
            Err(error) => lock(&slot).held(Instant::now()).cloned().ok_or(error),
        }
    }

    async fn invalidate(&self, request: TokenRequest<'_>, refused: &AccessToken) {
        let slot = self.slot(ClientDigest::of(request));
        if lock(&slot).invalidate(refused) {
            warn!(client_id = request.client.client_id, "the provider refused an access token");
        }
    }

    async fn fetch(&self, request: TokenRequest<'_>) -> Result<Token, TokenError> {
        let asked_at = self.shared.clock.now();
        let granted = self.shared.endpoint.request(&request.into()).await?;
        // Whoever has put things right and proved it by this must not wait for the pause to end.
        let slot = lock(&self.slots).peek(ClientDigest::of(request));
        if let Some(slot) = slot {
            lock(&slot).end_pause();
        }
        Ok(token(granted, asked_at))
    }

    async fn cached_until(&self, request: TokenRequest<'_>) -> Option<Timestamp> {
        let slot = lock(&self.slots).peek(ClientDigest::of(request))?;
        let state = lock(&slot);
        state.held(Instant::now()).map(|token| token.expires_at)
    }
}

impl Shared {
    async fn fetch_into(&self, slot: &Mutex<Slot>, wanted: &WantedToken) -> Outcome {
        // Taken before the request: a token's life begins somewhere between the request and the answer.
        let (asked, asked_at) = (Instant::now(), self.clock.now());
        let result = self.endpoint.request(wanted).await;
        let jitter = self.entropy.jitter();
        let client_id = &wanted.client.client_id;
        match result {
            Ok(granted) => {
                let life = granted.life;
                info!(
                    client_id,
                    life_s = life.as_secs(),
                    "the token endpoint gave an access token"
                );
                let token = token(granted, asked_at);
                lock(slot).land(token.clone(), asked, life, jitter);
                Ok(token)
            }
            Err(error) => {
                let pause = lock(slot).fail(error.clone(), Instant::now(), jitter);
                let (code, pause_s) = (&error.reason.code, pause.as_secs());
                warn!(client_id, code, pause_s, "no access token: {}", error.reason.message);
                // Whoever comes back earlier is sent away again.
                Err(error.after(pause))
            }
        }
    }
}

impl Slots {
    fn slot(&mut self, client: ClientDigest) -> SharedSlot {
        self.uses += 1;
        let last = self.uses;
        if let Some(used) = self.by_client.get_mut(&client) {
            used.last = last;
            return Arc::clone(&used.slot);
        }
        if CLIENTS_MAX <= self.by_client.len() {
            let oldest = self.by_client.iter().min_by_key(|(_, used)| used.last);
            if let Some(oldest) = oldest.map(|(client, _)| *client) {
                self.by_client.remove(&oldest);
            }
        }
        let slot = SharedSlot::default();
        self.by_client.insert(client, Used { slot: Arc::clone(&slot), last });
        slot
    }

    fn peek(&self, client: ClientDigest) -> Option<SharedSlot> {
        self.by_client.get(&client).map(|used| Arc::clone(&used.slot))
    }
}

impl ClientDigest {
    fn of(request: TokenRequest<'_>) -> Self {
        let OauthClient {
            client_id,
            tenant_id: _,                 // It is part of the endpoint.
            client_secret_expire_date: _, // It is for the operator.
            credential,
            next_secret,
            token_endpoint,
            scope,
        } = request.client;
        let (method, first, second) = match credential {
            ClientCredential::SecretPost(secret) => ("post", secret.expose(), ""),
            ClientCredential::SecretBasic(secret) => ("basic", secret.expose(), ""),
            ClientCredential::Certificate { certificate_pem, private_key } => {
                ("certificate", certificate_pem.as_str(), private_key.expose())
            }
        };
        let authorities = request.ca_certificates_pem;
        // Another proxy gives the same tokens, but has no part in the trouble that this one makes.
        let proxy = request.proxy.map(|proxy| proxy.address.to_string()).unwrap_or_default();
        let known = request.proxy.and_then(|proxy| proxy.credentials.as_ref());
        let known = known.map_or(["", ""], |one| [&one.username, one.password.expose()]);
        let next = next_secret.as_ref().map_or("", |next| next.secret.expose());
        let parts =
            [client_id, token_endpoint, scope, method, first, second, next, authorities, &proxy];
        let mut digest = Context::new(&SHA256);
        for part in parts.into_iter().chain(known) {
            digest.update(&part.len().to_le_bytes()); // So that no two sequences of parts are one.
            digest.update(part.as_bytes());
        }
        let digest = digest.finish();
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

fn token(granted: Granted, asked_at: Timestamp) -> Token {
    let Granted { access_token, life, passed_over } = granted;
    Token { access_token, expires_at: asked_at + life, passed_over }
}

async fn landed(mut landing: Landing) -> Outcome {
    let outcome = landing.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
    let Some(outcome) = outcome else {
        // The task of the request was dropped or has panicked.
        let reason = Reason::new("INTERNAL", "the token request ended without a result");
        let kind = TokenErrorKind::Temporary { retry_after: None };
        return Err(TokenError { kind, reason, presented_chain: Vec::new() });
    };
    outcome
}

/// Nothing that holds one of these locks can leave its value half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
