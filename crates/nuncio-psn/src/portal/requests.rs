//! Requests with an id: a call that is repeated gets the answer of the first one.
//!
//! What is kept of a request is its answer and a keyed digest: it holds no password, and none can be guessed from it.

use aws_lc_rs::hmac;
use jiff::Timestamp;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Expected, RecordKey, RecordKind, RecordStore, Write};
use serde::{Deserialize, Serialize};

/// One record for each request with an id.
pub(crate) const REQUEST: RecordKind = RecordKind("portal-request");
/// How long a request is known.
pub(crate) const KEPT: std::time::Duration = std::time::Duration::from_hours(7 * 24);

/// A request that has an id.
pub(crate) struct RequestId {
    key: RecordKey,
    digest: String,
}

/// What is known of a request with this id.
pub(crate) enum Seen {
    Never,
    /// The answer of the first one, as it was written.
    Answered(String),
    /// The id was used for another request.
    Reused,
}

#[derive(Serialize, Deserialize)]
struct RequestV1 {
    digest: String,
    answer: String,
}

impl RequestId {
    /// None if the caller gave no id. `content` is the request without it.
    pub(crate) fn new(method: &str, id: &str, content: &[u8], key: &hmac::Key) -> Option<Self> {
        if id.is_empty() {
            return None;
        }
        let tag = hmac::sign(key, &[method.as_bytes(), &[0], content].concat());
        let digest =
            tag.as_ref().iter().fold(String::new(), |all, byte| format!("{all}{byte:02x}"));
        Some(Self { key: RecordKey::new(REQUEST, id), digest })
    }

    /// A short name that follows from the request: a repeated one has the same.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) async fn seen(&self, records: &dyn RecordStore) -> Result<Seen, StoreError> {
        let found = records.read(std::slice::from_ref(&self.key)).await?;
        let Some(record) = found.into_iter().flatten().next() else { return Ok(Seen::Never) };
        let known: Option<RequestV1> = serde_json::from_str(&record.content).ok();
        Ok(match known {
            Some(known) if known.digest == self.digest => Seen::Answered(known.answer),
            Some(_) | None => Seen::Reused,
        })
    }

    /// Notes the answer; the changeset fails if the request was answered meanwhile.
    pub(crate) fn answer(&self, answer: String, now: Timestamp) -> Write {
        let stored = RequestV1 { digest: self.digest.clone(), answer };
        Write::Put {
            key: self.key.clone(),
            expected: Expected::Absent,
            owner: None,
            due_at: Some(now + KEPT),
            content: serde_json::to_string(&stored).expect("texts always become JSON"),
        }
    }
}
