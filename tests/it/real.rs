//! The main job on real servers: an OAuth server, Postfix with Dovecot, and npm's smtp-server.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::fs;

use nuncio_api::v1;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::{SmtpEncryption, SmtpTestOutcome, SmtpTestStageKind};
use nuncio_tests::real_servers::RealServers;

mod certificates;
mod delivery;
mod dialect;
mod journey;
mod mistakes;
mod pool;
mod proxy;
mod recipients;
mod rotation;
mod secrets;
mod token_endpoint;
mod tokens;

/// Where and how mails are handed over.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// The key of a port, such as `SMTP_STARTTLS_PORT`.
    port: &'static str,
    encryption: SmtpEncryption,
}

const STARTTLS: Way = Way { port: "SMTP_STARTTLS_PORT", encryption: SmtpEncryption::Starttls };
const TLS: Way = Way { port: "SMTP_TLS_PORT", encryption: SmtpEncryption::Tls };

/// Settings with which mails get through: over STARTTLS, with the client `svc-post` and the private authority.
fn good(servers: &RealServers) -> v1::SmtpSettings {
    settings(servers, STARTTLS, client(servers, "svc-post"))
}

fn settings(
    servers: &RealServers,
    way: Way,
    authentication: Option<Authentication>,
) -> v1::SmtpSettings {
    v1::SmtpSettings {
        host: servers.host().to_owned(),
        port: servers.port(way.port).into(),
        encryption: way.encryption.into(),
        email_address: servers.get("MAILBOX").to_owned(),
        authentication,
        ca_certificates_pem: text(servers, "CA_FILE"),
        ..v1::SmtpSettings::default()
    }
}

/// OAuth as one of the clients with a secret in the form.
#[expect(clippy::unnecessary_wraps, reason = "it is what settings take")]
fn client(servers: &RealServers, id: &str) -> Option<Authentication> {
    Some(Authentication::Oauth(oauth(servers, id)))
}

fn oauth(servers: &RealServers, id: &str) -> v1::OauthAuthentication {
    v1::OauthAuthentication {
        client_id: id.to_owned(),
        client_secret: servers.client_secret(id).to_owned(),
        token_endpoint: servers.get("OAUTH_TOKEN_URL").to_owned(),
        scope: servers.get("OAUTH_SCOPE").to_owned(),
        ..v1::OauthAuthentication::default()
    }
}

/// OAuth as the client that signs its assertions.
fn certificate(servers: &RealServers) -> v1::OauthAuthentication {
    v1::OauthAuthentication {
        client_id: "svc-pkjwt".to_owned(),
        client_secret: String::new(),
        certificate_pem: text(servers, "CLIENT_CERT_FILE"),
        private_key_pem: text(servers, "CLIENT_KEY_FILE"),
        ..oauth(servers, "svc-post")
    }
}

fn password(servers: &RealServers) -> v1::PasswordAuthentication {
    v1::PasswordAuthentication {
        username: servers.get("PLAIN_USER").to_owned(),
        password: servers.get("PLAIN_PASSWORD").to_owned(),
        password_set: false,
    }
}

/// An address of this run; each test has names of its own, as tests run side by side.
fn fresh(name: &str) -> String {
    format!("{name}-{}@example.test", std::process::id())
}

/// The file that a key names.
fn text(servers: &RealServers, key: &str) -> String {
    let file = servers.get(key);
    fs::read_to_string(file).unwrap_or_else(|error| panic!("cannot read `{file}`: {error}"))
}

/// `+` for passed, `-` for skipped, the code for failed; in the order of the stages.
fn shown(report: &v1::SmtpTestReport) -> String {
    let [node] = report.nodes.as_slice() else { panic!("there is one node: {report:?}") };
    let kinds: Vec<_> = node.stages.iter().map(v1::SmtpTestStage::kind).collect();
    let without_proxy = kinds.strip_prefix(&[SmtpTestStageKind::Proxy]).unwrap_or(&kinds);
    let (once, more) = without_proxy.split_at(STAGES.len().min(without_proxy.len()));
    assert_eq!(once, STAGES, "every stage is told once, in order");
    assert!(more.chunks(2).all(|of_one| of_one == &STAGES[5..]), "then those of other mailboxes");
    let is_failed = |stage: &v1::SmtpTestStage| stage.outcome() == SmtpTestOutcome::Failed;
    assert_eq!(report.passed, !node.stages.iter().any(is_failed), "{report:?}");
    let show = |stage: &v1::SmtpTestStage| match stage.outcome() {
        SmtpTestOutcome::Passed => "+".to_owned(),
        SmtpTestOutcome::Skipped => "-".to_owned(),
        SmtpTestOutcome::Failed => stage.error_code.clone(),
        SmtpTestOutcome::Unspecified => panic!("a stage without an outcome: {stage:?}"),
    };
    node.stages.iter().map(show).collect::<Vec<_>>().join(" ")
}

const STAGES: [SmtpTestStageKind; 7] = [
    SmtpTestStageKind::Dns,
    SmtpTestStageKind::Tcp,
    SmtpTestStageKind::Tls,
    SmtpTestStageKind::Token,
    SmtpTestStageKind::Ehlo,
    SmtpTestStageKind::Auth,
    SmtpTestStageKind::Mail,
];

fn stage(report: &v1::SmtpTestReport, kind: SmtpTestStageKind) -> &v1::SmtpTestStage {
    let mut stages = report.nodes.iter().flat_map(|node| &node.stages);
    stages.find(|stage| stage.kind() == kind).expect("every stage is told")
}

/// The stage that failed; there is only one.
fn failed(report: &v1::SmtpTestReport) -> &v1::SmtpTestStage {
    let stages = report.nodes.iter().flat_map(|node| &node.stages);
    let failed: Vec<_> =
        stages.filter(|stage| stage.outcome() == SmtpTestOutcome::Failed).collect();
    let [failed] = failed.as_slice() else { panic!("not one stage failed: {report:#?}") };
    failed
}

/// What an operator reads of a failed stage must have all of these parts.
fn check_told(stage: &v1::SmtpTestStage, cause: &[&str], remedy: &[&str]) {
    for part in cause {
        assert!(stage.cause.contains(part), "no `{part}` in the cause: {stage:#?}");
    }
    for part in remedy {
        assert!(stage.remedy.contains(part), "no `{part}` in the remedy: {stage:#?}");
    }
}
