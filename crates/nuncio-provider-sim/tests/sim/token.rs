//! The token endpoint: what it gives, and how it refuses.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use nuncio_provider_sim::config::*;
use serde_json::Value;

use crate::client::*;

async fn check(tenant: &str, changes: &[(&str, &str)], status: u16, error: &str, code: u32) {
    let sim = exchange().await;

    let response = ask(&sim, tenant, &form(changes)).await.unwrap();

    let body = response.json();
    assert_eq!((response.status, body["error"].as_str()), (status, Some(error)), "{body}");
    assert_eq!(body["error_codes"], serde_json::json!([code]));
    assert!(
        body["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{code}: ")),
        "{body}"
    );
    for field in ["timestamp", "trace_id", "correlation_id", "error_uri"] {
        assert!(body[field].is_string(), "`{field}` is missing in {body}");
    }
    let counted = sim.stats();
    assert_eq!((counted.token_requests, counted.tokens_issued), (1, 0));
}

pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_good_secret_gets_a_token_for_the_resource() {
    let sim = exchange().await;

    let response = ask(&sim, DEFAULT_TENANT_ID, &GOOD).await.unwrap();

    let body = response.json();
    assert_eq!(response.status, 200);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3599);
    let claims = claims(body["access_token"].as_str().unwrap());
    assert_eq!(claims["aud"], DEFAULT_AUDIENCE);
    assert_eq!(claims["appid"], DEFAULT_CLIENT_ID);
    assert_eq!(claims["tid"], DEFAULT_TENANT_ID);
    assert_eq!(claims["roles"][0], "SMTP.SendAsApp");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3599);
    assert_eq!(sim.stats().tokens_issued, 1);
}

#[tokio::test]
async fn a_domain_names_its_tenant() {
    let sim = exchange().await;
    let response = ask(&sim, "Contoso.example", &GOOD).await.unwrap();
    assert_eq!(claims(response.json()["access_token"].as_str().unwrap())["tid"], DEFAULT_TENANT_ID);
}

#[tokio::test]
async fn credentials_may_come_as_http_basic() {
    let sim = simulator(|config| {
        config.clients[0].secrets[0].value = SimSecret::new("needs: encoding+");
    })
    .await;
    let credentials = STANDARD.encode(format!("{DEFAULT_CLIENT_ID}:needs%3A+encoding%2B"));
    let head = format!(
        "POST /{DEFAULT_TENANT_ID}/oauth2/v2.0/token HTTP/1.1\r\nAuthorization: Basic {credentials}"
    );

    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("grant_type", "client_credentials"), ("scope", DEFAULT_SCOPE)])
        .finish();
    let response = to_token_endpoint(&sim, &head, &body).await.unwrap();

    assert_eq!(response.status, 200, "{}", response.body);
}

#[tokio::test]
async fn an_unknown_tenant_is_refused() {
    check("fabrikam.example", &[], 400, "invalid_request", 90_002).await;
    check("00000000-0000-0000-0000-000000000000", &[], 400, "invalid_request", 90_002).await;
}

#[tokio::test]
async fn a_malformed_tenant_is_refused() {
    check("contoso", &[], 400, "invalid_request", 900_023).await;
}

#[tokio::test]
async fn an_unknown_client_is_refused() {
    check(DEFAULT_TENANT_ID, &[("client_id", "someone-else")], 400, "unauthorized_client", 700_016)
        .await;
}

#[tokio::test]
async fn a_client_of_another_tenant_is_unknown() {
    let sim = simulator(|config| config.clients[0].tenant = "another".to_owned()).await;
    let response = ask(&sim, DEFAULT_TENANT_ID, &GOOD).await.unwrap();
    assert_eq!(response.json()["error_codes"][0], 700_016);
}

#[tokio::test]
async fn a_disabled_client_is_refused() {
    let sim = simulator(|config| config.clients[0].disabled = true).await;
    let response = ask(&sim, DEFAULT_TENANT_ID, &GOOD).await.unwrap();
    assert_eq!(response.json()["error_codes"][0], 7_000_112);
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    check(DEFAULT_TENANT_ID, &[("client_secret", "wrong")], 401, "invalid_client", 7_000_215).await;
}

#[tokio::test]
async fn the_id_of_a_secret_is_not_its_value() {
    check(
        DEFAULT_TENANT_ID,
        &[("client_secret", DEFAULT_SECRET_ID)],
        401,
        "invalid_client",
        7_000_215,
    )
    .await;
}

#[tokio::test]
async fn no_credential_is_refused() {
    check(DEFAULT_TENANT_ID, &[("client_secret", "")], 401, "invalid_client", 7_000_218).await;
}

#[tokio::test]
async fn a_delegated_scope_is_refused() {
    let scope = "https://outlook.office.com/SMTP.Send";
    check(DEFAULT_TENANT_ID, &[("scope", scope)], 400, "invalid_scope", 1_002_012).await;
}

#[tokio::test]
async fn two_scopes_are_refused() {
    let scope = "https://a.example/.default https://b.example/.default";
    check(DEFAULT_TENANT_ID, &[("scope", scope)], 400, "invalid_scope", 70_011).await;
}

#[tokio::test]
async fn an_unknown_resource_is_refused() {
    let scope = "https://unknown.example/.default";
    check(DEFAULT_TENANT_ID, &[("scope", scope)], 400, "invalid_resource", 500_011).await;
}

#[tokio::test]
async fn another_grant_is_refused() {
    check(DEFAULT_TENANT_ID, &[("grant_type", "password")], 400, "unsupported_grant_type", 70_003)
        .await;
}

#[tokio::test]
async fn a_missing_parameter_is_named() {
    check(DEFAULT_TENANT_ID, &[("scope", "")], 400, "invalid_request", 900_144).await;
}

#[tokio::test]
async fn an_expired_secret_is_refused_and_a_new_one_works() {
    let sim = exchange().await;
    sim.expire_secrets();

    let refused = ask(&sim, DEFAULT_TENANT_ID, &GOOD).await.unwrap();
    assert_eq!((refused.status, refused.json()["error_codes"][0].clone()), (401, 7_000_222.into()));

    let secret =
        ClientSecret { value: SimSecret::new("fresh"), secret_id: String::new(), expires: None };
    assert!(sim.add_secret(DEFAULT_CLIENT_ID, secret));
    let given = ask(&sim, DEFAULT_TENANT_ID, &form(&[("client_secret", "fresh")])).await.unwrap();
    assert_eq!(given.status, 200);
}

#[tokio::test]
async fn discovery_names_the_token_endpoint() {
    let sim = exchange().await;
    let head =
        format!("GET /{DEFAULT_TENANT_DOMAIN}/v2.0/.well-known/openid-configuration HTTP/1.1");

    let response = to_token_endpoint(&sim, &head, "").await.unwrap();

    assert_eq!(response.json()["token_endpoint"], sim.token_url(DEFAULT_TENANT_ID));
}

#[tokio::test]
async fn a_get_is_refused() {
    let sim = exchange().await;
    let head = format!("GET /{DEFAULT_TENANT_ID}/oauth2/v2.0/token HTTP/1.1");
    let response = to_token_endpoint(&sim, &head, "").await.unwrap();
    assert_eq!((response.status, response.json()["error_codes"][0].clone()), (400, 900_561.into()));
}
