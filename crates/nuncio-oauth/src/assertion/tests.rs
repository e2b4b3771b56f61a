use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256,
    SignatureAlgorithm,
};
use serde_json::Value;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;

struct Credential {
    certificate_pem: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyPem,
}

impl Credential {
    fn new(algorithm: &'static SignatureAlgorithm) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        Self {
            certificate_pem: certificate.pem(),
            certificate: certificate.der().clone(),
            key: PrivateKeyPem::from(key.serialize_pem()),
        }
    }

    fn sign(&self) -> Result<String, AssertionError> {
        sign(&self.certificate_pem, &self.key, claims())
    }
}

fn claims() -> Claims<'static> {
    Claims {
        client_id: "the-client",
        token_endpoint: "https://login.example.test/token",
        now: "2026-01-01T12:00:00Z".parse().unwrap(),
        random: [7; 10],
    }
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Verifies the signature and gives header and claims.
fn verify(
    assertion: &str,
    credential: &Credential,
    algorithm: &'static dyn VerificationAlgorithm,
) -> (Value, Value) {
    let (input, signature) = assertion.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (_, parsed) = X509Certificate::from_der(&credential.certificate).unwrap();
    let key = parsed.public_key().subject_public_key.data.clone();
    UnparsedPublicKey::new(algorithm, key).verify(input.as_bytes(), &signature).unwrap();
    let (header, claims) = input.split_once('.').unwrap();
    (decode(header), decode(claims))
}

#[test]
fn an_rsa_key_signs_with_ps256_and_names_its_certificate() {
    let credential = Credential::new(&PKCS_RSA_SHA256);

    let assertion = credential.sign().unwrap();

    let (header, claims) = verify(&assertion, &credential, &RSA_PSS_2048_8192_SHA256);
    let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &credential.certificate));
    assert_eq!(header, json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}));
    let noon = 1_767_268_800;
    assert_eq!(
        claims,
        json!({
            "aud": "https://login.example.test/token",
            "iss": "the-client",
            "sub": "the-client",
            "jti": claims["jti"],
            "nbf": noon,
            "iat": noon,
            "exp": noon + 300,
        })
    );
    Uuid::try_parse(claims["jti"].as_str().unwrap()).unwrap();
}

#[test]
fn an_ecdsa_key_signs_with_es256() {
    let credential = Credential::new(&PKCS_ECDSA_P256_SHA256);

    let (header, _) = verify(&credential.sign().unwrap(), &credential, &ECDSA_P256_SHA256_FIXED);

    assert_eq!(header["alg"], "ES256");
}

#[test]
fn other_random_bytes_make_another_id() {
    let credential = Credential::new(&PKCS_ECDSA_P256_SHA256);
    let id = |random| {
        let claims = Claims { random, ..claims() };
        let assertion = sign(&credential.certificate_pem, &credential.key, claims).unwrap();
        let (_, claims) = verify(&assertion, &credential, &ECDSA_P256_SHA256_FIXED);
        claims["jti"].clone()
    };

    assert_ne!(id([1; 10]), id([2; 10]));
}

fn check_error(credential: &Credential, message: &str) {
    assert_eq!(credential.sign().unwrap_err().to_string(), message);
}

#[test]
fn a_key_of_another_certificate_is_found_out() {
    let mut credential = Credential::new(&PKCS_RSA_SHA256);
    credential.key = Credential::new(&PKCS_RSA_SHA256).key;

    check_error(&credential, "the private key does not belong to the client certificate");
}

#[test]
fn unusable_keys_and_certificates_are_told_apart() {
    let good = || Credential::new(&PKCS_ECDSA_P256_SHA256);
    let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let with_key = |key: &str| Credential { key: PrivateKeyPem::from(key.to_owned()), ..good() };
    let with_certificate = |pem: &str| Credential { certificate_pem: pem.to_owned(), ..good() };

    check_error(&with_certificate("hello"), "the client certificate is not readable PEM");
    check_error(
        &with_certificate(&pem("CERTIFICATE")),
        "the client certificate is not readable PEM",
    );
    let message = "the private key is not readable PEM (PKCS #8, PKCS #1 or SEC 1)";
    check_error(&with_key("hello"), message);
    let message = "the private key is encrypted; store it without a passphrase";
    check_error(&with_key(&pem("ENCRYPTED PRIVATE KEY")), message);
    let message = "the private key is neither RSA with 2048 bits or more nor ECDSA on P-256";
    check_error(&with_key(&pem("PRIVATE KEY")), message);
    check_error(&Credential::new(&PKCS_ECDSA_P384_SHA384), message);
}
