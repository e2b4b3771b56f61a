use nuncio_core::secret::{ClientSecret, PrivateKeyPem};
use serde_json::json;

use super::*;
use crate::aadsts::{
    CONDITIONAL_ACCESS, CONSENT_MISSING, INVALID_CLIENT_ID, INVALID_SCOPE, INVALID_TOKEN_REQUEST,
};

const SECRET: &str = "Zq8Q~hunter2";

fn client(credential: ClientCredential) -> OauthClient {
    OauthClient {
        client_id: "the-client".to_owned(),
        tenant_id: None,
        credential,
        client_secret_expire_date: None,
        next_secret: None,
        token_endpoint: "https://login.example.test/token".to_owned(),
        scope: "mail.send".to_owned(),
    }
}

fn with_secret(secret: &str) -> OauthClient {
    client(ClientCredential::SecretPost(ClientSecret::from(secret.to_owned())))
}

fn with_certificate() -> OauthClient {
    let private_key = PrivateKeyPem::from(String::new());
    client(ClientCredential::Certificate { certificate_pem: String::new(), private_key })
}

fn asked(client: &OauthClient) -> Asked<'_> {
    let server = Server { role: "the token endpoint", host: "login.example.test", port: 443 };
    Asked { server, client }
}

fn refusal(client: &OauthClient, status: u16, body: Value) -> TokenError {
    let refusal: Refusal = serde_json::from_value(body).unwrap();
    refused(asked(client), &Seen { status, ..Seen::default() }, &refusal)
}

fn entra(status: u16, error: &str, code: u32) -> TokenError {
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: words. Trace ID: x"),
        "error_codes": [code],
        "trace_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        "correlation_id": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    });
    refusal(&with_secret(SECRET), status, body)
}

fn is_fatal(error: &TokenError) -> bool {
    error.kind == TokenErrorKind::Fatal
}

#[expect(clippy::unreadable_literal, reason = "the codes are written as the provider writes them")]
const FATAL: &[(u16, &str, u32, &str)] = &[
    (400, "invalid_request", 90002, INVALID_TENANT_OR_ENDPOINT),
    (400, "invalid_request", 900023, INVALID_TENANT_OR_ENDPOINT),
    (400, "invalid_request", 90038, INVALID_TENANT_OR_ENDPOINT),
    (400, "invalid_request", 900382, INVALID_TENANT_OR_ENDPOINT),
    (400, "invalid_request", 900432, INVALID_TENANT_OR_ENDPOINT),
    (400, "invalid_request", 50194, INVALID_TENANT_OR_ENDPOINT),
    (400, "invalid_request", 9001023, INVALID_TENANT_OR_ENDPOINT),
    (401, "invalid_client", 7000215, INVALID_CLIENT_SECRET),
    (401, "invalid_client", 7000222, CLIENT_SECRET_EXPIRED),
    (401, "invalid_client", 7000218, INVALID_TOKEN_REQUEST),
    (401, "invalid_client", 700025, INVALID_CLIENT_ID),
    (400, "unauthorized_client", 700016, INVALID_CLIENT_ID),
    (400, "unauthorized_client", 7000112, INVALID_CLIENT_ID),
    (400, "unauthorized_client", 70001, INVALID_CLIENT_ID),
    (400, "unauthorized_client", 7000229, CONSENT_MISSING),
    (400, "invalid_grant", 65001, CONSENT_MISSING),
    (400, "invalid_client", 650057, CONSENT_MISSING),
    (400, "invalid_scope", 70011, INVALID_SCOPE),
    (400, "invalid_scope", 1002012, INVALID_SCOPE),
    (400, "invalid_resource", 500011, INVALID_SCOPE),
    (400, "invalid_resource", 500014, INVALID_SCOPE),
    (401, "invalid_client", 700024, INVALID_CERTIFICATE),
    (401, "invalid_client", 500133, INVALID_CERTIFICATE),
    (401, "invalid_client", 700027, INVALID_CERTIFICATE),
    (401, "invalid_client", 50012, INVALID_CERTIFICATE),
    (401, "invalid_client", 50013, INVALID_CERTIFICATE),
    (400, "invalid_client", 70021, INVALID_CERTIFICATE),
    (401, "invalid_client", 700211, INVALID_CERTIFICATE),
    (401, "invalid_client", 700212, INVALID_CERTIFICATE),
    (401, "invalid_client", 700213, INVALID_CERTIFICATE),
    (400, "access_denied", 53003, CONDITIONAL_ACCESS),
    (400, "access_denied", 530032, CONDITIONAL_ACCESS),
    (400, "access_denied", 530035, CONDITIONAL_ACCESS),
    (400, "invalid_grant", 50034, INVALID_TOKEN_REQUEST),
    (400, "invalid_request", 900144, INVALID_TOKEN_REQUEST),
    (400, "invalid_request", 9002313, INVALID_TOKEN_REQUEST),
];

const TEMPORARY: &[(u16, &str, u32, &str)] = &[
    (400, "invalid_grant", 50053, TOKEN_ENDPOINT_THROTTLED),
    (400, "invalid_grant", 50196, TOKEN_ENDPOINT_THROTTLED),
    (400, "invalid_request", 90055, TOKEN_ENDPOINT_THROTTLED),
    (429, "invalid_request", 90055, TOKEN_ENDPOINT_THROTTLED),
    (503, "temporarily_unavailable", 90033, TOKEN_ENDPOINT_UNAVAILABLE),
    (400, "invalid_request", 90033, TOKEN_ENDPOINT_UNAVAILABLE),
    (504, "server_error", 90006, TOKEN_ENDPOINT_UNAVAILABLE),
    (504, "server_error", 90012, TOKEN_ENDPOINT_UNAVAILABLE),
    (504, "server_error", 90024, TOKEN_ENDPOINT_UNAVAILABLE),
    (400, "invalid_grant", 50033, TOKEN_ENDPOINT_UNAVAILABLE),
    (400, "invalid_grant", 90090, TOKEN_ENDPOINT_UNAVAILABLE),
];

#[test]
fn codes_of_entra_tell_reason_and_remedy() {
    for (rows, fatal) in [(FATAL, true), (TEMPORARY, false)] {
        for (status, error, code, reason) in rows {
            let told = entra(*status, error, *code);
            assert_eq!((told.reason.code.as_str(), is_fatal(&told)), (*reason, fatal), "{code}");
            assert!(
                told.reason.message.contains(&format!("AADSTS{code}, trace 7c9e6679-")),
                "{code}"
            );
            assert!(!told.reason.remedy.is_empty(), "{code}");
        }
    }
}

#[test]
fn the_status_decides_whether_it_is_temporary() {
    assert!(!is_fatal(&entra(503, "invalid_client", 7_000_215)));
    assert!(!is_fatal(&entra(429, "invalid_client", 7_000_215)));
    assert!(is_fatal(&entra(401, "invalid_client", 1)), "an unknown code");
}

#[test]
fn a_code_is_found_in_the_text_alone() {
    let body = json!({"error": "invalid_client", "error_description": "AADSTS7000222: expired"});

    assert_eq!(refusal(&with_secret(SECRET), 401, body).reason.code, CLIENT_SECRET_EXPIRED);
}

#[test]
fn a_pasted_secret_id_is_recognised() {
    let id = "9b2d7a52-0f3b-4f6e-8a55-21c7d5a1e0aa";
    let body = || json!({"error": "invalid_client", "error_codes": [7_000_215]});

    let definite = refusal(&with_secret(id), 401, body()).reason.remedy;
    let usual = refusal(&with_secret(SECRET), 401, body()).reason.remedy;

    assert!(
        definite.starts_with("the secret that was entered has the form of an ID"),
        "{definite}"
    );
    assert!(usual.contains("the usual mistake is to paste the secret's ID"), "{usual}");
}

fn check_generic(client: &OauthClient, status: u16, error: &str, words: &str, reason: &str) {
    let told = refusal(client, status, json!({"error": error, "error_description": words}));
    assert_eq!(told.reason.code, reason, "{error}");
    assert!(told.reason.message.contains(&format!("{error}: {words}")), "{}", told.reason.message);
}

#[test]
fn errors_of_other_providers_are_told_by_rfc_6749() {
    let secret = with_secret(SECRET);
    let failed = "client authentication failed";
    check_generic(&secret, 401, "invalid_client", failed, INVALID_CLIENT_SECRET);
    let expired = "could not authenticate the client - its client secret is expired";
    check_generic(&secret, 400, "invalid_client", expired, CLIENT_SECRET_EXPIRED);
    check_generic(&with_certificate(), 401, "invalid_client", failed, INVALID_CERTIFICATE);
    check_generic(&secret, 400, "unauthorized_client", "no", INVALID_CLIENT_ID);
    check_generic(&secret, 400, "invalid_scope", "no", INVALID_SCOPE);
    check_generic(&secret, 400, "invalid_target", "no", INVALID_SCOPE);
    check_generic(&secret, 400, "invalid_request", "no", INVALID_TOKEN_REQUEST);
    check_generic(&secret, 400, "unsupported_grant_type", "no", INVALID_TOKEN_REQUEST);
    check_generic(&secret, 400, "temporarily_unavailable", "no", TOKEN_ENDPOINT_UNAVAILABLE);
    check_generic(&secret, 400, "quota_of_the_moon", "no", TOKEN_REFUSED);
}

#[test]
fn words_that_repeat_the_secret_are_not_shown() {
    for shown in [SECRET, "Zq8Q%7Ehunter2"] {
        let words = format!("unexpected client_secret={shown}");
        let body = json!({"error": "invalid_client", "error_description": words});

        let told = refusal(&with_secret(SECRET), 401, body);

        assert!(!format!("{told:?}").contains("hunter2"));
        assert!(told.reason.message.contains("its words repeat the credential"));
    }
}

#[test]
fn too_many_requests_mean_that_whatever_the_words() {
    let told = refusal(&with_secret(SECRET), 429, json!({"error": "temporarily_unavailable"}));

    assert_eq!(told.reason.code, TOKEN_ENDPOINT_THROTTLED);
    assert!(told.reason.message.starts_with("the token endpoint asks for fewer requests"));
}

#[test]
fn words_that_repeat_the_assertion_are_not_shown() {
    let body =
        json!({"error": "invalid_client", "error_description": "bad eyJhbGciOiJQUzI1NiJ9.e30.x"});

    assert!(!format!("{:?}", refusal(&with_certificate(), 401, body)).contains("eyJ"));
}

#[test]
fn a_refusal_keeps_its_words_out_of_its_debug_output() {
    let body = json!({"error": "x", "error_description": SECRET, "error_codes": [1]});
    let refusal: Refusal = serde_json::from_value(body).unwrap();

    assert_eq!(format!("{refusal:?}"), "Refusal { codes: [1], .. }");
}

#[test]
fn odd_additions_do_not_hide_the_error() {
    let body = json!({"error": "invalid_scope", "error_codes": "none", "error_description": null});

    assert_eq!(refusal(&with_secret(SECRET), 400, body).reason.code, INVALID_SCOPE);
}

fn check_not_a_token(seen: &Seen, code: &str, fatal: bool, message: &str) {
    let told = not_a_token(asked(&with_secret(SECRET)), seen);
    assert_eq!((told.reason.code.as_str(), is_fatal(&told)), (code, fatal));
    assert!(told.reason.message.contains(message), "{}", told.reason.message);
}

#[test]
fn answers_that_are_no_tokens_are_told_by_their_status() {
    let seen = |status| Seen { status, ..Seen::default() };
    let title = |status, title: &str| Seen { title: Some(title.to_owned()), ..seen(status) };
    let to = Seen { redirect_host: Some("portal.test".to_owned()), ..seen(302) };

    let proxy = "is there a proxy or captive portal?";
    check_not_a_token(&seen(200), NOT_A_TOKEN_RESPONSE, true, proxy);
    let page = "(status 200, web page \"Guest Login\")";
    let web_page = |seen| Seen { is_web_page: true, ..seen };
    check_not_a_token(&web_page(title(200, "Guest Login")), NOT_A_TOKEN_RESPONSE, false, page);
    check_not_a_token(&web_page(title(200, SECRET)), NOT_A_TOKEN_RESPONSE, false, "(status 200):");
    check_not_a_token(&web_page(seen(403)), NOT_A_TOKEN_RESPONSE, false, "answers in its place");
    check_not_a_token(&web_page(seen(404)), INVALID_TENANT_OR_ENDPOINT, true, "at this path");
    let redirect = "it redirects to `portal.test` (status 302), which is not followed";
    check_not_a_token(&to, NOT_A_TOKEN_RESPONSE, false, redirect);
    check_not_a_token(
        &seen(404),
        INVALID_TENANT_OR_ENDPOINT,
        true,
        "no token endpoint at this path",
    );
    check_not_a_token(&seen(429), TOKEN_ENDPOINT_THROTTLED, false, "asks for fewer requests");
    check_not_a_token(&seen(503), TOKEN_ENDPOINT_UNAVAILABLE, false, "is in trouble (status 503)");
    check_not_a_token(&seen(407), NOT_A_TOKEN_RESPONSE, true, proxy);
}

fn check_grant(body: &Value, expected: Option<(&str, u64)>) {
    let grant: Grant = serde_json::from_value(body.clone()).unwrap();
    let read = grant.bearer().map(|token| (token, grant.life().as_secs()));
    assert_eq!(read, expected, "{body}");
}

#[test]
fn grants_are_read_leniently() {
    let bearer = |expires_in: Value| json!({"access_token": "t", "token_type": "Bearer", "expires_in": expires_in});
    check_grant(&bearer(json!(3599)), Some(("t", 3599)));
    check_grant(&bearer(json!("3599")), Some(("t", 3599)));
    check_grant(&bearer(json!(3599.5)), Some(("t", 3599)));
    check_grant(&bearer(json!(null)), Some(("t", 3600)));
    check_grant(&bearer(json!("soon")), Some(("t", 3600)));
    check_grant(&bearer(json!(-1)), Some(("t", 3600)));
    check_grant(&bearer(json!(1_000_000_000)), Some(("t", 28 * 3600)));
    check_grant(&json!({"access_token": "t"}), Some(("t", 3600)));
    check_grant(&json!({"access_token": "t", "token_type": "bEARER"}), Some(("t", 3600)));
}

#[test]
fn tokens_that_cannot_be_used_are_refused() {
    check_grant(&json!({"access_token": ""}), None);
    check_grant(&json!({"access_token": "a\u{1}b"}), None);
    check_grant(&json!({"access_token": "a\r\nQUIT"}), None);
    check_grant(&json!({"access_token": "t".repeat(16 * 1024 + 1)}), None);
    check_grant(&json!({"access_token": "t", "token_type": "mac"}), None);
}
