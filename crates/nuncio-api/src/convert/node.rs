//! What a node tells of itself.

use nuncio_core::ports::job_store::Backlog;

use crate::v1;

impl From<Backlog> for v1::Backlog {
    fn from(Backlog { queued, sending, deferred, held, .. }: Backlog) -> Self {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            queued: number(queued),
            sending: number(sending),
            deferred: number(deferred),
            held: number(held),
        }
    }
}
