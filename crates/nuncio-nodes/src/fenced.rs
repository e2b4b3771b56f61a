//! Records for what only the leader writes.

use std::sync::Arc;

use async_trait::async_trait;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, Committed, DuePlace, Record, RecordKey, RecordKind, RecordQuery,
    RecordStore,
};
use tokio::sync::watch;

use crate::election::Leadership;

/// The records of a store, to be written in one term only: each changeset requires that its node still leads, in the same
/// transaction. A leader that was paused beyond its lease changes nothing when it comes back.
pub struct FencedRecords {
    records: Arc<dyn RecordStore>,
    leadership: Leadership,
}

/// A node wanted to write as the leader that it is no more.
#[derive(Debug, thiserror::Error)]
#[error("this node leads no more; another one goes on")]
struct LeadsNoMore;

impl FencedRecords {
    /// Where nobody else can lead, these are the records themselves.
    pub fn over(records: Arc<dyn RecordStore>, leadership: &Leadership) -> Arc<dyn RecordStore> {
        if leadership.has_others() {
            Arc::new(Self { records, leadership: leadership.clone() })
        } else {
            records
        }
    }
}

#[async_trait]
impl RecordStore for FencedRecords {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, StoreError> {
        self.records.read(keys).await
    }

    async fn list_records(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        self.records.list_records(query).await
    }

    async fn due_records(
        &self,
        kind: RecordKind,
        until: jiff::Timestamp,
        after: Option<&DuePlace>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        self.records.due_records(kind, until, after, limit).await
    }

    async fn next_due_record(
        &self,
        kind: RecordKind,
    ) -> Result<Option<jiff::Timestamp>, StoreError> {
        self.records.next_due_record(kind).await
    }

    async fn count_records(&self, kind: RecordKind) -> Result<u64, StoreError> {
        self.records.count_records(kind).await
    }

    async fn commit(&self, mut changes: Changeset) -> Result<Committed, CommitError> {
        let requirement = self.leadership.requirement();
        let of_term = requirement.as_ref().map(|required| required.key().clone());
        changes.writes.extend(requirement);
        match self.records.commit(changes).await {
            // Whoever sees a conflict reads again and decides again: a leader that was replaced would do so for ever.
            Err(CommitError::Conflict { key, .. }) if Some(&key) == of_term.as_ref() => {
                self.leadership.over().cancel();
                Err(CommitError::Store(StoreError::Unusable(Box::new(LeadsNoMore))))
            }
            done => done,
        }
    }

    fn records_changed(&self) -> watch::Receiver<()> {
        self.records.records_changed()
    }
}
