//! The keys of a node seal what its store keeps.
//!
//! Sealed: a byte for the format, a byte for the length of the key id, the key id, the nonce, the ciphertext with its
//! tag. Format and key id are authenticated with the context.

use aws_lc_rs::aead::{MAX_TAG_LEN, NONCE_LEN, Nonce};
use nuncio_core::ports::sealer::{Sealer, UnsealError};

use crate::keyring::{KeyId, Keyring};

const FORMAT: u8 = 1;

impl Sealer for Keyring {
    fn key_id(&self) -> &str {
        self.writer().as_str()
    }

    fn mark(&self, key_id: &str) -> Vec<u8> {
        // An id that is none has sealed nothing: no id of a sealed one is as long.
        let length = u8::try_from(key_id.len()).unwrap_or(u8::MAX);
        [&[FORMAT, length], key_id.as_bytes()].concat()
    }

    fn seal(&self, context: &[u8], clear: &[u8]) -> Vec<u8> {
        let header = self.mark(self.key_id());
        let mut text = Vec::with_capacity(clear.len() + MAX_TAG_LEN);
        text.extend_from_slice(clear);
        let nonce = Keyring::seal(self, &associated(&header, context), &mut text);
        [header.as_slice(), nonce.as_ref(), &text].concat()
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let (key_id, nonce, ciphertext) = parts(sealed).ok_or(UnsealError::Malformed)?;
        let name = || key_id.as_str().to_owned();
        if !Keyring::knows(self, &key_id) {
            return Err(UnsealError::UnknownKey { key_id: name() });
        }
        let associated = associated(&self.mark(key_id.as_str()), context);
        let mut text = ciphertext.to_vec();
        let opened = Keyring::open(self, &key_id, Nonce::from(nonce), &associated, &mut text);
        let length = opened.ok_or_else(|| UnsealError::Forged { key_id: name() })?.len();
        text.truncate(length);
        Ok(text)
    }
}

/// No two pairs give the same bytes: the header tells its length.
fn associated(header: &[u8], context: &[u8]) -> Vec<u8> {
    [header, context].concat()
}

fn parts(sealed: &[u8]) -> Option<(KeyId, &[u8; NONCE_LEN], &[u8])> {
    let [FORMAT, length, rest @ ..] = sealed else { return None };
    let (id, rest) = rest.split_at_checked(usize::from(*length))?;
    let key_id = KeyId::parse(str::from_utf8(id).ok()?)?;
    let (nonce, ciphertext) = rest.split_first_chunk()?;
    Some((key_id, nonce, ciphertext))
}

#[cfg(test)]
mod tests;
