//! The token cache against the simulated provider, over real sockets.

#![expect(clippy::unwrap_used, reason = "tests, and helpers of tests")]

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nuncio_core::ports::clock::Clock as _;
use nuncio_core::ports::token::{Token, TokenError, TokenErrorKind, TokenRequest, TokenSource};
use nuncio_core::secret::{ClientSecret, PrivateKeyPem};
use nuncio_core::settings::{ClientCredential, OauthClient};
use nuncio_oauth::cache::TokenCache;
use nuncio_provider_sim::config::{
    Client, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPE, DEFAULT_SECRET_ID,
    DEFAULT_TENANT_ID, SimConfig,
};
use nuncio_provider_sim::fault::{TokenAction, TokenFault, TokenResponse};
use nuncio_provider_sim::pki::{CertificateKind, ClientCertificate};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_runtime::clock::{SystemClock, SystemEntropy};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A node beside a provider.
struct World {
    sim: Simulator,
    cache: TokenCache,
    client: OauthClient,
    authorities: String,
    timeout: Duration,
}

impl World {
    async fn new() -> Self {
        Self::with(SimConfig::exchange()).await
    }

    async fn with(config: SimConfig) -> Self {
        let sim = Simulator::start(config).await.unwrap();
        let cache = TokenCache::new(Arc::new(SystemClock), Arc::new(SystemEntropy));
        let client = OauthClient {
            client_id: DEFAULT_CLIENT_ID.to_owned(),
            tenant_id: Some(DEFAULT_TENANT_ID.to_owned()),
            credential: post(DEFAULT_CLIENT_SECRET),
            client_secret_expire_date: None,
            next_secret: None,
            token_endpoint: sim.token_url(DEFAULT_TENANT_ID),
            scope: DEFAULT_SCOPE.to_owned(),
        };
        let authorities = sim.ca_pem();
        Self { sim, cache, client, authorities, timeout: TIMEOUT }
    }

    async fn with_token_certificate(kind: CertificateKind) -> Self {
        let mut config = SimConfig::exchange();
        config.tls.token = kind;
        Self::with(config).await
    }

    async fn with_fault(action: TokenAction) -> Self {
        let world = Self::new().await;
        world.sim.faults().push_token(TokenFault::always(action));
        world
    }

    async fn token(&self) -> Result<Token, TokenError> {
        self.cache.token(self.request()).await
    }

    fn request(&self) -> TokenRequest<'_> {
        let (client, ca_certificates_pem) = (&self.client, self.authorities.as_str());
        TokenRequest { client, ca_certificates_pem, proxy: None, timeout: self.timeout }
    }

    fn requests(&self) -> u64 {
        self.sim.stats().token_requests
    }

    async fn check_fatal(&self, code: &str, message: &str) -> TokenError {
        let error = self.check_error(code, message).await;
        assert_eq!(error.kind, TokenErrorKind::Fatal);
        error
    }

    /// `retry_after_s` is what the endpoint asks for; without it, the cache makes a pause of a second.
    async fn check_temporary(&self, code: &str, message: &str, retry_after_s: Option<u64>) {
        let error = self.check_error(code, message).await;
        let TokenErrorKind::Temporary { retry_after: Some(wait) } = error.kind else {
            panic!("{error:?}")
        };
        let least = Duration::from_secs(retry_after_s.unwrap_or(1));
        assert!((least..=least.mul_f64(1.1)).contains(&wait), "{wait:?}");
    }

    async fn check_error(&self, code: &str, message: &str) -> TokenError {
        let error = self.token().await.unwrap_err();
        assert_eq!(error.reason.code, code, "{error:?}");
        assert!(error.reason.message.contains(message), "{}", error.reason.message);
        assert!(!error.reason.remedy.is_empty());
        error
    }
}

fn post(secret: &str) -> ClientCredential {
    ClientCredential::SecretPost(ClientSecret::from(secret.to_owned()))
}

/// A client certificate, and a configuration in which it is registered.
fn registered() -> (ClientCertificate, SimConfig) {
    let certificate = ClientCertificate::generate("nuncio").unwrap();
    let mut config = SimConfig::exchange();
    config.clients[0] = Client {
        certificates: vec![certificate.certificate_pem.clone()],
        ..Client::new(DEFAULT_CLIENT_ID)
    };
    (certificate, config)
}

fn credential(certificate: &ClientCertificate) -> ClientCredential {
    ClientCredential::Certificate {
        certificate_pem: certificate.certificate_pem.clone(),
        private_key: PrivateKeyPem::from(certificate.expose_key_pem().to_owned()),
    }
}

#[tokio::test]
async fn a_secret_in_the_body_gets_a_token_once() {
    let world = World::new().await;

    let first = world.token().await.unwrap();
    let second = world.token().await.unwrap();

    assert_eq!(first.access_token, second.access_token);
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_secret_in_the_header_gets_a_token() {
    let mut world = World::new().await;
    let secret = ClientSecret::from(DEFAULT_CLIENT_SECRET.to_owned());
    world.client.credential = ClientCredential::SecretBasic(secret);

    world.token().await.unwrap();
}

#[tokio::test]
async fn a_certificate_gets_tokens_with_a_fresh_assertion_each() {
    let (certificate, config) = registered();
    let mut world = World::with(config).await;
    world.client.credential = credential(&certificate);

    world.cache.fetch(world.request()).await.unwrap();
    world.cache.fetch(world.request()).await.unwrap(); // A repeated `jti` would be refused.
}

#[tokio::test]
async fn a_certificate_that_is_not_registered_is_refused() {
    let (_, config) = registered();
    let mut world = World::with(config).await;
    world.client.credential = credential(&ClientCertificate::generate("other").unwrap());

    world
        .check_fatal("INVALID_CERTIFICATE", "not signed by a certificate that is registered")
        .await;
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let mut world = World::new().await;
    world.client.credential = post("wrong");

    let error = world.check_fatal("INVALID_CLIENT_SECRET", "the client secret is wrong").await;

    assert!(error.reason.message.contains("AADSTS7000215, trace "), "{}", error.reason.message);
    world.token().await.unwrap_err();
    assert_eq!(world.requests(), 1, "the refusal is remembered");
    world.client.credential = post(DEFAULT_CLIENT_SECRET);
    world.token().await.unwrap();
}

#[tokio::test]
async fn a_pasted_secret_id_is_told() {
    let mut world = World::new().await;
    world.client.credential = post(DEFAULT_SECRET_ID);

    let error = world.check_fatal("INVALID_CLIENT_SECRET", "the client secret is wrong").await;

    assert!(error.reason.remedy.contains("enter the secret's VALUE"), "{}", error.reason.remedy);
}

#[tokio::test]
async fn an_expired_secret_is_told() {
    let world = World::new().await;
    world.sim.expire_secrets();

    world.check_fatal("CLIENT_SECRET_EXPIRED", "AADSTS7000222").await;
}

#[tokio::test]
async fn wrong_settings_are_told_apart() {
    let mut world = World::new().await;
    let good = world.client.clone();

    world.client.client_id = "00000000-0000-4000-8000-000000000000".to_owned();
    world.check_fatal("INVALID_CLIENT_ID", "not known in this tenant").await;
    world.client = OauthClient { scope: "mail.send".to_owned(), ..good.clone() };
    world.check_fatal("INVALID_SCOPE", "").await;
    let scope = "https://nothing.example/.default".to_owned();
    world.client = OauthClient { scope, ..good.clone() };
    world.check_fatal("INVALID_SCOPE", "the resource of the scope is not known").await;
    let tenant = "00000000-0000-4000-8000-000000000000";
    let token_endpoint = world.sim.token_url(tenant);
    world.client = OauthClient { token_endpoint, ..good.clone() };
    world.check_fatal("INVALID_TENANT_OR_ENDPOINT", "the tenant does not exist").await;
    let token_endpoint = format!("{}/nothing/here", world.sim.authority());
    world.client = OauthClient { token_endpoint, ..good.clone() };
    world.check_fatal("INVALID_TENANT_OR_ENDPOINT", "no token endpoint at this path").await;
    for endpoint in ["http://127.0.0.1/token", "login.example.test", ""] {
        world.client = OauthClient { token_endpoint: endpoint.to_owned(), ..good.clone() };
        world
            .check_fatal("INVALID_TENANT_OR_ENDPOINT", "is not an absolute URL with `https`")
            .await;
    }
}

#[tokio::test]
async fn throttling_in_plain_text_is_honoured() {
    let world = World::with_fault(TokenAction::Throttle { retry_after_s: 60 }).await;

    world.check_temporary("TOKEN_ENDPOINT_THROTTLED", "asks for fewer requests", Some(60)).await;

    world.sim.faults().clear();
    world.check_error("TOKEN_ENDPOINT_THROTTLED", "").await;
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn an_endpoint_in_trouble_is_told() {
    let world = World::with_fault(TokenAction::Unavailable { retry_after_s: Some(7) }).await;
    world.check_temporary("TOKEN_ENDPOINT_UNAVAILABLE", "status 503", Some(7)).await;

    let world = World::with_fault(TokenAction::Unavailable { retry_after_s: None }).await;
    world.check_temporary("TOKEN_ENDPOINT_UNAVAILABLE", "status 503", None).await;

    let world = World::with_fault(TokenAction::Reset).await;
    world.check_temporary("TOKEN_ENDPOINT_UNAVAILABLE", "cut the connection", None).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let thief = Simulator::start(SimConfig::exchange()).await.unwrap();
    let to = thief.token_url(DEFAULT_TENANT_ID);
    let world = World::with_fault(TokenAction::Redirect(to)).await;

    world.check_temporary("NOT_A_TOKEN_RESPONSE", "it redirects to `localhost`", None).await;

    assert_eq!(thief.stats().token_requests, 0);
}

#[tokio::test]
async fn a_captive_portal_is_told() {
    let world = World::with_fault(TokenAction::Html).await;

    world.check_temporary("NOT_A_TOKEN_RESPONSE", "a proxy or captive portal", None).await;
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let world = World::with_fault(TokenAction::HugeBody(1024 * 1024)).await;

    world.check_temporary("NOT_A_TOKEN_RESPONSE", "too long", None).await;
}

#[tokio::test]
async fn an_answer_of_64_kib_less_a_token_is_read() {
    let world = World::with_fault(TokenAction::HugeBody(60 * 1024)).await;

    world.token().await.unwrap();
}

#[tokio::test]
async fn a_silent_endpoint_is_given_up_and_named() {
    let mut world = World::with_fault(TokenAction::Stall).await;
    world.timeout = Duration::from_millis(300);
    let port = world.sim.token_addr().port();

    let message = format!(
        "the token endpoint `localhost:{port}` gave no answer within 0.3 s (direct, no proxy configured)"
    );
    world.check_temporary("TOKEN_ENDPOINT_TIMED_OUT", &message, None).await;
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_told() {
    let mut world = World::new().await;
    // It is held and does not listen, so that nobody else comes to listen there.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = silent.local_addr().unwrap().port();
    world.client.token_endpoint = format!("https://127.0.0.1:{port}/token");
    world.check_temporary("TOKEN_ENDPOINT_REFUSED", "refused the connection", None).await;

    world.client.token_endpoint = "https://login.invalid/token".to_owned();
    world
        .check_temporary("TOKEN_ENDPOINT_NOT_FOUND", "`login.invalid:443` does not resolve", None)
        .await;
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_told_with_its_chain() {
    let mut world = World::new().await;
    let authorities = std::mem::take(&mut world.authorities);

    let error =
        world.check_fatal("NO_VALID_CERTIFICATION_PATH", "the token endpoint `localhost:").await;

    assert_eq!(error.presented_chain.len(), 1);
    assert!(error.reason.remedy.contains("ca_certificates_pem"), "{}", error.reason.remedy);
    world.authorities = authorities;
    world.token().await.unwrap();
}

#[tokio::test]
async fn faults_of_certificates_are_told_apart() {
    let world = World::with_token_certificate(CertificateKind::Expired).await;
    world.check_fatal("CERTIFICATE_EXPIRED", "expired at").await;
    let world = World::with_token_certificate(CertificateKind::WrongName).await;
    world.check_fatal("CERTIFICATE_NAME_MISMATCH", "not for `localhost`").await;
    let world = World::with_token_certificate(CertificateKind::MissingIntermediate).await;
    world
        .check_fatal("NO_VALID_CERTIFICATION_PATH", "is not a trusted certificate authority")
        .await;
    let world = World::with_token_certificate(CertificateKind::Intermediate).await;
    world.token().await.unwrap();
}

#[tokio::test]
async fn authorities_that_are_not_readable_are_told() {
    let mut world = World::new().await;
    world.authorities = "hello".to_owned();

    world.check_fatal("INVALID_CA_CERTIFICATES", "no PEM certificate in the text").await;
}

#[tokio::test]
async fn lives_are_read_leniently() {
    for action in [TokenAction::ExpiresInAsText, TokenAction::ExpiresInMissing] {
        let world = World::with_fault(action).await;
        let token = world.token().await.unwrap();
        let life = token.expires_at.duration_since(SystemClock.now()).as_secs();
        assert!((3500..=3600).contains(&life), "{life} s");
    }
}

#[tokio::test]
async fn a_token_of_4000_characters_is_taken() {
    let world = World::with_fault(TokenAction::TokenSize(4000)).await;

    assert_eq!(world.token().await.unwrap().access_token.expose().len(), 4000);
}

/// Everything that is logged in this process, at the most talkative level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn of_the_process() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
                .with_writer(move || writer.clone())
                .init(); // It takes the records of the crate `log` as well.
            log
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_token_or_assertion_is_logged_or_told() {
    let log = Log::of_the_process();
    let (certificate, mut config) = registered();
    config.clients[0].secrets = SimConfig::exchange().clients[0].secrets.clone();
    let mut world = World::with(config).await;
    let mut told = String::new();
    let mut tokens = Vec::new();
    let basic = ClientCredential::SecretBasic(ClientSecret::from(DEFAULT_CLIENT_SECRET.to_owned()));
    let wrong = post("Wr0ng~secret");
    for credential in [post(DEFAULT_CLIENT_SECRET), basic, credential(&certificate), wrong] {
        world.client.credential = credential;
        for action in [None, Some(echo(200)), Some(echo(400)), Some(echo(503))] {
            world.sim.faults().clear();
            if let Some(action) = action {
                world.sim.faults().push_token(TokenFault::always(action));
            }
            let outcome = world.cache.fetch(world.request()).await;
            write!(told, "{:?} {outcome:?}", world.request()).unwrap();
            tokens.extend(outcome.ok().map(|token| token.access_token.expose().to_owned()));
        }
        world.token().await.unwrap_err();
    }

    let logged = log.text();
    assert!(logged.contains("no access token"), "the log is there");
    assert!(logged.contains("rustls"), "those of others, too");
    assert_eq!(tokens.len(), 3, "each right credential got one");
    let key_line = certificate.expose_key_pem().lines().nth(1).unwrap();
    let encoded = DEFAULT_CLIENT_SECRET.replace('~', "%7E");
    let secrets = [DEFAULT_CLIENT_SECRET, &encoded, "Wr0ng~secret", "eyJ", key_line, "Basic "];
    for secret in secrets.into_iter().chain(tokens.iter().map(String::as_str)) {
        assert!(!told.contains(secret), "told: {secret}");
        assert!(!logged.contains(secret), "logged: {secret}");
    }
}

/// A malformed answer that repeats secrets.
fn echo(status: u16) -> TokenAction {
    let words = format!("you sent {DEFAULT_CLIENT_SECRET} or Wr0ng~secret or eyJhbGciOiJQUzI1NiJ9");
    TokenAction::Respond(TokenResponse {
        status,
        body: format!(
            "{{\"access_token\":\"eyJ.{words}\",\"error\":1,\"error_description\":\"{words}\"}}"
        ),
        content_type: "application/json".to_owned(),
        retry_after: None,
    })
}
