//! The callers as a document.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use nuncio_core::caller::Permission;
use nuncio_core::caller::known::{Callers, Credential, KnownCaller, TokenHash};
use nuncio_core::caller::limits::CallerLimits;
use nuncio_core::secret::Sensitive;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// The saved document is not understood.
#[derive(Debug, thiserror::Error)]
#[error("the saved callers are not understood: {0}")]
pub struct NoCallers(String);

pub fn encode(callers: &Callers) -> Sensitive {
    let callers = callers.0.iter().map(|one| CallerV1 {
        name: one.name.clone(),
        permissions: one.permissions.iter().map(|one| one.name().to_owned()).collect(),
        token_sha256: match &one.credential {
            Credential::Certificate => None,
            Credential::Token(TokenHash(digest)) => Some(URL_SAFE_NO_PAD.encode(digest)),
        },
        created_at: one.created_at,
        calls_per_second: one.limits.calls_per_second,
        calls_at_once: one.limits.calls_at_once,
    });
    let document = DocumentV1 { version: VERSION, callers: callers.collect() };
    let json = serde_json::to_string(&document).expect("texts and numbers always become JSON");
    Sensitive::from(json)
}

/// The callers as they were saved.
pub fn decode(content: &Sensitive) -> Result<Callers, NoCallers> {
    let document: DocumentV1 = serde_json::from_str(content.expose())
        .map_err(|error| NoCallers(format!("line {}, column {}", error.line(), error.column())))?;
    if document.version != VERSION {
        let problem = format!("version {} of its format; {VERSION} is known", document.version);
        return Err(NoCallers(problem));
    }
    let callers: Result<_, _> = document.callers.into_iter().map(known).collect();
    callers.map(Callers)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentV1 {
    version: u32,
    callers: Vec<CallerV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerV1 {
    name: String,
    permissions: Vec<String>,
    /// In base64url; none means by certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_sha256: Option<String>,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calls_per_second: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calls_at_once: Option<u32>,
}

/// A permission that is not known would be one too few or one too many, so the document is refused.
fn known(one: CallerV1) -> Result<KnownCaller, NoCallers> {
    let permission = |name: &String| {
        let found = Permission::ALL.into_iter().find(|permission| permission.name() == name);
        found.ok_or_else(|| NoCallers(format!("`{name}` is no permission")))
    };
    let permissions: Result<BTreeSet<_>, _> = one.permissions.iter().map(permission).collect();
    let credential = match one.token_sha256 {
        None => Credential::Certificate,
        Some(text) => {
            let digest =
                URL_SAFE_NO_PAD.decode(text).ok().and_then(|digest| digest.try_into().ok());
            let digest = digest.ok_or_else(|| NoCallers("a digest is damaged".to_owned()))?;
            Credential::Token(TokenHash(digest))
        }
    };
    Ok(KnownCaller {
        name: one.name,
        permissions: permissions?,
        limits: CallerLimits {
            calls_per_second: one.calls_per_second,
            calls_at_once: one.calls_at_once,
        },
        credential,
        created_at: one.created_at,
    })
}

#[cfg(test)]
mod tests;
