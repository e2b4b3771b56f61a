//! The certificate authorities that operators trust.

use jiff::Timestamp;

use crate::settings::trust_store::TrustUse;

/// The certificates of the trust store, as whoever makes a connection needs them.
pub trait Authorities: Send + Sync {
    /// `own`, which may be empty, and behind it all certificates that are trusted for this use, in PEM.
    ///
    /// It is asked for each new connection, so that a change counts from the next one on.
    fn beside(&self, own: &str, usage: TrustUse) -> String;
}

/// Nobody but the system's authorities and those that are given.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuthorities;

/// Reads certificates.
pub trait CertificateReader: Send + Sync {
    /// Reads a text that holds exactly one certificate in PEM.
    fn read(&self, pem: &str) -> Result<CertificateFacts, CertificateProblem>;
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    pub subject: String,
    pub issuer: String,
    /// In lower-case hexadecimal digits.
    pub sha256_fingerprint: String,
    pub not_before: Timestamp,
    /// The last moment at which it counts.
    pub not_after: Timestamp,
    /// Whether it says that it belongs to a certificate authority.
    pub is_authority: bool,
    /// Whether it names itself as its issuer.
    pub is_self_signed: bool,
}

/// Why a text is not one certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    #[error("holds a private key; only a certificate belongs here")]
    PrivateKey,
    #[error("holds no certificate in PEM; it begins with `-----BEGIN CERTIFICATE-----`")]
    Missing,
    #[error("holds {count} certificates; give each an entry of its own")]
    Several { count: usize },
    #[error("is not readable PEM")]
    NotPem,
    #[error("is not an X.509 certificate")]
    NotACertificate,
}

impl Authorities for NoAuthorities {
    fn beside(&self, own: &str, _usage: TrustUse) -> String {
        own.to_owned()
    }
}
