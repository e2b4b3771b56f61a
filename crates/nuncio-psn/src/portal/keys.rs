//! The key with which portal mail signs links and fingerprints requests: the same on all nodes.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use nuncio_core::ports::settings::{SaveError, SettingsShare};
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::{DocumentChange, SavedDocument, SettingsDocument};
use serde::{Deserialize, Serialize};

/// The length of a key in bytes: that of the digest (RFC 2104, section 3).
const KEY_BYTES: usize = 32;
const VERSION: u32 = 1;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the portal key cannot be read")]
    Unreadable,
    #[error("the portal key was not made: there are no random bytes")]
    NoChance,
    #[error("the portal key was not saved")]
    Save(#[from] SaveError),
}

#[derive(Serialize, Deserialize)]
struct KeysV1 {
    version: u32,
    key: String,
}

/// The present key. The first node that needs one makes it; it lies encrypted among the settings.
pub(crate) async fn key(
    settings: &dyn SettingsShare,
    now: Timestamp,
) -> Result<hmac::Key, KeyError> {
    let present = || settings.document(SettingsDocument::PortalKeys).borrow().clone();
    if let Some(saved) = present() {
        return read(&saved);
    }
    let change = DocumentChange {
        caller: "nuncio".to_owned(),
        at: now,
        summary: "made a key for links and request ids".to_owned(),
    };
    let saving =
        settings.save_document(SettingsDocument::PortalKeys, fresh()?, change, Some("")).await;
    match saving {
        Ok(saved) => read(&saved),
        // Another node was faster.
        Err(SaveError::EtagMismatch { present: etag }) => match present() {
            Some(saved) => read(&saved),
            None => Err(SaveError::EtagMismatch { present: etag }.into()),
        },
        Err(error @ SaveError::Store(_)) => Err(error.into()),
    }
}

fn fresh() -> Result<Sensitive, KeyError> {
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| KeyError::NoChance)?;
    let document = KeysV1 { version: VERSION, key: STANDARD.encode(key) };
    let json = serde_json::to_string(&document).expect("texts and numbers always become JSON");
    Ok(Sensitive::from(json))
}

fn read(saved: &SavedDocument) -> Result<hmac::Key, KeyError> {
    let keys: KeysV1 =
        serde_json::from_str(saved.content.expose()).map_err(|_| KeyError::Unreadable)?;
    let key = STANDARD.decode(keys.key).map_err(|_| KeyError::Unreadable)?;
    if keys.version != VERSION || key.len() != KEY_BYTES {
        return Err(KeyError::Unreadable);
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}
