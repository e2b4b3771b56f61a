//! A sealer for tests of those who use one.

use crate::ports::sealer::{Sealer, UnsealError};

/// It only makes unreadable, which is enough to see what was sealed and what was not. Its key is its name.
#[derive(Clone, Debug)]
pub struct TestSealer(pub &'static str);

impl TestSealer {
    fn pad(&self, context: &[u8]) -> u8 {
        self.0.bytes().chain(context.iter().copied()).fold(0x5a, u8::wrapping_add) | 0x80
    }
}

impl Sealer for TestSealer {
    fn key_id(&self) -> &str {
        self.0
    }

    fn knows(&self, key_id: &str) -> bool {
        key_id == self.0
    }

    fn seal(&self, context: &[u8], clear: &[u8]) -> Vec<u8> {
        let pad = self.pad(context);
        let padded = clear.iter().map(|byte| byte ^ pad);
        [1].into_iter().chain(self.0.bytes()).chain([0, pad]).chain(padded).collect()
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let named = sealed.strip_prefix(&[1]).ok_or(UnsealError::Malformed)?;
        let end = named.iter().position(|byte| *byte == 0).ok_or(UnsealError::Malformed)?;
        let key_id = String::from_utf8_lossy(&named[..end]).into_owned();
        if !self.knows(&key_id) {
            return Err(UnsealError::UnknownKey { key_id });
        }
        match &named[end + 1..] {
            [pad, padded @ ..] if *pad == self.pad(context) => {
                Ok(padded.iter().map(|byte| byte ^ pad).collect())
            }
            _ => Err(UnsealError::Forged { key_id }),
        }
    }
}
