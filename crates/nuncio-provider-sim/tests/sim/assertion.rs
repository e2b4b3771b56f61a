//! Client assertions, signed for real.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaSignatureEncoding};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nuncio_provider_sim::config::{
    DEFAULT_CLIENT_ID, DEFAULT_SCOPE, DEFAULT_TENANT_DOMAIN, DEFAULT_TENANT_ID,
};
use nuncio_provider_sim::pki::ClientCertificate;
use nuncio_provider_sim::simulator::Simulator;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::client::*;

/// An assertion in the making; the default is a good one.
struct Assertion {
    algorithm: &'static str,
    header: Value,
    claims: Value,
}

impl Assertion {
    fn new(sim: &Simulator, certificate: &ClientCertificate) -> Self {
        let now = now_s();
        Self {
            algorithm: "PS256",
            header: json!({ "typ": "JWT", "x5t#S256": certificate.thumbprint }),
            claims: json!({
                "aud": sim.token_url(DEFAULT_TENANT_ID),
                "iss": DEFAULT_CLIENT_ID,
                "sub": DEFAULT_CLIENT_ID,
                "jti": "one",
                "nbf": now,
                "iat": now,
                "exp": now + 300,
            }),
        }
    }

    fn sign(mut self, certificate: &ClientCertificate) -> String {
        let encoding: &'static RsaSignatureEncoding = match self.algorithm {
            "PS256" => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        };
        self.header["alg"] = json!(self.algorithm);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&self.header), part(&self.claims));
        let key =
            PrivatePkcs8KeyDer::from_pem_slice(certificate.expose_key_pem().as_bytes()).unwrap();
        let key = KeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn now_s() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulator judges the assertion by the real time"
    )]
    let now = jiff::Timestamp::now();
    now.as_second()
}

async fn world() -> (Simulator, ClientCertificate) {
    let certificate = ClientCertificate::generate("nuncio test").unwrap();
    let sim = simulator(|config| {
        config.clients[0].certificates.push(certificate.certificate_pem.clone());
        config.clients[0].secrets.clear();
    })
    .await;
    (sim, certificate)
}

async fn ask_with(sim: &Simulator, assertion: &str) -> Response {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", DEFAULT_CLIENT_ID),
        ("scope", DEFAULT_SCOPE),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ];
    ask(sim, DEFAULT_TENANT_ID, &fields).await.unwrap()
}

/// Asks with an assertion that is changed before it is signed. `None` expects a token.
async fn check(change: impl FnOnce(&mut Assertion), code: Option<u32>) {
    let (sim, certificate) = world().await;
    let mut assertion = Assertion::new(&sim, &certificate);
    change(&mut assertion);

    let response = ask_with(&sim, &assertion.sign(&certificate)).await;

    match code {
        None => assert_eq!(response.status, 200, "{}", response.body),
        Some(code) => {
            assert_eq!(response.status, 401, "{}", response.body);
            assert_eq!(response.json()["error"], "invalid_client");
            assert_eq!(response.json()["error_codes"][0], code, "{}", response.body);
        }
    }
}

#[tokio::test]
async fn an_assertion_gets_a_token() {
    check(|_| {}, None).await;
}

#[tokio::test]
async fn the_older_signature_works_too() {
    check(|it| it.algorithm = "RS256", None).await;
}

#[tokio::test]
async fn the_key_may_be_named_by_kid() {
    check(|it| it.header = json!({ "kid": it.header["x5t#S256"] }), None).await;
}

#[tokio::test]
async fn the_audience_may_name_the_tenant_by_its_domain() {
    let change = |it: &mut Assertion| {
        let url =
            it.claims["aud"].as_str().unwrap().replace(DEFAULT_TENANT_ID, DEFAULT_TENANT_DOMAIN);
        it.claims["aud"] = json!(url);
    };
    check(change, None).await;
}

#[tokio::test]
async fn another_audience_is_refused() {
    check(|it| it.claims["aud"] = json!("https://elsewhere.example/token"), Some(50_013)).await;
}

#[tokio::test]
async fn another_issuer_is_refused() {
    check(|it| it.claims["iss"] = json!("another"), Some(50_013)).await;
}

#[tokio::test]
async fn another_subject_is_refused() {
    check(|it| it.claims["sub"] = json!("another"), Some(50_013)).await;
}

#[tokio::test]
async fn an_assertion_without_id_is_refused() {
    check(|it| it.claims["jti"] = Value::Null, Some(50_013)).await;
}

#[tokio::test]
async fn an_assertion_of_yesterday_is_refused() {
    check(|it| it.claims["exp"] = json!(now_s() - 86_400), Some(700_024)).await;
}

#[tokio::test]
async fn an_assertion_of_tomorrow_is_refused() {
    check(|it| it.claims["nbf"] = json!(now_s() + 86_400), Some(700_024)).await;
}

#[tokio::test]
async fn a_key_that_is_not_registered_is_refused() {
    check(|it| it.header["x5t#S256"] = json!("unknown"), Some(700_027)).await;
}

#[tokio::test]
async fn a_signature_by_another_key_is_refused() {
    let (sim, certificate) = world().await;
    let thief = ClientCertificate::generate("thief").unwrap();

    let response = ask_with(&sim, &Assertion::new(&sim, &certificate).sign(&thief)).await;

    assert_eq!(response.json()["error_codes"][0], 700_027, "{}", response.body);
}

#[tokio::test]
async fn an_assertion_works_only_once() {
    let (sim, certificate) = world().await;
    let assertion = Assertion::new(&sim, &certificate).sign(&certificate);

    assert_eq!(ask_with(&sim, &assertion).await.status, 200);
    assert_eq!(ask_with(&sim, &assertion).await.json()["error_codes"][0], 50_013);
}

#[tokio::test]
async fn garbage_is_no_assertion() {
    let (sim, _) = world().await;
    assert_eq!(ask_with(&sim, "garbage").await.json()["error_codes"][0], 50_013);
}
