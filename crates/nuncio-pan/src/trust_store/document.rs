//! The trust store as a document.

use nuncio_core::secret::Sensitive;
use nuncio_core::settings::trust_store::{CertificateDraft, TrustStore, TrustUse};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// The saved document is not understood.
#[derive(Debug, thiserror::Error)]
#[error("the saved trust store is not understood: {0}")]
pub struct NotATrustStore(String);

pub fn encode(store: &TrustStore) -> Sensitive {
    let certificates = store.certificates.iter().map(|one| CertificateV1 {
        name: one.name.clone(),
        description: one.description.clone(),
        pem: one.pem.clone(),
        trusted_for: one.trusted_for.iter().map(|usage| UseV1::from(*usage)).collect(),
    });
    let document = DocumentV1 { version: VERSION, certificates: certificates.collect() };
    let json = serde_json::to_string(&document).expect("texts and numbers always become JSON");
    Sensitive::from(json)
}

/// The certificates as they were saved, by name. They were checked then.
pub fn decode(content: &Sensitive) -> Result<Vec<CertificateDraft>, NotATrustStore> {
    let document: DocumentV1 = serde_json::from_str(content.expose()).map_err(|error| {
        NotATrustStore(format!("line {}, column {}", error.line(), error.column()))
    })?;
    if document.version != VERSION {
        let problem = format!("version {} of its format; {VERSION} is known", document.version);
        return Err(NotATrustStore(problem));
    }
    let certificates = document.certificates.into_iter().map(|one| CertificateDraft {
        name: one.name,
        description: one.description,
        pem: one.pem,
        trusted_for: one.trusted_for.into_iter().map(TrustUse::from).collect(),
    });
    Ok(certificates.collect())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentV1 {
    version: u32,
    certificates: Vec<CertificateV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateV1 {
    name: String,
    description: String,
    pem: String,
    trusted_for: Vec<UseV1>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UseV1 {
    Smtp,
    TokenEndpoint,
    AlarmRoutes,
}

impl From<TrustUse> for UseV1 {
    fn from(usage: TrustUse) -> Self {
        match usage {
            TrustUse::Smtp => Self::Smtp,
            TrustUse::TokenEndpoint => Self::TokenEndpoint,
            TrustUse::AlarmRoutes => Self::AlarmRoutes,
        }
    }
}

impl From<UseV1> for TrustUse {
    fn from(usage: UseV1) -> Self {
        match usage {
            UseV1::Smtp => Self::Smtp,
            UseV1::TokenEndpoint => Self::TokenEndpoint,
            UseV1::AlarmRoutes => Self::AlarmRoutes,
        }
    }
}
