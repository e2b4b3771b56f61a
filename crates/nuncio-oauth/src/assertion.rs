//! Client assertions: the client proves itself by its certificate's key (RFC 7523, section 2.2).

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use nuncio_core::secret::PrivateKeyPem;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use serde_json::json;
use uuid::Uuid;

/// How long an assertion is good; Microsoft advises 5 to 10 minutes ("certificate credentials").
const LIFE: Duration = Duration::from_mins(5);

/// What an assertion says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) token_endpoint: &'a str,
    pub(crate) now: Timestamp,
    /// For the id, which must never come twice.
    pub(crate) random: [u8; 10],
}

/// Why no assertion could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssertionError {
    #[error("the client certificate is not readable PEM")]
    Certificate,
    #[error("the private key is encrypted; store it without a passphrase")]
    KeyEncrypted,
    #[error("the private key is not readable PEM (PKCS #8, PKCS #1 or SEC 1)")]
    Key,
    #[error("the private key is neither RSA with 2048 bits or more nor ECDSA on P-256")]
    KeyKind,
    #[error("the private key does not belong to the client certificate")]
    Mismatch,
}

/// Makes a signed assertion.
///
/// The certificate is named by `x5t#S256`, as Entra ID wants it. There is no `kid`: it is a name that
/// the provider gives to a registered key, and a provider that does not find it refuses the assertion,
/// while without one it tries the client's keys.
pub(crate) fn sign(
    certificate_pem: &str,
    private_key: &PrivateKeyPem,
    claims: Claims<'_>,
) -> Result<String, AssertionError> {
    let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
        .map_err(|_not_pem| AssertionError::Certificate)?;
    let key = read_key(private_key)?;
    let signing = any_supported_type(&key).map_err(|_unknown| AssertionError::KeyKind)?;
    let fits = CertifiedKey::new(vec![certificate.clone()], Arc::clone(&signing)).keys_match();
    fits.map_err(|error| {
        let mismatch = matches!(error, rustls::Error::InconsistentKeys(_));
        if mismatch { AssertionError::Mismatch } else { AssertionError::Certificate }
    })?;

    let signer = Signer::of(&*signing, &key)?;
    let header = json!({
        "alg": signer.algorithm(),
        "typ": "JWT",
        "x5t#S256": BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate)),
    });
    let input = format!("{}.{}", encode(&header), encode(&claims.to_json()));
    let signature = signer.sign(input.as_bytes())?;
    Ok(format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

impl Claims<'_> {
    fn to_json(self) -> serde_json::Value {
        let now = self.now.as_second();
        let millis = u64::try_from(self.now.as_millisecond()).unwrap_or_default();
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &self.random).into_uuid();
        json!({
            "aud": self.token_endpoint,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": Uuid::to_string(&id),
            "nbf": now,
            "iat": now,
            "exp": now + LIFE.as_secs().cast_signed(),
        })
    }
}

enum Signer {
    /// PS256 (RFC 7518, section 3.5)
    Rsa(Box<dyn rustls::sign::Signer>),
    /// ES256 (RFC 7518, section 3.4): with its signature in fixed form, which rustls does not make.
    Ecdsa(EcdsaKeyPair),
}

impl Signer {
    fn of(key: &dyn SigningKey, der: &PrivateKeyDer<'_>) -> Result<Self, AssertionError> {
        if let Some(signer) = key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]) {
            return Ok(Self::Rsa(signer));
        }
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = if let PrivateKeyDer::Sec1(key) = der {
            EcdsaKeyPair::from_private_key_der(algorithm, key.secret_sec1_der())
        } else {
            EcdsaKeyPair::from_pkcs8(algorithm, der.secret_der())
        };
        pair.map(Self::Ecdsa).map_err(|_other_curve| AssertionError::KeyKind)
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "PS256",
            Self::Ecdsa(_) => "ES256",
        }
    }

    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, AssertionError> {
        match self {
            Self::Rsa(signer) => signer.sign(input).map_err(|_unusable| AssertionError::KeyKind),
            Self::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), input);
                signature.map(|s| s.as_ref().to_vec()).map_err(|_unusable| AssertionError::KeyKind)
            }
        }
    }
}

fn read_key(pem: &PrivateKeyPem) -> Result<PrivateKeyDer<'static>, AssertionError> {
    if pem.expose().contains("ENCRYPTED") {
        return Err(AssertionError::KeyEncrypted);
    }
    PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_not_pem| AssertionError::Key)
}

fn encode(part: &serde_json::Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}

#[cfg(test)]
mod tests;
