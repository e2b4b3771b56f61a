//! No secret is in anything that nuncio logs, exports, answers or keeps in clear.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use nuncio_api::v1;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::{MailClass, MailJobState};
use nuncio_provider_sim::config::{
    Client, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_MAILBOX, Mailbox, Mechanisms,
    SimConfig, SimSecret, SmtpConfig,
};
use nuncio_provider_sim::fault::{Action, Fault, Phase, TokenAction, TokenFault};
use nuncio_provider_sim::pki::ClientCertificate;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{Caller, PATIENCE};
use nuncio_tests::collector::Collector;
use nuncio_tests::http;
use nuncio_tests::mails::{GUEST_PASSWORD, bulk, guest_credentials, raw};
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::settings::{settings_for, with_oauth};

const PASSWORD: &str = "mailbox-Pa55word!for-plain";
const WRONG_SECRET: &str = "sim~8Q.a-secret-that-is-wrong";
/// The subject of a mail without a template: no secret, and to be found.
const CONTROL: &str = "a subject that is to be found";
/// How every token of the simulator begins: the header of a JWT, in base64url.
const TOKEN_START: &str = "eyJ";

/// The second client, which proves itself by a certificate.
const CERTIFICATE_CLIENT_ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3302";

/// Everything that came out of nuncio, each text with its name.
type Seen = Vec<(String, String)>;

fn config(certificate: &ClientCertificate) -> SimConfig {
    let exchange = SimConfig::exchange();
    let mut clients = exchange.clients.clone();
    clients.push(Client {
        certificates: vec![certificate.certificate_pem.clone()],
        ..Client::new(CERTIFICATE_CLIENT_ID)
    });
    let mailbox =
        Mailbox { password: Some(SimSecret::new(PASSWORD)), ..Mailbox::new(DEFAULT_MAILBOX) };
    let mechanisms = Mechanisms { plain: true, ..Mechanisms::default() };
    let smtp = SmtpConfig { mechanisms, ..SmtpConfig::default() };
    SimConfig { clients, mailboxes: vec![mailbox], smtp, ..exchange }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_logs_traces_errors_answers_metrics_or_files() {
    let certificate = ClientCertificate::generate("nuncio").expect("a certificate can be made");
    let simulator = Simulator::start(config(&certificate)).await.expect("the simulator starts");
    let collector = Collector::start().await;
    let options = NodeOptions {
        log_filter: "trace".to_owned(),
        otlp_endpoint: Some(collector.endpoint.clone()),
        ..NodeOptions::default()
    };
    let node = TestNode::start_with(options).await;
    let mut seen = Seen::new();

    for settings in all_settings(&simulator, &certificate) {
        wrong_settings(&node, &settings, &mut seen).await;
        let saved = node.save_tested(settings.clone()).await;
        seen.push(("the saved settings".to_owned(), format!("{saved:?}")));
        send(&simulator, &node, settings, &mut seen).await;
    }
    let node = node.restart().await;
    send(&simulator, &node, settings_for(&simulator), &mut seen).await;
    let metrics = http::get(&node.http.to_string(), "/metrics").await.1;
    seen.push(("metrics".to_owned(), metrics));
    let mut client = node.clients.smtp_settings.clone();
    let got = client.get_smtp_settings(v1::GetSmtpSettingsRequest {}).await;
    seen.push(("the settings".to_owned(), format!("{got:?}")));
    seen.push(("the node".to_owned(), format!("{:?}", node.node().await)));
    let stopped = node.stop().await;
    seen.push(("the log".to_owned(), stopped.logs.text()));
    seen.push(("the traces".to_owned(), collector.text()));
    files(&stopped.data_dir(), &mut seen);

    check(&seen, &secrets(&certificate));
}

/// OAuth with a secret, in both ways, then with a certificate, then a password.
fn all_settings(simulator: &Simulator, certificate: &ClientCertificate) -> [v1::SmtpSettings; 4] {
    let by_secret = settings_for(simulator);
    let by_basic = with_oauth(by_secret.clone(), |oauth| oauth.client_secret_basic = true);
    let by_certificate = with_oauth(by_secret.clone(), |oauth| {
        CERTIFICATE_CLIENT_ID.clone_into(&mut oauth.client_id);
        oauth.client_secret.clear();
        oauth.certificate_pem.clone_from(&certificate.certificate_pem);
        certificate.expose_key_pem().clone_into(&mut oauth.private_key_pem);
    });
    let password = v1::PasswordAuthentication {
        password: PASSWORD.to_owned(),
        ..v1::PasswordAuthentication::default()
    };
    let by_password = v1::SmtpSettings {
        authentication: Some(Authentication::Password(password)),
        ..by_secret.clone()
    };
    [by_secret, by_basic, by_certificate, by_password]
}

/// Settings that fail their test at the token, at the login, and before any test.
async fn wrong_settings(node: &Caller, settings: &v1::SmtpSettings, seen: &mut Seen) {
    let mut see = |what: &str, text: String| seen.push((what.to_owned(), text));
    let other_mailbox =
        v1::SmtpSettings { email_address: "nobody@contoso.example".to_owned(), ..settings.clone() };
    see("a test with a wrong mailbox", format!("{:?}", node.test(other_mailbox).await));
    see("an untested save", format!("{:?}", node.save(settings.clone()).await));
    let invalid = v1::SmtpSettings { port: 70_000, ..settings.clone() };
    see("an invalid save", format!("{:?}", node.save(invalid).await));
    if matches!(settings.authentication, Some(Authentication::Oauth(_))) {
        let wrong = with_oauth(settings.clone(), |oauth| {
            WRONG_SECRET.clone_into(&mut oauth.client_secret);
            oauth.certificate_pem.clear();
            oauth.private_key_pem.clear();
        });
        see("a test with a wrong secret", format!("{:?}", node.test(wrong).await));
    }
}

/// Sends mails through trouble, and keeps all that is told about them.
async fn send(simulator: &Simulator, node: &Caller, settings: v1::SmtpSettings, seen: &mut Seen) {
    simulator.expire_tokens();
    let login = "535 5.7.3 Authentication unsuccessful";
    let reply = "550 5.1.1 User unknown";
    for fault in [
        Fault::next(1, Phase::Auth, Action::Cut),
        Fault::next(1, Phase::Auth, Action::Reply(login.to_owned())),
        Fault::next(1, Phase::Rcpt, Action::Reply(reply.to_owned())),
    ] {
        simulator.faults().push(fault);
    }
    simulator.faults().push_token(TokenFault::next(1, TokenAction::Html));
    let mut names = Vec::new();
    for _ in 0..2 {
        names.push(node.submit(guest_credentials("erika@example.com")).await.name);
        names.push(node.submit(raw(MailClass::Alarm, CONTROL, &["noc@example.com"])).await.name);
    }
    let mut invalid = guest_credentials("erika@example.com");
    "not valid".clone_into(&mut invalid.request_id);
    let refused = node.try_submit(invalid).await.expect_err("this request id is not valid");
    seen.push(("a refused job".to_owned(), format!("{refused:?}")));

    let has_met_trouble = |job: &v1::MailJob| {
        let state = job.state();
        state != MailJobState::Queued && state != MailJobState::Sending
    };
    let job = node.wait_until(&names[0], PATIENCE, has_met_trouble).await;
    seen.push(("a job in trouble".to_owned(), format!("{job:?}")));
    simulator.faults().clear();
    // A login that is refused holds all jobs: new settings let them go on.
    node.save_tested(settings).await;
    for name in &names {
        let job = node.wait_for_end(name, PATIENCE).await;
        seen.push(("a job".to_owned(), format!("{job:?}")));
        seen.push(("a job and its attempts".to_owned(), format!("{:?}", node.job(name).await)));
    }
    let last = node.submit(bulk(CONTROL)).await;
    node.wait_for_state(&last.name, MailJobState::Sent, PATIENCE).await;
    seen.push(("the list of jobs".to_owned(), format!("{:?}", node.jobs().await)));
}

/// The files of the data folder, the job store with its log among them.
fn files(folder: &Path, seen: &mut Seen) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let name = path.display().to_string();
        if path.is_dir() {
            files(&path, seen);
        } else {
            let bytes = fs::read(&path).expect("the file can be read");
            seen.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

/// What may be found nowhere, each with its name.
fn secrets(certificate: &ClientCertificate) -> Vec<(String, String)> {
    let mut secrets = vec![
        ("the start of a token".to_owned(), TOKEN_START.to_owned()),
        ("the start of a login by token".to_owned(), "dXNlcj1".to_owned()),
    ];
    for (name, secret) in [
        ("the client secret", DEFAULT_CLIENT_SECRET),
        ("the wrong client secret", WRONG_SECRET),
        ("the password of the mailbox", PASSWORD),
        ("the password of a guest", GUEST_PASSWORD),
    ] {
        secrets.push((name.to_owned(), secret.to_owned()));
        let urlencoded = secret.replace('~', "%7E").replace('!', "%21");
        secrets.push((format!("{name}, for a form"), urlencoded));
        secrets.push((format!("{name} in base64"), base64(secret.as_bytes())));
    }
    let plain = format!("\0{DEFAULT_MAILBOX}\0{PASSWORD}");
    secrets.push(("AUTH PLAIN".to_owned(), base64(plain.as_bytes())));
    let basic = format!("{DEFAULT_CLIENT_ID}:{DEFAULT_CLIENT_SECRET}");
    secrets.push(("HTTP Basic".to_owned(), base64(basic.as_bytes())));
    for (number, line) in certificate.expose_key_pem().lines().enumerate() {
        if !line.starts_with("-----") {
            secrets.push((format!("line {number} of the private key"), line.to_owned()));
        }
    }
    secrets
}

fn check(seen: &Seen, secrets: &[(String, String)]) {
    let mut found = String::new();
    for (place, text) in seen {
        for (name, secret) in secrets {
            if let Some(at) = text.find(secret) {
                let before = text[..at].char_indices().rev().nth(150).map_or(0, |(at, _)| at);
                let context = &text[before..at];
                writeln!(found, "{name} is in {place}, behind: {context}")
                    .expect("a text takes any text");
            }
        }
    }
    assert!(found.is_empty(), "{found}");

    // What is no secret is found: so the places were looked into.
    let holds = |place: &str, words: &str| {
        seen.iter().any(|(name, text)| name.contains(place) && text.contains(words))
    };
    assert!(holds("the log", "mail job is SENT"), "the log is not that of the run");
    assert!(holds("the log", " WARN "), "no trouble was met");
    assert!(holds("the traces", "smtp.transaction"), "the traces are not those of the run");
    assert!(holds("the list of jobs", CONTROL), "the list is not that of the run");
    assert!(holds("metrics", "nuncio_"), "the metrics are not those of the run");
    assert!(holds("settings/", "ciphertext"), "the settings were not looked into");
    assert!(holds("a test with a wrong secret", "INVALID_CLIENT_SECRET"));
}

/// RFC 4648, section 4, without the last group: it would not show inside of a longer text.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks_exact(3) {
        let number = group.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        for shift in [18, 12, 6, 0] {
            text.push(char::from(DIGITS[number >> shift & 63]));
        }
    }
    text
}
