//! Client assertions: a JWT signed with the key of a registered certificate (`private_key_jwt`).
//!
//! Rules: Microsoft, "Microsoft identity platform application authentication certificate credentials"; RFC 7523 section 3.

use std::collections::HashMap;
use std::sync::Mutex;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use x509_parser::parse_x509_certificate;

use crate::entra_error::AssertionError;
use crate::pki::thumbprint;

/// Clocks may differ by this much, seconds (what Entra allows).
const SKEW_S: i64 = 300;

/// Ids remembered against replay; beyond it those whose time is over are forgotten.
const IDS_MAX: usize = 100_000;

/// The certificate of a client, ready to verify with.
#[derive(Clone, Debug)]
pub(crate) struct Verifier {
    thumbprint: String,
    /// `RSAPublicKey` in DER.
    key: Vec<u8>,
}

impl Verifier {
    /// Reads a certificate in PEM; it needs an RSA key.
    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, certificate) = parse_x509_certificate(&der).ok()?;
        let key = certificate.public_key().subject_public_key.data.to_vec();
        Some(Self { thumbprint: thumbprint(&der), key })
    }
}

/// What an assertion must say.
pub(crate) struct Expected<'a> {
    pub(crate) client_id: &'a str,
    /// URLs of the token endpoint, any of which is a good audience.
    pub(crate) audiences: &'a [String],
    pub(crate) now: Timestamp,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(rename = "x5t#S256")]
    x5t_s256: Option<String>,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    sub: String,
    jti: Option<String>,
    nbf: Option<i64>,
    exp: i64,
}

/// The ids of assertions seen, with the second their time ends.
#[derive(Debug, Default)]
pub(crate) struct SeenIds(Mutex<HashMap<String, i64>>);

impl SeenIds {
    /// Remembers an id; false if it was there already.
    fn add(&self, id: &str, expires_s: i64, now_s: i64) -> bool {
        let mut seen = self.0.lock().expect("no code under this lock panics");
        if IDS_MAX <= seen.len() {
            seen.retain(|_, expires_s| now_s <= expires_s.saturating_add(SKEW_S));
        }
        seen.insert(id.to_owned(), expires_s).is_none()
    }
}

/// Verifies an assertion: first who signed it, then what it says, last that it is new.
pub(crate) fn verify(
    assertion: &str,
    keys: &[Verifier],
    expected: &Expected<'_>,
    seen: &SeenIds,
) -> Result<(), AssertionError> {
    let (signed, signature) = assertion.rsplit_once('.').ok_or_else(malformed)?;
    let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let header: Header = decode(header)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;

    let named = header.x5t_s256.as_deref().or(header.kid.as_deref()).unwrap_or_default();
    let key = keys
        .iter()
        .find(|key| key.thumbprint == named)
        .ok_or_else(|| AssertionError::KeyUnknown { thumbprint: named.to_owned() })?;
    UnparsedPublicKey::new(algorithm(&header.alg)?, &key.key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| AssertionError::Signature { thumbprint: named.to_owned() })?;

    let claims: Claims = decode(claims)?;
    check_claims(&claims, expected)?;
    let id = claims.jti.as_deref().ok_or_else(|| invalid("the claim `jti` is missing"))?;
    if !seen.add(id, claims.exp, expected.now.as_second()) {
        return Err(invalid("its `jti` has been used before"));
    }
    Ok(())
}

fn check_claims(claims: &Claims, expected: &Expected<'_>) -> Result<(), AssertionError> {
    let now_s = expected.now.as_second();
    if claims.exp.saturating_add(SKEW_S) < now_s
        || claims.nbf.is_some_and(|nbf_s| now_s.saturating_add(SKEW_S) < nbf_s)
    {
        return Err(AssertionError::Time {
            now: expected.now,
            not_before: claims.nbf.map_or_else(|| "-".to_owned(), text_of_second),
            expires: text_of_second(claims.exp),
        });
    }
    if !expected.audiences.contains(&claims.aud) {
        return Err(invalid("its `aud` is not the URL of this token endpoint"));
    }
    if claims.iss != expected.client_id || claims.sub != expected.client_id {
        return Err(invalid("its `iss` and `sub` are not the client id"));
    }
    Ok(())
}

fn algorithm(name: &str) -> Result<&'static RsaParameters, AssertionError> {
    match name {
        "PS256" => Ok(&RSA_PSS_2048_8192_SHA256),
        "RS256" => Ok(&RSA_PKCS1_2048_8192_SHA256),
        _ => Err(invalid("its `alg` is neither PS256 nor RS256")),
    }
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, AssertionError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed())?;
    serde_json::from_slice(&json).map_err(|_| malformed())
}

fn text_of_second(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |at| at.to_string())
}

fn malformed() -> AssertionError {
    invalid("it is not a JWT with the claims `aud`, `iss`, `sub` and `exp`")
}

fn invalid(reason: &str) -> AssertionError {
    AssertionError::Invalid { reason: reason.to_owned() }
}
