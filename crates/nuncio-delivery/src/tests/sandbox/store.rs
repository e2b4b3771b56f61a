//! A store in memory, with faults.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::job::*;
use nuncio_core::ports::job_store::*;
use nuncio_store::memory::MemoryJobStore;
use tokio::sync::watch;

/// The store in memory, with faults.
#[derive(Default)]
pub(super) struct Store {
    pub(super) inner: Arc<MemoryJobStore>,
    pub(super) failing_usage: AtomicU32,
    pub(super) failing_settlements: AtomicU32,
    pub(super) settlement_takes: Mutex<Duration>,
    pub(super) thefts: AtomicU32,
    pub(super) lost_marks: AtomicU32,
    pub(super) old_batches: AtomicU32,
}

impl Store {
    /// While settlements fail, so does what looks after jobs.
    fn check_fire(&self) -> Result<(), StoreError> {
        if 0 < self.failing_settlements.load(Ordering::Relaxed) {
            return Err(StoreError::Unusable("disk on fire".into()));
        }
        Ok(())
    }
}

fn take_one(counter: &AtomicU32) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
}

#[async_trait]
impl JobStore for Store {
    async fn submit(&self, job: NewJob) -> Result<Submitted, SubmitError> {
        self.inner.submit(job).await
    }

    async fn get(&self, id: MailJobId) -> Result<Option<Job>, StoreError> {
        self.inner.get(id).await
    }

    async fn attempts(&self, id: MailJobId, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        self.inner.attempts(id, limit).await
    }

    async fn usage(
        &self,
        now: Timestamp,
        asker: &Incarnation,
    ) -> Result<Vec<MailboxUsage>, StoreError> {
        if take_one(&self.failing_usage) {
            return Err(StoreError::Unusable("connection refused".into()));
        }
        self.inner.usage(now, asker).await
    }

    async fn list(&self, query: &JobQuery) -> Result<JobPage, StoreError> {
        self.inner.list(query).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        self.inner.claim(claim).await
    }

    async fn extend(&self, lease: &Lease, until: Timestamp) -> Result<(), LeaseError> {
        self.inner.extend(lease, until).await
    }

    async fn enter_body(&self, lease: &Lease) -> Result<(), LeaseError> {
        if take_one(&self.thefts) {
            // Another node believes that this one is dead.
            let thief = Incarnation("thief".to_owned());
            self.inner.rescue(Dead::AllBut(thief), Timestamp::UNIX_EPOCH).await?;
        }
        let marked = self.inner.enter_body(lease).await;
        if take_one(&self.lost_marks) {
            return Err(LeaseError::Store(StoreError::Unusable("connection lost".into())));
        }
        marked
    }

    async fn settle(&self, lease: Lease, settlement: Settlement) -> Result<Job, LeaseError> {
        if take_one(&self.failing_settlements) {
            return Err(LeaseError::Store(StoreError::Full("disk on fire".into())));
        }
        let takes = *self.settlement_takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        self.inner.settle(lease, settlement).await
    }

    async fn cancel(&self, id: MailJobId, now: Timestamp) -> Result<Job, CancelError> {
        self.inner.cancel(id, now).await
    }

    async fn direct(
        &self,
        id: MailJobId,
        direction: Direction,
        now: Timestamp,
    ) -> Result<Job, DirectError> {
        self.inner.direct(id, direction, now).await
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.check_fire()?;
        self.inner.expire(now, limit).await
    }

    async fn rescue(&self, dead: Dead, now: Timestamp) -> Result<Vec<Job>, StoreError> {
        self.check_fire()?;
        self.inner.rescue(dead, now).await
    }

    async fn release_held(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.release_held(now).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due().await
    }

    async fn changes(
        &self,
        after: ChangeSeq,
        id: Option<MailJobId>,
        limit: u32,
    ) -> Result<Vec<Change>, StoreError> {
        self.inner.changes(after, id, limit).await
    }

    async fn last_change(&self) -> Result<ChangeSeq, StoreError> {
        self.inner.last_change().await
    }

    fn changed(&self) -> watch::Receiver<()> {
        self.inner.changed()
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.inner.backlog().await
    }

    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        if take_one(&self.old_batches) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Ok(limit);
        }
        self.inner.prune(before, limit).await
    }
}
