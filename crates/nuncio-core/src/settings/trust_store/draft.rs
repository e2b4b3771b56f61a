//! What is wrong with a trust store that somebody gives.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    CERTIFICATES_MAX, DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, PEM_BYTES_MAX, TrustStore, TrustUse,
    TrustedCertificate,
};
use crate::ports::trust::{CertificateFacts, CertificateReader};
use crate::violation::Violations;

/// A certificate as somebody gives it, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct CertificateDraft {
    pub name: String,
    pub description: String,
    pub pem: String,
    pub trusted_for: BTreeSet<TrustUse>,
}

/// Makes the trust store, or tells everything that is wrong. Fields are named as in the API.
///
/// A certificate that has expired is refused, unless it is in `present` already: an old one must not keep others
/// from being changed.
pub fn check(
    drafts: Vec<CertificateDraft>,
    reader: &dyn CertificateReader,
    present: &TrustStore,
    now: Timestamp,
) -> Result<TrustStore, Violations> {
    let mut violations = Violations::default();
    if CERTIFICATES_MAX < drafts.len() {
        // One by one they would be read for nothing.
        let problem = format!("has {} entries; at most {CERTIFICATES_MAX} fit", drafts.len());
        violations.add("trust_store.certificates", problem);
        return Err(violations);
    }
    let (mut names, mut fingerprints) = (BTreeSet::new(), BTreeMap::new());
    let mut certificates = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        let path = format!("trust_store.certificates[{index}]");
        check_words(&draft, &path, &mut violations);
        if !names.insert(draft.name.clone()) {
            violations.add(format!("{path}.name"), "is the name of another entry too");
        }
        let field = format!("{path}.certificate_pem");
        let Some(facts) = read(&draft.pem, &field, reader, &mut violations) else { continue };
        check_facts(&facts, present, now, &field, &mut violations);
        if let Some(other) = fingerprints.insert(facts.sha256_fingerprint.clone(), index) {
            let problem = format!("is the same certificate as that of certificates[{other}]");
            violations.add(field, problem);
        }
        let CertificateDraft { name, description, pem, trusted_for } = draft;
        certificates.push(TrustedCertificate { name, description, pem, trusted_for, facts });
    }
    certificates.sort_by(|one, other| one.name.cmp(&other.name));
    violations.none_or(|| TrustStore { certificates })
}

fn check_words(draft: &CertificateDraft, path: &str, violations: &mut Violations) {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let (name, description) = (&draft.name, &draft.description);
    if name.is_empty() || NAME_CHARS_MAX < name.len() || !name.chars().all(allowed) {
        let problem =
            format!("must be 1 to {NAME_CHARS_MAX} lower-case letters, digits or `-`: `corp-root`");
        violations.add(format!("{path}.name"), problem);
    }
    if DESCRIPTION_CHARS_MAX < description.chars().count() {
        let problem = format!("is longer than {DESCRIPTION_CHARS_MAX} characters");
        violations.add(format!("{path}.description"), problem);
    }
    if description.chars().any(char::is_control) {
        violations.add(format!("{path}.description"), "has a line break or control character");
    }
    if draft.trusted_for.is_empty() {
        let uses = TrustUse::ALL.map(TrustUse::name).join("`, `");
        violations.add(format!("{path}.trusted_for"), format!("choose at least one of `{uses}`"));
    }
}

fn read(
    pem: &str,
    field: &str,
    reader: &dyn CertificateReader,
    violations: &mut Violations,
) -> Option<CertificateFacts> {
    if PEM_BYTES_MAX < pem.len() {
        violations.add(field, format!("has more than {PEM_BYTES_MAX} bytes"));
        return None;
    }
    violations.check(field, reader.read(pem))
}

fn check_facts(
    facts: &CertificateFacts,
    present: &TrustStore,
    now: Timestamp,
    field: &str,
    violations: &mut Violations,
) {
    let CertificateFacts { subject, issuer, not_after, sha256_fingerprint, .. } = facts;
    let is_known =
        present.certificates.iter().any(|one| one.facts.sha256_fingerprint == *sha256_fingerprint);
    if *not_after < now && !is_known {
        let problem = format!("`{subject}` expired at {not_after}; give the one that follows it");
        violations.add(field, problem);
    }
    if !facts.is_authority && !facts.is_self_signed {
        let problem = format!(
            "`{subject}` belongs to no certificate authority; give the certificate of its issuer \
             `{issuer}`"
        );
        violations.add(field, problem);
    }
}
