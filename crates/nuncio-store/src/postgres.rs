//! A store in a PostgreSQL database that several nodes share.
//!
//! Reads go to a small pool. All writes go through the writer, which commits many of them together.
//! signals wake those who wait for changes, whichever node makes them.

mod advance;
mod changes;
mod claim;
mod clock;
mod database;
mod end;
mod engine;
mod lease;
mod open;
mod read;
mod records;
mod sealed;
mod signals;
mod submit;
mod text;
mod url;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::job::{Attempt, Job, MailJobId, NewJob};
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::*;
use nuncio_core::ports::records::*;
use nuncio_core::ports::sealed::{Resealed, SealedMails};
use nuncio_core::ports::sealer::{Sealer, Sealers};
use sqlx::PgPool;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

pub use open::OpenError;
pub use url::{PostgresUrl, PostgresUrlError};

use crate::ports::implement_ports;
use crate::postgres::engine::PostgresEngine;
use crate::postgres::signals::Signals;
use crate::write::Writer;
use crate::write::advance::Advance;
use crate::write::claim::{claimed, with_attachments};
use crate::write::commit::Commit;
use crate::write::end::{Cancel, Direct, Expire, Prune, ReleaseHeld, Rescue};
use crate::write::engine::{in_time, store_error};
use crate::write::keys::{ForgetKey, NoteKey, Reseal, ResealedMail};
use crate::write::lease::{EnterBody, Extend};
use crate::write::submit::Submit;

/// A [`JobStore`] and [`RecordStore`] in a PostgreSQL database.
///
/// While the database is away, everything fails as [`StoreError::Unusable`]; it is found again as soon as it
/// is there. A write that fails while the connection breaks may have been done all the same.
pub struct PostgresJobStore {
    writer: Writer,
    readers: PgPool,
    signals: Arc<Signals>,
    keys: Arc<dyn Sealers>,
    listening: Mutex<JoinSet<()>>,
}

impl PostgresJobStore {
    /// Connects to the database, and makes or updates its tables. Mails are sealed by `keys`; if the database
    /// holds some that it cannot open, it is not used.
    pub async fn open(url: &PostgresUrl, keys: Arc<dyn Sealers>) -> Result<Self, OpenError> {
        open::open(url, keys).await
    }

    /// The time that all nodes of the database go by. It follows the database while the store is open.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::<clock::DatabaseClock>::clone(&self.signals.clock)
    }

    /// Waits for all writes that were asked for, and ends the connections. Later writes fail.
    ///
    /// A store that is dropped without it loses nothing that it has promised.
    pub async fn close(&self) {
        self.writer.close().await;
        self.listening.lock().await.shutdown().await;
        self.readers.close().await;
    }
}

implement_ports!(PostgresJobStore);

impl PostgresJobStore {
    fn job_changes(&self) -> watch::Receiver<()> {
        self.signals.subscribe()
    }
}

async fn answer<T>(read: impl Future<Output = sqlx::Result<T>>) -> Result<T, StoreError> {
    in_time::<PostgresEngine, T>(read).await.map_err(store_error::<PostgresEngine>)
}

#[cfg(test)]
mod tests;
