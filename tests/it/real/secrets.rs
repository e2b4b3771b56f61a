//! Of a whole run at the most talkative level, nothing tells a secret.

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nuncio_api::v1;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::{MailClass, MailJobState, SmtpEncryption};
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails;
use nuncio_tests::process::{Process, ServeProcess};
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::with_oauth;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{
    STARTTLS, TLS, Way, certificate, client, fresh, good, oauth, password, settings, shown, text,
};

/// Secrets shorter than this could be found by chance.
const SECRET_BYTES_MIN: usize = 16;

/// What a run has told, with where.
#[derive(Default)]
struct Told(Vec<(String, Vec<u8>)>);

impl Told {
    fn add(&mut self, place: &str, text: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), text.into()));
    }

    fn answer(&mut self, place: &str, answer: &impl Debug) {
        self.add(place, format!("{answer:?}"));
    }

    /// Every file below `folder`.
    fn files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.files(&path);
            } else {
                self.add(&path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }

    /// The places that tell `secret`.
    fn places_of(&self, secret: &str) -> Vec<&str> {
        let tells = |bytes: &[u8]| bytes.windows(secret.len()).any(|at| at == secret.as_bytes());
        self.0.iter().filter(|(_, text)| tells(text)).map(|(place, _)| place.as_str()).collect()
    }
}

/// What must not be found, in every form in which it goes over a wire.
fn secrets(servers: &RealServers) -> Vec<String> {
    let mailbox = servers.get("MAILBOX");
    let mut secrets: Vec<String> = servers.secrets().map(str::to_owned).collect();
    let basic = format!("svc-basic:{}", servers.client_secret("svc-basic"));
    let (user, pass) = (servers.get("PLAIN_USER"), servers.get("PLAIN_PASSWORD"));
    secrets.push(STANDARD.encode(basic));
    secrets.push(STANDARD.encode(format!("\0{user}\0{pass}")));
    secrets.push(STANDARD.encode(pass));
    let (user, pass) = (servers.get("PROXY_USER"), servers.get("PROXY_PASSWORD"));
    secrets.push(STANDARD.encode(format!("{user}:{pass}")));
    for token in servers.access_tokens() {
        let response = format!("user={mailbox}\x01auth=Bearer {token}\x01\x01");
        secrets.push(STANDARD.encode(response));
        // Even a part would do for a forger or a replay: its claims, its signature.
        secrets.extend(token.split('.').skip(1).map(str::to_owned));
        secrets.push(token);
    }
    let key = text(servers, "CLIENT_KEY_FILE");
    let lines = key.lines().filter(|line| !line.starts_with('-'));
    secrets.extend(lines.map(str::to_owned));
    secrets.retain(|secret| SECRET_BYTES_MIN <= secret.len());
    secrets
}

/// Settings of every kind, good and bad, and how their tests end.
fn variants(servers: &RealServers) -> Vec<(v1::SmtpSettings, &'static str)> {
    let by = |way, authentication| settings(servers, way, Some(authentication));
    let plain = Way { port: "SMTP_PLAIN_PORT", encryption: SmtpEncryption::Starttls };
    let node = Way { port: "NODE_SMTP_PORT", encryption: SmtpEncryption::Starttls };
    let basic =
        v1::OauthAuthentication { client_secret_basic: true, ..oauth(servers, "svc-basic") };
    let swapped = v1::PasswordAuthentication {
        password: servers.client_secret("svc-basic").to_owned(),
        ..password(servers)
    };
    let with_proxy = |scheme: &str, port: &str, password: &str| v1::SmtpSettings {
        proxy: Some(v1::Proxy {
            url: format!("{scheme}://localhost:{}", servers.port(port)),
            username: servers.get("PROXY_USER").to_owned(),
            password: password.to_owned(),
            bypass: Vec::new(),
            password_set: false,
        }),
        ..good(servers)
    };
    let proxy_password = servers.get("PROXY_PASSWORD");
    let broken = servers.faulty_token_url("status-503");
    let portal = servers.faulty_token_url("html");
    let wrong_secret = servers.client_secret("svc-basic").to_owned();
    vec![
        (by(TLS, Authentication::Oauth(basic)), "+ + + + + + +"),
        (by(STARTTLS, Authentication::Oauth(certificate(servers))), "+ + + + + + +"),
        (by(plain, Authentication::Password(password(servers))), "+ + + - + + +"),
        (by(plain, Authentication::Password(swapped)), "+ + + - + INVALID_PASSWORD -"),
        (settings(servers, node, client(servers, "svc-opaque")), "+ + + + + + +"),
        (with_proxy("http", "HTTP_PROXY_PORT", proxy_password), "+ - - + + + + +"),
        (with_proxy("socks5", "SOCKS_PROXY_PORT", proxy_password), "+ - - + + + + +"),
        (
            with_proxy("http", "HTTP_PROXY_PORT", servers.client_secret("svc-basic")),
            "PROXY_CREDENTIALS_REFUSED - - - PROXY_CREDENTIALS_REFUSED - - -",
        ),
        (
            settings(servers, node, client(servers, "svc-nomail")),
            "+ + + + + INVALID_EMAIL_ADDRESS -",
        ),
        (
            settings(servers, STARTTLS, client(servers, "svc-otheruser")),
            "+ + + + + INVALID_EMAIL_ADDRESS -",
        ),
        (
            settings(servers, STARTTLS, client(servers, "svc-secret-expired")),
            "+ + + CLIENT_SECRET_EXPIRED + - -",
        ),
        (
            with_oauth(good(servers), |oauth| oauth.client_secret = wrong_secret),
            "+ + + INVALID_CLIENT_SECRET + - -",
        ),
        (
            with_oauth(good(servers), |oauth| oauth.token_endpoint = broken),
            "+ + + TOKEN_ENDPOINT_UNAVAILABLE + - -",
        ),
        (
            with_oauth(good(servers), |oauth| oauth.token_endpoint = portal),
            "+ + + NOT_A_TOKEN_RESPONSE + - -",
        ),
    ]
}

/// Tests and saves settings of every kind, and sends with those that work.
async fn use_everything(servers: &RealServers, node: &ServeProcess, run: &str, told: &mut Told) {
    for (settings, stages) in variants(servers) {
        let report = node.test(settings.clone()).await;
        assert_eq!(shown(&report), stages, "{report:#?}");
        told.answer("test", &report);
        let saved = node.save(settings).await;
        assert_eq!(saved.is_ok(), report.passed);
        told.answer("save", &saved);
        if report.passed {
            let request = mails::raw(MailClass::Bulk, "kept secret", &[&fresh("secrets")]);
            let job = node.submit(request).await;
            let job = node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;
            told.answer("job", &node.job(&job.name).await);
        }
    }
    let useless =
        servers.faulty_token_url(&format!("useless-2-secrets{run}{}", std::process::id()));
    node.save_tested(with_oauth(good(servers), |oauth| oauth.token_endpoint = useless)).await;
    let request = mails::raw(MailClass::Bulk, "held secret", &[&fresh("secrets")]);
    let job = node.submit(request).await;
    let held = node.wait_for_state(&job.name, MailJobState::Held, PATIENCE).await;
    told.answer("job", &node.job(&held.name).await);
    told.answer("node", &node.node().await);
    node.save_tested(good(servers)).await;
    node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;
    told.answer("jobs", &node.jobs().await);
}

/// What the command line shows of the same node.
async fn look_by_command(node: &ServeProcess, told: &mut Told) {
    for command in [
        &["settings", "smtp", "get"][..],
        &["settings", "smtp", "test"],
        &["jobs", "list"],
        &["nodes"],
        &["doctor"],
    ] {
        for output in ["table", "json"] {
            let mut words = command.to_vec();
            words.extend(["--output", output, "--server", &node.server]);
            let ended = Process::run(&words, &[]).await;
            assert_eq!(ended.code, Some(0), "{words:?}: {ended:#?}");
            told.add(&format!("nuncio {words:?}"), ended.stdout + &ended.stderr);
        }
    }
}

async fn page(http: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(http).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    answer
}

async fn check(log_format: &str) {
    let servers = RealServers::in_turn().await;
    let folder = TempDir::with_prefix("nuncio-it-").unwrap();
    let log = ["--log-filter", "trace", "--log-format", log_format];
    let node = ServeProcess::start(folder.path(), &log).await;
    let mut told = Told::default();

    use_everything(&servers, &node, log_format, &mut told).await;
    look_by_command(&node, &mut told).await;
    for path in ["/metrics", "/readyz"] {
        told.add(path, page(&node.http, path).await);
    }
    let ended = node.stop().await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    told.add("log", ended.stdout + &ended.stderr);
    told.files(folder.path());

    // What is no secret is found, so that what is not found is really not there.
    for (word, place) in
        [("smtp settings were saved", "log"), ("svc-pkjwt", "log"), ("svc-basic", "save")]
    {
        assert!(told.places_of(word).contains(&place), "`{word}` not in {place}");
    }
    let secrets = secrets(&servers);
    assert!(50 < secrets.len(), "{}", secrets.len());
    for secret in secrets {
        let places = told.places_of(&secret);
        // The end is enough to find it in the file of the servers, and is no secret itself.
        let end = &secret[secret.len() - 4..];
        assert!(places.is_empty(), "the secret that ends with `{end}` is told by {places:?}");
    }
}

#[test]
fn a_secret_would_be_found_in_the_middle_of_a_file() {
    let servers = RealServers::from_env();
    let folder = TempDir::with_prefix("nuncio-it-").unwrap();
    fs::create_dir(folder.path().join("below")).unwrap();
    let secret = servers.client_secret("svc-post");
    fs::write(folder.path().join("below/file"), format!("\0\u{e9} {secret}\n")).unwrap();
    let mut told = Told::default();

    told.files(folder.path());

    assert_eq!(told.places_of(secret).len(), 1);
    assert!(secrets(&servers).iter().any(|listed| listed == secret));
}

#[tokio::test]
async fn no_secret_is_told_by_anything_with_a_log_for_people() {
    check("human").await;
}

#[tokio::test]
async fn no_secret_is_told_by_anything_with_a_log_for_programs() {
    check("json").await;
}
