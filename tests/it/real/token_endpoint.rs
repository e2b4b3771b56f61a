//! A token endpoint in trouble, and credentials that it refuses.

use nuncio_api::v1;
use nuncio_api::v1::MailJobState;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_tests::caller::{PATIENCE, reason};
use nuncio_tests::mails;
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::with_oauth;

use super::{certificate, check_told, failed, fresh, good, oauth, shown, text};

/// Tests good settings with other OAuth values: only the token fails, as `code`.
async fn check(
    code: &str,
    change: impl FnOnce(&RealServers, &mut v1::OauthAuthentication),
    cause: &[&str],
    remedy: &[&str],
) {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let settings = with_oauth(good(&servers), |oauth| change(&servers, oauth));

    let report = node.test(settings.clone()).await;

    assert_eq!(shown(&report), format!("+ + + {code} + - -"), "{report:#?}");
    check_told(failed(&report), cause, remedy);
    let refused = node.save(settings).await.unwrap_err();
    assert_eq!(reason(&refused).1, "SMTP_SETTINGS_NOT_TESTED");
    node.stop().await;
}

#[tokio::test]
async fn a_wrong_secret_is_told_with_the_usual_mistake() {
    let wrong = |_: &RealServers, oauth: &mut v1::OauthAuthentication| {
        oauth.client_secret = "not-the-secret".to_owned();
    };
    let cause = ["client id or client secret is wrong", "the token endpoint", "invalid_client"];
    check("INVALID_CLIENT_SECRET", wrong, &cause, &["the secret's value"]).await;
}

#[tokio::test]
async fn a_secret_id_in_place_of_the_secret_is_found_out() {
    let id = |_: &RealServers, oauth: &mut v1::OauthAuthentication| {
        oauth.client_secret = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9".to_owned();
    };
    check("INVALID_CLIENT_SECRET", id, &[], &["has the form of an ID", "VALUE"]).await;
}

#[tokio::test]
async fn an_expired_secret_is_told_as_expired() {
    let expired = |servers: &RealServers, oauth_: &mut v1::OauthAuthentication| {
        *oauth_ = oauth(servers, "svc-secret-expired");
    };
    let cause = ["the client secret has expired", "its client secret is expired"];
    check("CLIENT_SECRET_EXPIRED", expired, &cause, &["make a new client secret"]).await;
}

#[tokio::test]
async fn an_unknown_client_is_told_as_such_or_as_a_wrong_secret() {
    let unknown = |_: &RealServers, oauth: &mut v1::OauthAuthentication| {
        oauth.client_id = "svc-nobody-knows".to_owned();
    };
    check("INVALID_CLIENT_SECRET", unknown, &["client id"], &["check client id"]).await;
}

#[tokio::test]
async fn a_key_that_is_not_that_of_the_certificate_is_refused() {
    let wrong_key = |servers: &RealServers, oauth: &mut v1::OauthAuthentication| {
        *oauth = certificate(servers);
        oauth.private_key_pem = text(servers, "OAUTH_SIGNING_KEY");
    };
    check("INVALID_CERTIFICATE", wrong_key, &[], &["certificate"]).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_registered_for_the_client_is_refused() {
    let other = |servers: &RealServers, oauth: &mut v1::OauthAuthentication| {
        *oauth =
            v1::OauthAuthentication { client_id: "svc-post".to_owned(), ..certificate(servers) };
    };
    let cause = ["the client assertion is not accepted"];
    check("INVALID_CERTIFICATE", other, &cause, &["registered for the client", "clock"]).await;
}

#[tokio::test]
async fn a_wrong_path_is_told_as_a_wrong_tenant_or_endpoint() {
    let path = |servers: &RealServers, oauth: &mut v1::OauthAuthentication| {
        oauth.token_endpoint =
            format!("{}/wrong-tenant/oauth2/v2.0/token", servers.get("OAUTH_ISSUER"));
    };
    check("INVALID_TENANT_OR_ENDPOINT", path, &["404"], &["path and tenant"]).await;
}

async fn check_fault(fault: &str, code: &str, cause: &[&str], remedy: &[&str]) {
    let faulty = |servers: &RealServers, oauth: &mut v1::OauthAuthentication| {
        oauth.token_endpoint = servers.faulty_token_url(fault);
    };
    check(code, faulty, cause, remedy).await;
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_is_told_as_its_trouble() {
    check_fault("status-503", "TOKEN_ENDPOINT_UNAVAILABLE", &["the token endpoint"], &["wait"])
        .await;
}

#[tokio::test]
async fn a_token_endpoint_that_throttles_is_told_as_such() {
    check_fault("status-429", "TOKEN_ENDPOINT_THROTTLED", &["fewer requests"], &["wait"]).await;
}

#[tokio::test]
async fn a_captive_portal_is_told_with_its_title() {
    let cause = ["not a token response", "Please log in", "captive portal"];
    check_fault("html", "NOT_A_TOKEN_RESPONSE", &cause, &["direct HTTPS"]).await;
}

#[tokio::test]
async fn a_token_endpoint_that_breaks_the_connection_is_told() {
    check_fault("reset", "TOKEN_ENDPOINT_UNAVAILABLE", &["the token endpoint"], &[""]).await;
}

#[tokio::test]
async fn a_slow_token_endpoint_is_named_when_the_time_is_up() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let slow = servers.faulty_token_url("delay-20000");
    let mut settings = with_oauth(good(&servers), |oauth| oauth.token_endpoint = slow);
    settings.connect_timeout = Some(prost_types::Duration { seconds: 2, nanos: 0 });

    let report = node.test(settings).await;

    assert_eq!(shown(&report), "+ + + TOKEN_ENDPOINT_TIMED_OUT + - -");
    check_told(
        failed(&report),
        &["the token endpoint", "2 s"],
        &["another server than the SMTP server"],
    );
    node.stop().await;
}

#[tokio::test]
async fn a_token_endpoint_that_only_takes_its_time_is_good_enough() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let slow = servers.faulty_token_url("delay-1500");

    let report = node.test(with_oauth(good(&servers), |oauth| oauth.token_endpoint = slow)).await;

    assert_eq!(shown(&report), "+ + + + + + +");
    node.stop().await;
}

#[tokio::test]
async fn an_outage_of_the_token_endpoint_holds_the_mail_and_costs_no_attempt() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let recipient = fresh("token-outage");
    // The settings are tested where it works; then the saved ones meet two failures.
    let url = servers.faulty_token_url(&format!("down-2-3-outage{}", std::process::id()));
    let settings = with_oauth(good(&servers), |oauth| oauth.token_endpoint = url);
    node.save_tested(settings).await;

    let job = node.submit(mails::raw(v1::MailClass::Credentials, "outage", &[&recipient])).await;
    let waiting = node.wait_for_state(&job.name, MailJobState::Deferred, PATIENCE).await;
    let sent = node.wait_for_end(&job.name, PATIENCE).await;

    assert_eq!(waiting.reason.unwrap().code, "TOKEN_ENDPOINT_UNAVAILABLE");
    assert_eq!((sent.state(), sent.attempt_count), (MailJobState::Sent, 1), "only one is counted");
    let (_job, attempts) = node.job(&job.name).await;
    assert!(attempts.iter().filter(|attempt| !attempt.counted).count() >= 1, "{attempts:#?}");
    assert_eq!(servers.wait_for_mail(&recipient, 1, PATIENCE).await.len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn good_settings_stay_when_others_fail_their_test() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let saved = node.save_tested(good(&servers)).await;
    let wrong = with_oauth(good(&servers), |oauth| oauth.client_secret = "wrong".to_owned());

    assert!(!node.test(wrong).await.passed);
    let job = node.submit(mails::raw(v1::MailClass::Bulk, "stays", &[&fresh("stays")])).await;
    let sent = node.wait_for_end(&job.name, PATIENCE).await;

    assert_eq!(sent.state(), MailJobState::Sent);
    assert_eq!(sent.settings_generation, saved.generation);
    assert!(matches!(saved.authentication, Some(Authentication::Oauth(_))));
    node.stop().await;
}
