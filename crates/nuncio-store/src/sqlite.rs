//! A store in a SQLite file.
//!
//! Reads go to a small pool. All writes go through one writer, which commits many of them together.

mod advance;
mod claim;
mod end;
mod engine;
mod lease;
mod open;
mod read;
mod stage;
mod submit;
mod values;

use std::fs::File;
use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::job::{Attempt, Job, MailJobId, NewJob};
use nuncio_core::ports::job_store::*;
use sqlx::SqlitePool;
use tokio::sync::watch;

pub use open::OpenError;

use crate::sqlite::engine::SqliteEngine;
use crate::write::Writer;
use crate::write::advance::Advance;
use crate::write::claim::{claimed, with_attachments};
use crate::write::end::{Cancel, Direct, Expire, Prune, ReleaseHeld, Rescue};
use crate::write::lease::{EnterBody, Extend};
use crate::write::submit::Submit;

/// A [`JobStore`] in a SQLite file that one process uses at a time.
///
/// Its file may hold guests' passwords, so only its owner may read it.
pub struct SqliteJobStore {
    writer: Writer,
    readers: SqlitePool,
    changed: watch::Sender<()>,
    /// Locked for as long as the store is open.
    lock: File,
}

impl SqliteJobStore {
    /// Opens the store in the file at `path`, and makes it if it is not there. Its folder must be there.
    ///
    /// Beside the file lie SQLite's own (`-wal`, `-shm`) and one that is locked while the store is open
    /// (`.lock`).
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        open::open(path, open::Limits::default()).await
    }

    /// Waits for all writes that were asked for, and gives the file free. Later writes fail.
    ///
    /// A store that is dropped without it loses nothing that it has promised.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the lock of the job store could not be released");
        }
    }
}

#[async_trait]
impl JobStore for SqliteJobStore {
    async fn submit(&self, job: NewJob) -> Result<Submitted, SubmitError> {
        self.writer.write(Submit::from(job)).await
    }

    async fn get(&self, id: MailJobId) -> Result<Option<Job>, StoreError> {
        read::job(&self.readers, id).await.map_err(store_error)
    }

    async fn attempts(&self, id: MailJobId, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        read::attempts(&self.readers, id, limit).await.map_err(store_error)
    }

    async fn usage(&self, now: Timestamp) -> Result<Vec<MailboxUsage>, StoreError> {
        read::usage(&self.readers, now).await.map_err(store_error)
    }

    async fn list(&self, query: &JobQuery) -> Result<JobPage, StoreError> {
        read::list(&self.readers, query).await.map_err(store_error)
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        let leased = self.writer.write(claim).await?;
        let with_attachments = with_attachments(&leased);
        let attachments = read::attachments(&self.readers, &with_attachments).await;
        Ok(claimed(leased, attachments.map_err(store_error)?))
    }

    async fn extend(&self, lease: &Lease, until: Timestamp) -> Result<(), LeaseError> {
        self.writer.write(Extend::new(lease, until)).await
    }

    async fn enter_body(&self, lease: &Lease) -> Result<(), LeaseError> {
        self.writer.write(EnterBody::new(lease)).await
    }

    async fn settle(&self, lease: Lease, settlement: Settlement) -> Result<Job, LeaseError> {
        self.writer.write(Advance::settlement(&lease, settlement)).await
    }

    async fn cancel(&self, id: MailJobId, now: Timestamp) -> Result<Job, CancelError> {
        self.writer.write(Cancel { id, now }).await
    }

    async fn direct(
        &self,
        id: MailJobId,
        direction: Direction,
        now: Timestamp,
    ) -> Result<Job, DirectError> {
        self.writer.write(Direct { id, direction, now }).await
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.writer.write(Expire { now, limit }).await
    }

    async fn rescue(&self, dead: Dead, now: Timestamp) -> Result<Vec<Job>, StoreError> {
        self.writer.write(Rescue { dead, now }).await
    }

    async fn release_held(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.writer.write(ReleaseHeld { now }).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        read::next_due(&self.readers).await.map_err(store_error)
    }

    async fn changes(
        &self,
        after: ChangeSeq,
        id: Option<MailJobId>,
        limit: u32,
    ) -> Result<Vec<Change>, StoreError> {
        read::changes(&self.readers, after, id, limit).await.map_err(store_error)
    }

    async fn last_change(&self) -> Result<ChangeSeq, StoreError> {
        read::last_change(&self.readers).await.map_err(store_error)
    }

    fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        read::backlog(&self.readers).await.map_err(store_error)
    }

    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.writer.write(Prune { before, limit }).await
    }
}

fn store_error(error: sqlx::Error) -> StoreError {
    crate::write::engine::store_error::<SqliteEngine>(error)
}

#[cfg(test)]
mod tests;
