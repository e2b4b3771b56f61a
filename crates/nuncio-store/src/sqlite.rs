//! A store in a SQLite file.
//!
//! Reads go to a small pool. All writes go through one writer, which commits many of them together.
//!
//! Limits are written `LIMIT +?`. SQLite plans with the value of a bare parameter there, and therefore compiles the statement
//! anew at each run (`sqlite3ExprIsInteger`, seen in 3.51: a twelfth of what its thread used).

mod advance;
mod claim;
mod end;
mod engine;
mod lease;
mod open;
mod read;
mod records;
mod sealed;
mod stage;
mod submit;
mod values;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::job::{Attempt, Job, MailJobId, NewJob};
use nuncio_core::ports::job_store::*;
use nuncio_core::ports::records::*;
use nuncio_core::ports::sealed::{Resealed, SealedMails};
use nuncio_core::ports::sealer::{Sealer, Sealers};
use sqlx::SqlitePool;
use tokio::sync::watch;

pub use open::OpenError;

use crate::ports::implement_ports;
use crate::sqlite::engine::SqliteEngine;
use crate::write::Writer;
use crate::write::advance::Advance;
use crate::write::claim::{claimed, with_attachments};
use crate::write::commit::Commit;
use crate::write::end::{Cancel, Direct, Expire, Prune, ReleaseHeld, Rescue};
use crate::write::engine::{in_time, store_error};
use crate::write::keys::{ForgetKey, NoteKey, Reseal, ResealedMail};
use crate::write::lease::{EnterBody, Extend};
use crate::write::submit::Submit;

/// A [`JobStore`] and [`RecordStore`] in a SQLite file that one process uses at a time.
///
/// Its file holds guests' data, so only its owner may read it; mails are sealed in it.
pub struct SqliteJobStore {
    writer: Writer,
    readers: SqlitePool,
    changed: watch::Sender<()>,
    keys: Arc<dyn Sealers>,
    /// Locked for as long as the store is open.
    lock: File,
}

impl SqliteJobStore {
    /// Opens the store in the file at `path`, and makes it if it is not there. Its folder must be there.
    ///
    /// Beside the file lie SQLite's own (`-wal`, `-shm`) and one that is locked while the store is open
    /// (`.lock`). Mails are sealed by `keys`; if the store holds some that it cannot open, the store stays closed.
    pub async fn open(path: &Path, keys: Arc<dyn Sealers>) -> Result<Self, OpenError> {
        open::open(path, keys, open::Limits::default()).await
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

implement_ports!(SqliteJobStore);

impl SqliteJobStore {
    fn job_changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

async fn answer<T>(read: impl Future<Output = sqlx::Result<T>>) -> Result<T, StoreError> {
    in_time::<SqliteEngine, T>(read).await.map_err(store_error::<SqliteEngine>)
}

#[cfg(test)]
mod tests;
