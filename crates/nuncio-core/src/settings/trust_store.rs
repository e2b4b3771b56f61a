//! The trust store: certificate authorities that are trusted beside the system's (ISE's "Trusted Certificates").

use std::collections::BTreeSet;

use crate::ports::trust::CertificateFacts;

mod draft;
mod expiry;

pub use draft::{CertificateDraft, check};
pub use expiry::{CertificateAlarm, STAGES_DAYS, alarms, days_left, warnings};

/// The most certificates in the trust store.
pub const CERTIFICATES_MAX: usize = 100;
/// The largest certificate, in bytes of PEM. Those of authorities have some 2,000.
pub const PEM_BYTES_MAX: usize = 32 * 1024;
/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// The longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 256;

/// Whom operators trust. Every value of this type is complete and valid in itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustStore {
    /// By name.
    pub certificates: Vec<TrustedCertificate>,
}

/// A certificate that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedCertificate {
    /// 1 to 64 lower-case letters, digits and `-`: `corp-root`.
    pub name: String,
    /// What it is for, in the operator's words.
    pub description: String,
    pub pem: String,
    /// At least one.
    pub trusted_for: BTreeSet<TrustUse>,
    pub facts: CertificateFacts,
}

/// For which connections a certificate is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrustUse {
    /// To the SMTP server.
    Smtp,
    /// To the token endpoint.
    TokenEndpoint,
    /// Of alarm routes: to webhooks and syslog receivers.
    AlarmRoutes,
}

impl TrustUse {
    pub const ALL: [Self; 3] = [Self::Smtp, Self::TokenEndpoint, Self::AlarmRoutes];

    /// The name as people write it: `token-endpoint`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::TokenEndpoint => "token-endpoint",
            Self::AlarmRoutes => "alarm-routes",
        }
    }
}

impl TrustStore {
    pub fn find(&self, name: &str) -> Option<&TrustedCertificate> {
        self.certificates.iter().find(|one| one.name == name)
    }

    /// What differs from `before`, for a person: `added corp-root (CN=Corp Root)`. Empty if nothing does.
    pub fn changes_since(&self, before: &Self) -> String {
        let mut told = Vec::new();
        for new in &self.certificates {
            match before.find(&new.name) {
                None => told.push(format!("added {} ({})", new.name, new.told())),
                Some(old) if old.facts != new.facts => {
                    told.push(format!("replaced {} ({})", new.name, new.told()));
                }
                Some(old) if old != new => {
                    let uses: Vec<_> = new.trusted_for.iter().map(|one| one.name()).collect();
                    told.push(format!("changed {} (for {})", new.name, uses.join(", ")));
                }
                Some(_) => {}
            }
        }
        for old in before.certificates.iter().filter(|old| self.find(&old.name).is_none()) {
            told.push(format!("removed {} ({})", old.name, old.told()));
        }
        told.join("; ")
    }
}

impl TrustedCertificate {
    /// Subject and the beginning of the fingerprint, which tell which certificate it was.
    fn told(&self) -> String {
        let CertificateFacts { subject, sha256_fingerprint, .. } = &self.facts;
        let begin: String = sha256_fingerprint.chars().take(16).collect();
        format!("{subject}, SHA-256 {begin}…")
    }
}

#[cfg(test)]
mod tests;
