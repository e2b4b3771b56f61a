//! What is inside the envelopes: one file format for each settings document, with a version of its own.
//!
//! The formats are types of this crate, apart from those of the domain, so that neither binds the other.

use std::ops::RangeInclusive;

use nuncio_core::settings::document::SettingsDocument;
use serde::Deserialize;

mod change;
pub mod role;
pub mod smtp;

/// A settings document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Document {
    Smtp,
    Role(SettingsDocument),
}

/// Why a decrypted document is not understood. No message shows any of its content.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error(
        "it has version {found} of its format, and this nuncio knows version {known}; run the nuncio that \
         wrote it, or a newer one"
    )]
    UnknownVersion { found: u32, known: u32 },
    #[error("its content does not have the shape of its version: {0}")]
    Malformed(String),
}

impl Document {
    /// Every document that this version knows.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Smtp).chain(SettingsDocument::ALL.into_iter().map(Self::Role))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Role(document) => document.name(),
        }
    }
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Looks at the version before anything else is read.
fn check_version(text: &[u8], known: RangeInclusive<u32>) -> Result<(), DocumentError> {
    let Versioned { version: found } = serde_json::from_slice(text).map_err(|_| no_json())?;
    if known.contains(&found) {
        return Ok(());
    }
    Err(DocumentError::UnknownVersion { found, known: *known.end() })
}

fn no_json() -> DocumentError {
    DocumentError::Malformed("it is no JSON with a `version`".to_owned())
}
