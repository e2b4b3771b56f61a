//! The settings documents of roles as they are kept: their content with who changed it.

use nuncio_core::settings::document::{DocumentChange, SavedDocument};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::change::ChangeV1;
use super::{DocumentError, check_version};

const VERSION: u32 = 1;

/// The document as JSON. Its content may hold secrets in clear text: it belongs into an envelope at once.
pub fn encode(saved: &SavedDocument) -> Zeroizing<Vec<u8>> {
    let document = RoleDocument {
        version: VERSION,
        content: saved.content.expose().to_owned(),
        history: saved.history.iter().map(ChangeV1::from).collect(),
    };
    let json = serde_json::to_vec(&document).expect("texts and numbers always become JSON");
    drop(Zeroizing::new(document.content));
    Zeroizing::new(json)
}

/// Reads what [`encode`] wrote. The generation is that of the envelope.
pub fn decode(text: &[u8], generation: i64) -> Result<SavedDocument, DocumentError> {
    check_version(text, 1..=VERSION)?;
    let document: RoleDocument = serde_json::from_slice(text).map_err(|error| {
        // The error's own text may quote a value, and values may be secrets.
        let (line, column) = (error.line(), error.column());
        DocumentError::Malformed(format!("unexpected value at line {line}, column {column}"))
    })?;
    Ok(SavedDocument {
        content: document.content.into(),
        generation,
        history: document.history.into_iter().map(DocumentChange::from).collect(),
    })
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleDocument {
    version: u32,
    content: String,
    history: Vec<ChangeV1>,
}
