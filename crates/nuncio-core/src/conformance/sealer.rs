//! Sealers for tests of those who use one.

use std::sync::{Arc, Mutex, PoisonError};

use crate::ports::sealer::{Sealer, Sealers, UnsealError};

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

    fn mark(&self, key_id: &str) -> Vec<u8> {
        [1].into_iter().chain(key_id.bytes()).chain([0]).collect()
    }

    fn seal(&self, context: &[u8], clear: &[u8]) -> Vec<u8> {
        let pad = self.pad(context);
        let padded = clear.iter().map(|byte| byte ^ pad);
        self.mark(self.0).into_iter().chain([pad]).chain(padded).collect()
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let named = sealed.strip_prefix(&[1]).ok_or(UnsealError::Malformed)?;
        let end = named.iter().position(|byte| *byte == 0).ok_or(UnsealError::Malformed)?;
        let key_id = String::from_utf8_lossy(&named[..end]).into_owned();
        if key_id != self.0 {
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

/// One key for ever.
impl Sealers for TestSealer {
    fn current(&self) -> Arc<dyn Sealer> {
        Arc::new(self.clone())
    }

    fn seal_with_one_of(&self, _key_ids: &[String]) {}
}

/// Keys that a test changes: the first seals, all open.
#[derive(Debug)]
pub struct TestKeys(Mutex<Vec<&'static str>>);

impl TestKeys {
    pub fn new(keys: &[&'static str]) -> Self {
        Self(Mutex::new(keys.to_vec()))
    }

    pub fn set(&self, keys: &[&'static str]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = keys.to_vec();
    }
}

impl Sealers for TestKeys {
    fn current(&self) -> Arc<dyn Sealer> {
        Arc::new(TestRing(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    fn seal_with_one_of(&self, key_ids: &[String]) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = keys.iter().position(|key| key_ids.iter().any(|id| id == key));
        keys[..=place.unwrap_or_default()].rotate_right(1);
    }
}

/// [`TestKeys`] at one moment.
struct TestRing(Vec<&'static str>);

impl Sealer for TestRing {
    fn key_id(&self) -> &str {
        self.0[0]
    }

    fn mark(&self, key_id: &str) -> Vec<u8> {
        TestSealer(self.0[0]).mark(key_id)
    }

    fn seal(&self, context: &[u8], clear: &[u8]) -> Vec<u8> {
        TestSealer(self.0[0]).seal(context, clear)
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let mut opened = Err(UnsealError::Malformed);
        for key in &self.0 {
            opened = TestSealer(key).open(context, sealed);
            match opened {
                Ok(_) | Err(UnsealError::Malformed | UnsealError::Forged { .. }) => break,
                Err(UnsealError::UnknownKey { .. }) => {}
            }
        }
        opened
    }
}
