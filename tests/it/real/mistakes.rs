//! Settings with a mistake that the SMTP server finds.

use nuncio_api::v1;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::{SmtpEncryption, SmtpTestStageKind};
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::with_oauth;

use super::{STARTTLS, Way, check_told, client, failed, good, password, settings, shown, stage};

async fn check(
    settings: impl FnOnce(&RealServers) -> v1::SmtpSettings,
    stages: &str,
    cause: &[&str],
    remedy: &[&str],
) {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;

    let report = node.test(settings(&servers)).await;

    assert_eq!(shown(&report), stages, "{report:#?}");
    check_told(failed(&report), cause, remedy);
    node.stop().await;
}

fn way(port: &'static str, encryption: SmtpEncryption) -> Way {
    Way { port, encryption }
}

#[tokio::test]
async fn a_token_without_the_right_to_send_is_told_with_its_claims_and_the_server_s_reason() {
    check(
        |servers| settings(servers, STARTTLS, client(servers, "svc-nomail")),
        "+ + + + + INVALID_EMAIL_ADDRESS -",
        &["roles directory.read", r#""status":"401""#, "535 5.7.8"],
        &["the e-mail address is the mailbox's own", "the scope"],
    )
    .await;
}

#[tokio::test]
async fn a_token_of_another_mailbox_is_told_as_a_wrong_mailbox() {
    check(
        |servers| settings(servers, STARTTLS, client(servers, "svc-otheruser")),
        "+ + + + + INVALID_EMAIL_ADDRESS -",
        &["refused the login of this mailbox", "appid svc-otheruser"],
        &["(1) the e-mail address is the mailbox's own", "(3) the mailbox permission"],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_mailbox_is_told_as_such() {
    check(
        |servers| v1::SmtpSettings {
            email_address: "no-such-mailbox@example.test".to_owned(),
            ..good(servers)
        },
        "+ + + + + INVALID_EMAIL_ADDRESS -",
        &["535 5.7.8"],
        &["the e-mail address is the mailbox's own"],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    check(
        |servers| {
            let wrong = v1::PasswordAuthentication {
                password: "not-the-password".to_owned(),
                ..password(servers)
            };
            let way = way("SMTP_PLAIN_PORT", SmtpEncryption::Starttls);
            settings(servers, way, Some(Authentication::Password(wrong)))
        },
        "+ + + - + INVALID_PASSWORD -",
        &["refused user name or password", "535 5.7.8"],
        &["check user name and password"],
    )
    .await;
}

#[tokio::test]
async fn a_sender_that_the_login_does_not_own_is_refused_before_it_is_saved() {
    check(
        |servers| {
            let way = way("SMTP_PLAIN_PORT", SmtpEncryption::Starttls);
            let authentication = Some(Authentication::Password(password(servers)));
            v1::SmtpSettings {
                email_address: servers.get("OTHER_MAILBOX").to_owned(),
                ..settings(servers, way, authentication)
            }
        },
        "+ + + - + + SENDER_REFUSED",
        &["553 5.7.1", "not owned by user"],
        &["right to send as the other sender"],
    )
    .await;
}

#[tokio::test]
async fn a_submission_server_without_login_is_refused_before_it_is_saved() {
    check(
        |servers| settings(servers, STARTTLS, None),
        "+ + + - + - SENDER_REFUSED",
        &["554 5.7.1", "Access denied"],
        &["authentication"],
    )
    .await;
}

#[tokio::test]
async fn a_server_without_starttls_is_not_talked_to_in_clear_text() {
    check(
        |servers| {
            let way = way("SMTP_CLEAR_PORT", SmtpEncryption::Starttls);
            settings(servers, way, client(servers, "svc-post"))
        },
        "+ + STARTTLS_NOT_OFFERED + - - -",
        &["the SMTP server", "does not offer STARTTLS"],
        &["strip STARTTLS"],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_takes_passwords_only_is_told_with_what_it_offers() {
    check(
        |servers| {
            let way = way("SMTP_PLAIN_PORT", SmtpEncryption::Starttls);
            settings(servers, way, client(servers, "svc-post"))
        },
        "+ + + + + MECHANISM_NOT_OFFERED -",
        &["XOAUTH2", "PLAIN LOGIN"],
        &["choose another authentication method"],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_takes_tokens_only_is_told_with_what_it_offers() {
    check(
        |servers| settings(servers, STARTTLS, Some(Authentication::Password(password(servers)))),
        "+ + + - + MECHANISM_NOT_OFFERED -",
        &["PLAIN or LOGIN", "XOAUTH2"],
        &["choose another authentication method"],
    )
    .await;
}

#[tokio::test]
async fn tls_at_a_port_for_starttls_is_told_with_the_remedy() {
    check(
        |servers| {
            let way = way("SMTP_STARTTLS_PORT", SmtpEncryption::Tls);
            settings(servers, way, client(servers, "svc-post"))
        },
        "+ + TLS_FAILED + - - -",
        &["did not answer in TLS"],
        &["a port for STARTTLS does not speak TLS at once"],
    )
    .await;
}

/// Such a server waits for TLS while nuncio waits for its greeting.
#[tokio::test]
async fn starttls_at_a_port_for_tls_ends_with_the_time_out_and_names_the_server() {
    check(
        |servers| {
            let way = way("SMTP_TLS_PORT", SmtpEncryption::Starttls);
            v1::SmtpSettings {
                connect_timeout: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
                ..settings(servers, way, client(servers, "svc-post"))
            }
        },
        "+ + CONNECTION_TIMED_OUT + - - -",
        &["the SMTP server", "2 s", "while waiting for the greeting"],
        &["at a port for TLS from the first byte (mostly 465) choose TLS"],
    )
    .await;
}

#[tokio::test]
async fn two_mistakes_are_told_at_once() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let way = way("SMTP_WRONG_NAME_PORT", SmtpEncryption::Starttls);
    let settings = settings(&servers, way, client(&servers, "svc-post"));
    let settings = with_oauth(settings, |oauth| oauth.client_secret = "wrong".to_owned());

    let report = node.test(settings).await;

    assert_eq!(shown(&report), "+ + CERTIFICATE_NAME_MISMATCH INVALID_CLIENT_SECRET - - -");
    assert!(
        !stage(&report, SmtpTestStageKind::Auth).detail.is_empty(),
        "it says why it was skipped"
    );
    node.stop().await;
}
