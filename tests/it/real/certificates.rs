//! Servers whose certificates must be refused.

use nuncio_api::v1;
use nuncio_api::v1::SmtpEncryption;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::RealServers;

use super::{Way, check_told, client, failed, good, oauth, settings, shown, stage};
use nuncio_api::v1::SmtpTestStageKind::{Tls, Token};

/// What is wrong with a certificate, how its ports are called, and what is told.
struct Bad {
    code: &'static str,
    cause: &'static [&'static str],
    remedy: &'static [&'static str],
}

const EXPIRED: Bad = Bad {
    code: "CERTIFICATE_EXPIRED",
    cause: &["expired at 2024-02-01T00:00:00Z"],
    remedy: &["renew the server's certificate"],
};
const WRONG_NAME: Bad = Bad {
    code: "CERTIFICATE_NAME_MISMATCH",
    cause: &["is valid for mail.other.test, not for `localhost`"],
    remedy: &["use a host name that the certificate is valid for"],
};
const SELF_SIGNED: Bad = Bad {
    code: "NO_VALID_CERTIFICATION_PATH",
    cause: &["`CN=localhost`", "signed by itself"],
    remedy: &["ca_certificates_pem"],
};

async fn check_smtp(port: &'static str, bad: &Bad) {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let way = Way { port, encryption: SmtpEncryption::Starttls };

    let report = node.test(settings(&servers, way, client(&servers, "svc-post"))).await;

    assert_eq!(shown(&report), format!("+ + {} + - - -", bad.code));
    let told = failed(&report);
    check_told(told, &["the SMTP server", &servers.port(port).to_string()], &[]);
    check_told(told, bad.cause, bad.remedy);
    check_chain(told, "CN=localhost");
    node.stop().await;
}

async fn check_oauth(port: &'static str, bad: &Bad) {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let oauth = v1::OauthAuthentication {
        token_endpoint: format!("https://{}:{}/token", servers.host(), servers.port(port)),
        ..oauth(&servers, "svc-post")
    };
    let mut settings = good(&servers);
    settings.authentication = Some(Authentication::Oauth(oauth));

    let report = node.test(settings).await;

    assert_eq!(shown(&report), format!("+ + + {} + - -", bad.code));
    let told = failed(&report);
    check_told(told, &["the token endpoint", &servers.port(port).to_string()], &[]);
    check_told(told, bad.cause, bad.remedy);
    check_chain(told, "CN=localhost");
    node.stop().await;
}

fn check_chain(told: &v1::SmtpTestStage, subject: &str) {
    let chain = &told.presented_chain;
    // The OAuth server sends its authority along.
    assert!((1..=2).contains(&chain.len()), "{told:#?}");
    assert_eq!(chain[0].subject, subject);
    assert_eq!(chain[0].sha256_fingerprint.len(), 64);
}

#[tokio::test]
async fn an_expired_certificate_of_the_smtp_server_is_told_with_its_end() {
    check_smtp("SMTP_EXPIRED_PORT", &EXPIRED).await;
}

#[tokio::test]
async fn an_smtp_server_of_another_name_is_told_with_its_names() {
    check_smtp("SMTP_WRONG_NAME_PORT", &WRONG_NAME).await;
}

#[tokio::test]
async fn a_self_signed_smtp_server_is_told_as_such() {
    check_smtp("SMTP_SELF_SIGNED_PORT", &SELF_SIGNED).await;
}

#[tokio::test]
async fn an_expired_certificate_of_the_oauth_server_is_told_with_its_end() {
    check_oauth("OAUTH_EXPIRED_PORT", &EXPIRED).await;
}

#[tokio::test]
async fn an_oauth_server_of_another_name_is_told_with_its_names() {
    check_oauth("OAUTH_WRONG_NAME_PORT", &WRONG_NAME).await;
}

#[tokio::test]
async fn a_self_signed_oauth_server_is_told_as_such() {
    check_oauth("OAUTH_SELF_SIGNED_PORT", &SELF_SIGNED).await;
}

#[tokio::test]
async fn without_the_private_authority_both_servers_are_told_with_the_missing_issuer() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let settings = v1::SmtpSettings { ca_certificates_pem: String::new(), ..good(&servers) };

    let report = node.test(settings).await;

    let code = "NO_VALID_CERTIFICATION_PATH";
    assert_eq!(shown(&report), format!("+ + {code} {code} - - -"), "both at once");
    for (kind, server) in [(Tls, "the SMTP server"), (Token, "the token endpoint")] {
        let told = stage(&report, kind);
        check_told(
            told,
            &[server, "`CN=nuncio tests CA`, which is not a trusted certificate authority"],
            &["`nuncio settings trust add nuncio-tests-ca --file nuncio-tests-ca.pem`"],
        );
        check_chain(told, "CN=localhost");
        assert_eq!(told.presented_chain[0].issuer, "CN=nuncio tests CA");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_self_signed_server_is_trusted_once_its_certificate_is_given() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let way = Way { port: "SMTP_SELF_SIGNED_PORT", encryption: SmtpEncryption::Starttls };
    let mut settings = settings(&servers, way, client(&servers, "svc-post"));
    let file = servers.ca_file().with_file_name("self-signed.pem");
    let pem = std::fs::read_to_string(file).unwrap();
    let certificate = &pem[pem.find("-----BEGIN CERTIFICATE").expect("it stands behind its key")..];
    settings.ca_certificates_pem.push_str(certificate);

    let report = node.test(settings).await;

    assert_eq!(shown(&report), "+ + + + + + +", "{report:#?}");
    node.stop().await;
}
