//! What the reminders have noted of a guest or user.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// What the reminders have noted in somebody's record, for example which of their mails still wait. The
/// directory keeps it and does not look into it.
#[derive(Clone)]
pub struct Notes(Box<RawValue>);

/// The notes are not in the shape that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the notes of the reminders cannot be read")]
pub struct NotReadable(#[from] serde_json::Error);

impl Notes {
    /// Panics if `notes` has a map whose keys are no texts.
    pub fn new(notes: &impl Serialize) -> Self {
        Self(serde_json::value::to_raw_value(notes).expect("notes are plain values"))
    }

    pub fn read<T: DeserializeOwned>(&self) -> Result<T, NotReadable> {
        Ok(serde_json::from_str(self.0.get())?)
    }

    pub(crate) fn from_raw(raw: Box<RawValue>) -> Self {
        Self(raw)
    }

    pub(crate) fn as_raw(&self) -> &RawValue {
        &self.0
    }
}

impl PartialEq for Notes {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Notes {}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notes({} bytes)", self.0.get().len())
    }
}
