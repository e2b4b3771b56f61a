//! A certificate with its private key: who somebody is to others.

use std::sync::Arc;

use jiff::Timestamp;
use nuncio_core::ports::trust::CertificateFacts;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};

use crate::chain;

/// The most certificates of an own chain; real ones have two to four.
const CHAIN_MAX: usize = chain::PRESENTED_MAX;

/// A certificate chain and the key that fits it.
#[derive(Clone, Debug)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    facts: CertificateFacts,
}

/// Why certificate and key are no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "the certificate file holds no certificate in PEM; it begins with `-----BEGIN CERTIFICATE-----`"
    )]
    NoCertificate,
    #[error("the certificate file is not readable PEM")]
    CertificateNotPem,
    #[error("the certificate file holds what is not an X.509 certificate")]
    NotACertificate,
    #[error(
        "the certificate file holds more than {CHAIN_MAX} certificates; give the own one first, then those above it"
    )]
    TooMany,
    #[error("the key file holds no private key in PEM without a passphrase; give it as PKCS #8")]
    NoKey,
    #[error(
        "the private key is of a kind that TLS cannot use here; use ECDSA P-256 or RSA of 2048 bits or more"
    )]
    KeyNotUsable,
    #[error(
        "the private key does not belong to the certificate `{subject}`; give the key with which it was requested"
    )]
    KeyMismatch { subject: String },
    #[error("the certificate `{subject}` expired at {not_after}; renew it")]
    Expired { subject: String, not_after: Timestamp },
    #[error(
        "the certificate `{subject}` is valid from {not_before} on; check the clock of this machine"
    )]
    NotYetValid { subject: String, not_before: Timestamp },
    #[error(
        "the certificate `{subject}` is for clients, and no client would accept it from a server; give one for servers \
         (`nuncio certs issue … node`)"
    )]
    ForClients { subject: String },
}

impl Identity {
    /// Reads certificates, the own one first, and the key of that one.
    pub fn from_pem(certificates_pem: &[u8], key_pem: &[u8]) -> Result<Self, IdentityError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates_pem).collect();
        let chain = chain.map_err(|_problem| IdentityError::CertificateNotPem)?;
        if CHAIN_MAX < chain.len() {
            return Err(IdentityError::TooMany);
        }
        let own = chain.first().ok_or(IdentityError::NoCertificate)?;
        let facts = chain::facts(own).ok_or(IdentityError::NotACertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem);
        let key = key.map_err(|_problem| IdentityError::NoKey)?;
        let subject = facts.subject.clone();
        let certified = certified(chain, key).map_err(|error| unfit(&error, subject))?;
        Ok(Self { certified: Arc::new(certified), facts })
    }

    /// What the own certificate says of itself.
    pub fn facts(&self) -> &CertificateFacts {
        &self.facts
    }

    /// The own certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.certified.cert.first().expect("an identity has a certificate")
    }

    /// Refuses an identity that nobody would accept now.
    pub fn check_validity(&self, now: Timestamp) -> Result<(), IdentityError> {
        let CertificateFacts { not_before, not_after, .. } = self.facts;
        let subject = self.facts.subject.clone();
        if not_after < now {
            return Err(IdentityError::Expired { subject, not_after });
        }
        if now < not_before {
            return Err(IdentityError::NotYetValid { subject, not_before });
        }
        Ok(())
    }

    /// Refuses an identity that a server cannot show.
    pub fn check_for_servers(&self) -> Result<(), IdentityError> {
        if chain::is_for_servers(self.certificate()) {
            return Ok(());
        }
        Err(IdentityError::ForClients { subject: self.facts.subject.clone() })
    }

    pub(crate) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.certified)))
    }
}

/// The one provider of cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, Error> {
    CertifiedKey::from_der(chain, key, &provider())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "an enum of rustls, which may grow")]
fn unfit(error: &Error, subject: String) -> IdentityError {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            IdentityError::KeyMismatch { subject }
        }
        Error::InvalidCertificate(_) => IdentityError::NotACertificate,
        _ => IdentityError::KeyNotUsable,
    }
}

#[cfg(test)]
mod tests;
