//! Faults of the token endpoint.

use nuncio_provider_sim::config::DEFAULT_TENANT_ID;
use nuncio_provider_sim::fault::{TokenAction, TokenFault, TokenResponse};
use nuncio_provider_sim::simulator::Simulator;

use crate::client::*;

async fn with(action: TokenAction) -> (Simulator, Option<Response>) {
    let sim = exchange().await;
    sim.faults().push_token(TokenFault::next(1, action));
    let response = ask(&sim, DEFAULT_TENANT_ID, &GOOD).await;
    (sim, response)
}

#[tokio::test]
async fn throttling_is_a_429_with_plain_text_and_passes() {
    let (sim, response) = with(TokenAction::Throttle { retry_after_s: 60 }).await;

    let response = response.unwrap();
    assert_eq!(response.status, 429);
    assert!(response.head.contains("retry-after: 60"), "{}", response.head);
    assert!(serde_json::from_str::<serde_json::Value>(&response.body).is_err());

    assert_eq!(ask(&sim, DEFAULT_TENANT_ID, &GOOD).await.unwrap().status, 200);
    let stats = sim.stats();
    assert_eq!((stats.token_requests, stats.tokens_issued), (2, 1));
}

#[tokio::test]
async fn an_outage_is_a_503() {
    let (_sim, response) = with(TokenAction::Unavailable { retry_after_s: None }).await;
    let response = response.unwrap();
    assert_eq!((response.status, response.head.contains("retry-after")), (503, false));
}

#[tokio::test]
async fn any_answer_can_be_scripted() {
    let (_sim, response) = with(TokenAction::Respond(TokenResponse {
        status: 400,
        body: "{\"error\":\"temporarily_unavailable\"}".to_owned(),
        content_type: "application/json".to_owned(),
        retry_after: Some("Fri, 31 Dec 2027 23:59:59 GMT".to_owned()),
    }))
    .await;
    let response = response.unwrap();
    assert_eq!(response.status, 400);
    assert!(response.head.contains("retry-after: fri, 31 dec 2027"), "{}", response.head);
    assert_eq!(response.json()["error"], "temporarily_unavailable");
}

#[tokio::test]
async fn a_redirect_leads_elsewhere() {
    let (_sim, response) =
        with(TokenAction::Redirect("https://evil.example/token".to_owned())).await;
    let response = response.unwrap();
    assert_eq!(response.status, 302);
    assert!(response.head.contains("location: https://evil.example/token"), "{}", response.head);
}

#[tokio::test]
async fn a_captive_portal_answers_html() {
    let (_sim, response) = with(TokenAction::Html).await;
    let response = response.unwrap();
    assert_eq!(response.status, 200);
    assert!(response.body.starts_with("<html>"));
}

#[tokio::test]
async fn a_reset_breaks_the_request() {
    let (_sim, response) = with(TokenAction::Reset).await;
    assert!(response.is_none());
}

#[tokio::test]
async fn a_huge_body_is_huge() {
    let (_sim, response) = with(TokenAction::HugeBody(1_000_000)).await;
    assert!(1_000_000 < response.unwrap().body.len());
}

#[tokio::test]
async fn the_life_of_a_token_can_be_told_as_text() {
    let (_sim, response) = with(TokenAction::ExpiresInAsText).await;
    assert_eq!(response.unwrap().json()["expires_in"], "3599");
}

#[tokio::test]
async fn the_life_of_a_token_can_be_any_json() {
    for (told, expect) in [("-1", "-1"), ("{}", "{}"), ("null", "null"), ("soon", "\"soon\"")] {
        let (_sim, response) = with(TokenAction::ExpiresInAs(told.to_owned())).await;
        assert_eq!(response.unwrap().json()["expires_in"].to_string(), expect);
    }
}

#[tokio::test]
async fn the_life_of_a_token_can_be_left_out() {
    let (_sim, response) = with(TokenAction::ExpiresInMissing).await;
    assert!(response.unwrap().json().get("expires_in").is_none());
}

#[tokio::test]
async fn the_life_of_a_token_can_be_set() {
    let (_sim, response) = with(TokenAction::Lifetime(5)).await;
    assert_eq!(response.unwrap().json()["expires_in"], 5);
}

#[tokio::test]
async fn a_token_can_have_4000_characters() {
    let (sim, response) = with(TokenAction::TokenSize(4000)).await;
    let token = response.unwrap().json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 4000);

    let mut smtp = Smtp::hello(&sim).await;
    assert_code(&smtp.command("AUTH XOAUTH2").await, "334");
    assert_code(&smtp.command(&xoauth2("no-reply@contoso.example", &token)).await, "235");
}

#[tokio::test]
async fn a_delayed_answer_is_the_true_one() {
    let (sim, response) = with(TokenAction::Delay(30)).await;
    assert_eq!((response.unwrap().status, sim.faults().shown()), (200, 1));
}

#[tokio::test]
async fn a_stalled_request_gets_no_answer() {
    let sim = exchange().await;
    sim.faults().push_token(TokenFault::always(TokenAction::Stall));
    let waited = std::time::Duration::from_millis(150);
    assert!(tokio::time::timeout(waited, ask(&sim, DEFAULT_TENANT_ID, &GOOD)).await.is_err());
}
