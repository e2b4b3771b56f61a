//! The admin endpoint.

use nuncio_provider_sim::config::*;
use nuncio_provider_sim::simulator::Simulator;
use tokio::net::TcpStream;

use crate::client::*;

async fn admin(sim: &Simulator, request: &str, body: &str) -> Response {
    let tcp = TcpStream::connect(sim.admin_addr()).await.unwrap();
    http(tcp, &format!("{request} HTTP/1.1"), body).await.unwrap()
}

#[tokio::test]
async fn accepted_mails_and_statistics_can_be_read() {
    let sim = exchange().await;
    Smtp::ready(&sim).await.mail("1", &["a@b.example"]).await;

    let accepted = admin(&sim, "GET /accepted", "").await.json();
    assert_eq!(accepted["accepted"], 1);
    assert_eq!(accepted["mails"][0]["recipients"][0], "a@b.example");
    assert!(accepted["mails"][0].get("data").is_none());
    let with_data = admin(&sim, "GET /accepted?data=1", "").await.json();
    assert_eq!(with_data["mails"][0]["data"], message(DEFAULT_MAILBOX, "1"));

    let stats = admin(&sim, "GET /stats", "").await.json();
    assert_eq!((&stats["mails_accepted"], &stats["token_requests"]), (&1.into(), &1.into()));
    assert_eq!(admin(&sim, "GET /ca.pem", "").await.body, sim.ca_pem());
}

#[tokio::test]
async fn faults_can_be_added_and_taken_away() {
    let sim = exchange().await;
    let script = r#"{
        "smtp": [{ "phase": "mail", "action": { "reply": "451 4.7.0 later" }, "when": { "every": 2 } }],
        "token": [{ "action": { "throttle": { "retry_after_s": 7 } } }]
    }"#;
    assert_eq!(admin(&sim, "POST /faults", script).await.status, 204);
    assert_eq!(ask(&sim, DEFAULT_TENANT_ID, &GOOD).await.unwrap().status, 429);

    assert_eq!(admin(&sim, "DELETE /faults", "").await.status, 204);
    assert_eq!(ask(&sim, DEFAULT_TENANT_ID, &GOOD).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_bad_script_is_refused_whole() {
    let sim = exchange().await;
    let response =
        admin(&sim, "POST /faults", r#"{"smtp": [{"phase": "lunch", "action": "cut"}]}"#).await;
    assert_eq!(response.status, 400);
    assert!(response.body.contains("lunch"), "{}", response.body);
}

#[tokio::test]
async fn tokens_and_secrets_can_be_expired() {
    let sim = exchange().await;
    let token = token(&sim).await;
    assert_eq!(admin(&sim, "POST /tokens/expire-all", "").await.status, 204);
    let mut smtp = Smtp::hello(&sim).await;
    assert_code(
        &smtp.command(&format!("AUTH XOAUTH2 {}", xoauth2(DEFAULT_MAILBOX, &token))).await,
        "535",
    );

    assert_eq!(admin(&sim, "POST /secrets/expire", "").await.status, 204);
    assert_eq!(
        ask(&sim, DEFAULT_TENANT_ID, &GOOD).await.unwrap().json()["error_codes"][0],
        7_000_222
    );
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let sim = exchange().await;
    assert_eq!(admin(&sim, "GET /nothing", "").await.status, 404);
}
