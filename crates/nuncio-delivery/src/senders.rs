//! The memory of senders that the provider refused, shared by all nodes through the store.
//!
//! It saves refusals and is no condition of anything: while the store cannot be read, every sender is tried.

use std::sync::Arc;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::job::Reason;
use nuncio_core::portal::sender::RefusedSender;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, Record, RecordKey, RecordKind, RecordQuery, RecordStore,
    Write,
};
use nuncio_runtime::chain::Chain;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

/// One record for each sender that the provider refused and has not taken since.
pub const SENDER: RecordKind = RecordKind("sender");

/// The longest text of a provider that is kept, in characters.
const REASON_CHARS_MAX: usize = 500;
/// How often a note is written anew because another node has written meanwhile.
const TRIES_MAX: u32 = 4;

/// Remembers refused senders.
#[derive(Clone)]
pub struct Senders {
    pub records: Arc<dyn RecordStore>,
}

impl Senders {
    /// The refused senders behind `after`, in the order of their addresses.
    pub async fn list(
        &self,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<RefusedSender>, StoreError> {
        let query = RecordQuery { kind: SENDER, owner: None, after, limit };
        let found = self.records.list_records(&query).await?;
        Ok(found.iter().filter_map(decode).collect())
    }

    /// Forgets that a sender was refused, so that the next mail tries it. Whether it was known.
    pub async fn forget(&self, sender: &EmailAddress, now: Timestamp) -> Result<bool, StoreError> {
        let known = self.find(sender).await?.is_some();
        let mut changes = Changeset::new(now);
        changes.writes.push(Write::Delete { key: key(sender), expected: Expected::Any });
        match self.records.commit(changes).await {
            Ok(_) => Ok(known),
            Err(CommitError::Store(error)) => Err(error),
            Err(error @ (CommitError::Conflict { .. } | CommitError::RequestIdReused { .. })) => {
                Err(StoreError::Unusable(error.into()))
            }
        }
    }

    /// Whether the provider refused this sender lately.
    pub(crate) async fn is_passed_over(&self, sender: &EmailAddress, now: Timestamp) -> bool {
        match self.find(sender).await {
            Ok(found) => found.is_some_and(|(_, sender)| sender.is_passed_over(now)),
            Err(error) => {
                warn!("refused senders not read, so each is tried: {}", Chain(&error));
                false
            }
        }
    }

    /// Notes a refusal.
    pub(crate) async fn refused(&self, sender: &EmailAddress, reason: &Reason, now: Timestamp) {
        let mut tries = 0;
        loop {
            let noted = self.note_refusal(sender, reason, now).await;
            tries += 1;
            match noted {
                Ok(()) => return,
                Err(CommitError::Conflict { .. }) if tries < TRIES_MAX => {}
                Err(error) => {
                    warn!("refused sender not noted: {}", Chain(&error));
                    return;
                }
            }
        }
    }

    /// Notes that the provider takes a sender. Whether it had refused it before.
    pub(crate) async fn taken(&self, sender: &EmailAddress, now: Timestamp) -> bool {
        match self.find(sender).await {
            Ok(None) => false,
            Ok(Some(_)) => {
                match self.forget(sender, now).await {
                    Ok(_) => info!("a sender that was refused before may send again"),
                    Err(error) => warn!("sender not noted as taken: {}", Chain(&error)),
                }
                true
            }
            Err(error) => {
                warn!("refused senders not read: {}", Chain(&error));
                false
            }
        }
    }

    async fn note_refusal(
        &self,
        sender: &EmailAddress,
        reason: &Reason,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let before = self.find(sender).await?;
        let (expected, before) = match &before {
            Some((version, before)) => (Expected::Version(*version), Some(before)),
            None => (Expected::Absent, None),
        };
        let mut changes = Changeset::new(now);
        changes.writes.push(Write::Put {
            key: key(sender),
            expected,
            owner: None,
            due_at: None,
            content: encode(&RefusedSender::after(before, sender, reason, now)),
        });
        self.records.commit(changes).await.map(drop)
    }

    async fn find(
        &self,
        sender: &EmailAddress,
    ) -> Result<Option<(i64, RefusedSender)>, StoreError> {
        let found = self.records.read(&[key(sender)]).await?;
        let found = found.into_iter().flatten().next();
        Ok(found.and_then(|record| Some((record.version, decode(&record)?))))
    }
}

/// Case matters in the local part at most; nobody has two senders that differ in it alone.
fn key(sender: &EmailAddress) -> RecordKey {
    RecordKey::new(SENDER, sender.as_str().to_lowercase())
}

#[derive(Deserialize, Serialize)]
struct SenderV1 {
    address: String,
    refused_since: Timestamp,
    last_tried_at: Timestamp,
    refusals: u32,
    reason: String,
}

fn encode(sender: &RefusedSender) -> String {
    let stored = SenderV1 {
        address: sender.address.to_string(),
        refused_since: sender.refused_since,
        last_tried_at: sender.last_tried_at,
        refusals: sender.refusals,
        reason: sender.reason.chars().take(REASON_CHARS_MAX).collect(),
    };
    serde_json::to_string(&stored).expect("texts and numbers always become JSON")
}

/// What cannot be read is as if it were not there: the sender is tried, and noted anew if it is refused.
fn decode(record: &Record) -> Option<RefusedSender> {
    let stored: SenderV1 = serde_json::from_str(&record.content).ok()?;
    Some(RefusedSender {
        address: stored.address.parse().ok()?,
        refused_since: stored.refused_since,
        last_tried_at: stored.last_tried_at,
        refusals: stored.refusals,
        reason: stored.reason,
    })
}
