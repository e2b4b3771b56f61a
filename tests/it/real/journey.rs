//! Settings that work are proved, saved, and carry mail; whatever the way in and the kind of credential.

use nuncio_api::v1;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::{MailJobState, SmtpEncryption, SmtpTestStageKind};
use nuncio_tests::caller::{PATIENCE, reason};
use nuncio_tests::mails;
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::RealServers;

use super::{
    STARTTLS, TLS, Way, certificate, client, fresh, good, oauth, password, settings, shown, stage,
};

/// Proves and saves settings, sends a mail, and finds it in the mailbox of the recipient.
async fn check(servers: &RealServers, settings: v1::SmtpSettings, stages: &str, name: &str) {
    let node = TestNode::start().await;
    let recipient = fresh(name);

    let report = node.test(settings.clone()).await;
    assert_eq!(shown(&report), stages, "{report:#?}");
    node.save(settings).await.unwrap();
    let job = node.submit(mails::raw(v1::MailClass::Bulk, name, &[&recipient])).await;
    let job = node.wait_for_end(&job.name, PATIENCE).await;

    assert_eq!(job.state(), MailJobState::Sent, "{job:#?}");
    let found = servers.wait_for_mail(&recipient, 1, PATIENCE).await;
    assert_eq!(found.len(), 1);
    assert!(String::from_utf8_lossy(&found[0]).contains(&format!("Subject: {name}\n")));
    node.stop().await;
}

async fn check_oauth(way: Way, choose: fn(&RealServers) -> v1::OauthAuthentication, name: &str) {
    let servers = RealServers::in_turn().await;
    let settings = settings(&servers, way, Some(Authentication::Oauth(choose(&servers))));
    check(&servers, settings, "+ + + + + + +", name).await;
}

fn in_form(servers: &RealServers) -> v1::OauthAuthentication {
    oauth(servers, "svc-post")
}

fn in_header(servers: &RealServers) -> v1::OauthAuthentication {
    v1::OauthAuthentication { client_secret_basic: true, ..oauth(servers, "svc-basic") }
}

#[tokio::test]
async fn mail_arrives_with_a_secret_in_the_form_over_starttls() {
    check_oauth(STARTTLS, in_form, "post-starttls").await;
}

#[tokio::test]
async fn mail_arrives_with_a_secret_in_the_form_over_tls() {
    check_oauth(TLS, in_form, "post-tls").await;
}

#[tokio::test]
async fn mail_arrives_with_a_secret_in_the_header_over_starttls() {
    check_oauth(STARTTLS, in_header, "basic-starttls").await;
}

#[tokio::test]
async fn mail_arrives_with_a_secret_in_the_header_over_tls() {
    check_oauth(TLS, in_header, "basic-tls").await;
}

#[tokio::test]
async fn mail_arrives_with_a_signed_assertion_over_starttls() {
    check_oauth(STARTTLS, certificate, "pkjwt-starttls").await;
}

#[tokio::test]
async fn mail_arrives_with_a_signed_assertion_over_tls() {
    check_oauth(TLS, certificate, "pkjwt-tls").await;
}

#[tokio::test]
async fn mail_arrives_at_a_server_that_offers_nothing_but_tls_and_login() {
    let way = Way { port: "SMTP_BARE_PORT", encryption: SmtpEncryption::Starttls };
    check_oauth(way, in_form, "bare").await;
}

#[tokio::test]
async fn mail_arrives_with_a_password_over_starttls() {
    let servers = RealServers::in_turn().await;
    let way = Way { port: "SMTP_PLAIN_PORT", encryption: SmtpEncryption::Starttls };
    let settings = settings(&servers, way, Some(Authentication::Password(password(&servers))));
    check(&servers, settings, "+ + + - + + +", "password").await;
}

#[tokio::test]
async fn mail_arrives_at_a_relay_without_login_over_starttls() {
    let servers = RealServers::in_turn().await;
    let way = Way { port: "SMTP_RELAY_PORT", encryption: SmtpEncryption::Starttls };
    check(&servers, settings(&servers, way, None), "+ + + - + - +", "relay").await;
}

#[tokio::test]
async fn mail_arrives_at_a_relay_without_login_and_without_encryption() {
    let servers = RealServers::in_turn().await;
    let way = Way { port: "SMTP_CLEAR_PORT", encryption: SmtpEncryption::None };
    check(&servers, settings(&servers, way, None), "+ + - - + - +", "clear").await;
}

#[tokio::test]
async fn a_passed_test_tells_what_it_saw_at_each_stage() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;

    let report = node.test(good(&servers)).await;

    let port = servers.port("SMTP_STARTTLS_PORT");
    for (kind, parts) in [
        (SmtpTestStageKind::Dns, ["localhost", "127.0.0.1"]),
        (SmtpTestStageKind::Tcp, ["127.0.0.1", &port.to_string()]),
        (SmtpTestStageKind::Tls, ["TLS 1.3", "trusted"]),
        (SmtpTestStageKind::Token, ["appid svc-post", "roles mail.send"]),
        (SmtpTestStageKind::Ehlo, ["PIPELINING", "AUTH XOAUTH2"]),
        (SmtpTestStageKind::Auth, ["logged in as", servers.get("MAILBOX")]),
        (SmtpTestStageKind::Mail, ["250 2.1.0", "Ok"]),
    ] {
        let told = stage(&report, kind);
        for part in parts {
            assert!(told.detail.contains(part), "no `{part}` in {told:#?}");
        }
        assert!(told.elapsed.is_some(), "{told:#?}");
    }
    node.stop().await;
}

#[tokio::test]
async fn saved_settings_show_everything_but_the_secret() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;

    let saved = node.save_tested(good(&servers)).await;

    let Some(Authentication::Oauth(oauth)) = &saved.authentication else { panic!("{saved:?}") };
    assert_eq!((oauth.client_secret.as_str(), oauth.client_secret_set), ("", true));
    assert_eq!(oauth.token_endpoint, servers.get("OAUTH_TOKEN_URL"));
    assert_eq!((saved.port, saved.generation), (servers.port("SMTP_STARTTLS_PORT").into(), 1));
    node.stop().await;
}

#[tokio::test]
async fn a_secret_that_is_left_out_is_the_saved_one() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let saved = node.save_tested(good(&servers)).await;

    let other_port = v1::SmtpSettings { port: servers.port("SMTP_BARE_PORT").into(), ..saved };
    let report = node.test(other_port.clone()).await;

    assert_eq!(shown(&report), "+ + + + + + +");
    assert_eq!(node.save(other_port).await.unwrap().generation, 2);
    node.stop().await;
}

#[tokio::test]
async fn settings_that_differ_from_the_tested_ones_are_not_saved() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    assert!(node.test(good(&servers)).await.passed);

    let by_tls = settings(&servers, TLS, client(&servers, "svc-post"));
    let refused = node.save(by_tls).await.unwrap_err();

    let (_code, reason) = reason(&refused);
    assert_eq!(reason, "SMTP_SETTINGS_NOT_TESTED");
    node.stop().await;
}
