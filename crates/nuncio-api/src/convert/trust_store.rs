//! The trust store.

use jiff::Timestamp;
use nuncio_core::settings::document::SavedDocument;
use nuncio_core::settings::trust_store::{
    CertificateDraft, TrustStore, TrustUse, TrustedCertificate, days_left, warnings,
};
use nuncio_core::violation::Violations;

use crate::convert::enums::known_all;
use crate::convert::time::timestamp;
use crate::v1;

/// The certificates as a caller gives them. Fields are named as in the API.
pub fn drafts(given: v1::TrustStore, violations: &mut Violations) -> Vec<CertificateDraft> {
    let given = given.certificates.into_iter().enumerate();
    let drafts = given.map(|(index, one)| {
        let field = format!("trust_store.certificates[{index}].trusted_for");
        let trusted_for: Vec<TrustUse> =
            known_all::<v1::TrustUse, _>(violations, &field, &one.trusted_for);
        CertificateDraft {
            name: one.name,
            description: one.description,
            pem: one.certificate_pem,
            trusted_for: trusted_for.into_iter().collect(),
        }
    });
    drafts.collect()
}

/// The trust store as it is at `now`, and as it was saved, if it was.
pub fn trust_store(
    store: &TrustStore,
    saved: Option<&SavedDocument>,
    now: Timestamp,
) -> v1::TrustStore {
    v1::TrustStore {
        certificates: store.certificates.iter().map(|one| certificate(one, now)).collect(),
        etag: saved.map(SavedDocument::etag).unwrap_or_default(),
        generation: saved.map_or(0, |saved| saved.generation),
        update_time: saved.and_then(|saved| saved.history.first()).map(|last| timestamp(last.at)),
    }
}

/// Its last changes.
pub fn changes(saved: &SavedDocument) -> Vec<v1::TrustStoreChange> {
    let changes = saved.history.iter().map(|change| v1::TrustStoreChange {
        caller: change.caller.clone(),
        change_time: Some(timestamp(change.at)),
        summary: change.summary.clone(),
    });
    changes.collect()
}

fn certificate(one: &TrustedCertificate, now: Timestamp) -> v1::TrustedCertificate {
    let uses = one.trusted_for.iter().map(|usage| v1::TrustUse::from(*usage).into());
    v1::TrustedCertificate {
        name: one.name.clone(),
        description: one.description.clone(),
        certificate_pem: one.pem.clone(),
        trusted_for: uses.collect(),
        subject: one.facts.subject.clone(),
        issuer: one.facts.issuer.clone(),
        sha256_fingerprint: one.facts.sha256_fingerprint.clone(),
        not_before_time: Some(timestamp(one.facts.not_before)),
        not_after_time: Some(timestamp(one.facts.not_after)),
        days_left: days_left(&one.facts, now),
        warnings: warnings(&one.facts, now),
    }
}
