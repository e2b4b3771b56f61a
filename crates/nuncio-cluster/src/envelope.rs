//! How a settings document is kept: encrypted, and bound to its name and generation.

use aws_lc_rs::aead::{MAX_TAG_LEN, NONCE_LEN, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::document::Document;
use crate::keyring::{KeyId, Keyring};

/// An encrypted document: AES-256-GCM (NIST SP 800-38D) under a key of the [`Keyring`].
///
/// Document name, generation and key id are authenticated with it. So no envelope can pass for another
/// document or for a newer generation. An older envelope put back as a whole is not noticed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Counts the saves of this document, from 1.
    pub generation: i64,
    /// Of the key that has sealed it.
    pub key_id: String,
    /// Base64.
    nonce: String,
    /// Base64, with the tag at its end.
    ciphertext: String,
}

/// Why an envelope does not give its document. No message shows any of its content.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("it is not an envelope of nuncio")]
    Malformed(#[source] Option<serde_json::Error>),
    #[error(
        "it was encrypted with key `{key_id}`, which the key file does not hold; add that key to the file"
    )]
    UnknownKey { key_id: String },
    #[error(
        "it cannot be decrypted with key `{key_id}`: it was changed since it was written, or the key is \
         not the one that wrote it"
    )]
    Forged { key_id: KeyId },
}

impl Envelope {
    /// Encrypts `text` with the writing key.
    pub fn seal(document: Document, generation: i64, keys: &Keyring, text: &[u8]) -> Self {
        let key_id = keys.writer();
        // Encrypted in place: no copy of the text stays behind in memory.
        let mut sealed = Vec::with_capacity(text.len() + MAX_TAG_LEN);
        sealed.extend_from_slice(text);
        let nonce = keys.seal(&associated_data(document, generation, key_id), &mut sealed);
        Self {
            generation,
            key_id: key_id.as_str().to_owned(),
            nonce: BASE64.encode(nonce.as_ref()),
            ciphertext: BASE64.encode(&sealed),
        }
    }

    /// Decrypts the text and makes sure that it is the one which was sealed as this document.
    pub fn open(
        &self,
        document: Document,
        keys: &Keyring,
    ) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
        let malformed = || EnvelopeError::Malformed(None);
        let key_id = KeyId::parse(&self.key_id).ok_or_else(malformed)?;
        let nonce = BASE64.decode(&self.nonce).ok().and_then(|nonce| nonce.try_into().ok());
        let nonce: [u8; NONCE_LEN] = nonce.ok_or_else(malformed)?;
        let mut text = Zeroizing::new(BASE64.decode(&self.ciphertext).map_err(|_| malformed())?);
        if !keys.knows(&key_id) {
            return Err(EnvelopeError::UnknownKey { key_id: key_id.as_str().to_owned() });
        }
        let associated = associated_data(document, self.generation, &key_id);
        let opened = keys.open(&key_id, Nonce::from(&nonce), &associated, &mut text);
        let length = opened.ok_or(EnvelopeError::Forged { key_id })?.len();
        text.truncate(length);
        Ok(text)
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("texts and numbers always become JSON")
    }

    pub fn from_json(json: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_slice(json).map_err(|error| EnvelopeError::Malformed(Some(error)))
    }
}

/// No two triples give the same bytes, as neither names nor ids contain a zero byte.
fn associated_data(document: Document, generation: i64, key_id: &KeyId) -> Vec<u8> {
    format!("nuncio settings\0{}\0{generation}\0{key_id}", document.name()).into_bytes()
}

#[cfg(test)]
mod tests;
