//! The expiry of trusted certificates, told before it comes.

use jiff::Timestamp;

use super::{TrustStore, TrustedCertificate};
use crate::alarm::catalogue::{CERTIFICATE_EXPIRATION, CERTIFICATE_EXPIRED};
use crate::ports::trust::CertificateFacts;

/// How many days before its expiry the alarm tells of a certificate, each time anew.
pub const STAGES_DAYS: [i64; 5] = [60, 30, 14, 7, 1];

const SECONDS_A_DAY: i64 = 24 * 60 * 60;

/// An alarm that is to stand about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateAlarm {
    pub alarm_type: &'static str,
    /// The name of the certificate.
    pub name: String,
    /// The stage, and the certificate that stands under the name: another makes another alarm.
    pub stage: String,
    pub description: String,
    pub details: String,
}

/// How many whole days a certificate still counts; negative if it has expired.
pub fn days_left(facts: &CertificateFacts, now: Timestamp) -> i64 {
    let seconds = facts.not_after.as_second().saturating_sub(now.as_second());
    seconds.div_euclid(SECONDS_A_DAY)
}

/// What a person should know of a certificate that was accepted.
pub fn warnings(facts: &CertificateFacts, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    if !facts.is_authority {
        let told = "it does not say that it belongs to a certificate authority: it vouches for the one \
                    server that presents it, and must be replaced together with that server's certificate";
        warnings.push(told.to_owned());
    }
    if now < facts.not_before {
        warnings.push(format!("it is valid from {} on", facts.not_before));
    }
    let days = days_left(facts, now);
    if days < 0 {
        warnings.push(format!("it expired at {}", facts.not_after));
    } else if days <= STAGES_DAYS[0] {
        warnings.push(format!("it expires in {days} days, at {}", facts.not_after));
    }
    warnings
}

/// The alarms that are to stand.
pub fn alarms(store: &TrustStore, now: Timestamp) -> Vec<CertificateAlarm> {
    store.certificates.iter().filter_map(|one| alarm(one, now)).collect()
}

fn alarm(one: &TrustedCertificate, now: Timestamp) -> Option<CertificateAlarm> {
    let TrustedCertificate { name, facts, .. } = one;
    let days = days_left(facts, now);
    let stage = STAGES_DAYS.into_iter().rev().find(|stage| days <= *stage)?;
    let (alarm_type, stage, description) = if days < 0 {
        let told = format!("the trusted certificate `{name}` expired at {}", facts.not_after);
        (CERTIFICATE_EXPIRED, "expired".to_owned(), told)
    } else {
        let when = format!("expires in {days} days, at {}", facts.not_after);
        let told = format!("the trusted certificate `{name}` {when}");
        (CERTIFICATE_EXPIRATION, format!("{stage} days"), told)
    };
    let details = format!(
        "{}, SHA-256 {}\nadd the certificate that follows it to the trust store, let its servers change, and \
         remove this one",
        facts.subject, facts.sha256_fingerprint
    );
    let stage = format!("{stage} {}", facts.sha256_fingerprint);
    Some(CertificateAlarm { alarm_type, name: name.clone(), stage, description, details })
}
