//! Request ids that were taken, so that an event which is handed in again is taken once.

use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Expected, Record, RecordKey, Write};
use serde::{Deserialize, Serialize};

use crate::records::{REQUEST, decode, encode};

/// How long a request id is known.
const KEPT: Duration = Duration::from_hours(24);

/// A request id that was taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TakenRequest {
    /// A digest of the event.
    pub(crate) digest: String,
    /// The alarm's fingerprint.
    pub(crate) alarm: String,
}

pub(crate) fn key(caller: &str, request_id: &str) -> RecordKey {
    RecordKey::new(REQUEST, format!("{caller}/{request_id}"))
}

pub(crate) fn write(key: RecordKey, taken: &TakenRequest, now: Timestamp) -> Write {
    Write::Put {
        key,
        expected: Expected::Absent,
        owner: None,
        due_at: Some(now + KEPT),
        content: encode(taken),
    }
}

pub(crate) fn read(record: &Record) -> Result<TakenRequest, StoreError> {
    decode(record)
}
