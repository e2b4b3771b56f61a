//! The ledger stays small: rows go long after the expiry that they are about.

use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Changeset, CommitError, Expected, Write};
use nuncio_core::reminder::ledger::LEDGER;
use tracing::info;

use super::Reminders;

/// How many rows one transaction removes.
const BATCH: u32 = 500;

impl Reminders {
    /// Removes all rows whose time is over.
    pub(crate) async fn prune(&self) -> Result<(), StoreError> {
        let mut removed = 0;
        loop {
            let now = self.intake.clock.now();
            let rows = self.records.due_records(LEDGER, now, None, BATCH).await?;
            if rows.is_empty() {
                break;
            }
            let mut changes = Changeset::new(now);
            changes.writes.extend(rows.iter().map(|row| {
                // Another PAN may be about it too.
                Write::Delete { key: row.key.clone(), expected: Expected::Any }
            }));
            match self.records.commit(changes).await {
                Ok(_) => removed += rows.len(),
                Err(CommitError::Store(source)) => return Err(source),
                Err(CommitError::Conflict { .. } | CommitError::RequestIdReused { .. }) => {}
            }
        }
        if removed > 0 {
            info!("removed {removed} rows of the ledger of reminders");
        }
        Ok(())
    }
}
