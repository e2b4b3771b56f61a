//! The connection of the writer.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::job::{Job, MailJobId, RequestKey};
use nuncio_core::ports::job_store::{Claim, Dead};
use nuncio_core::ports::records::RecordKey;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Error, SqliteConnection};
use tokio::sync::watch;

use crate::sqlite::open::connect;
use crate::sqlite::{advance, claim, end, lease, read, records, sealed, submit};
use crate::write::advance::Advance;
use crate::write::commit::Put;
use crate::write::end::Prune;
use crate::write::engine::{Engine, HeldRow, LeasedRow, NotCommitted, Trouble, is_of_a_value};
use crate::write::keys::{ForgetKey, NoteKey, ResealedMail};
use crate::write::lease::{EnterBody, Extend};
use crate::write::submit::{Known, RequestName, Submit};

pub(super) struct SqliteEngine {
    options: SqliteConnectOptions,
    /// None after it failed.
    connection: Option<SqliteConnection>,
    /// Marked after each commit with news.
    changed: watch::Sender<()>,
    news: bool,
    news_before_isolated: bool,
}

/// A write transaction.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a mut SqliteConnection,
    /// Whether there is something new for those who watch.
    pub(super) news: &'a mut bool,
}

impl SqliteEngine {
    /// The connection was made with these options.
    pub(super) fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        changed: watch::Sender<()>,
    ) -> Self {
        let connection = Some(connection);
        Self { options, connection, changed, news: false, news_before_isolated: false }
    }

    fn tx(&mut self) -> Transaction<'_> {
        let connection = self.connection.as_mut().expect("a transaction has begun");
        Transaction { connection, news: &mut self.news }
    }

    async fn execute(&mut self, sql: &'static str) -> sqlx::Result<()> {
        sqlx::query(sql).execute(self.tx().connection).await.map(drop)
    }
}

impl Engine for SqliteEngine {
    /// The file is here: what takes long is at work.
    const GROUP_TIMEOUT: Option<Duration> = None;
    const READ_TIMEOUT: Option<Duration> = None;

    fn trouble(error: &Error) -> Trouble {
        match sqlite_code(error) {
            Some(SQLITE_FULL) => Trouble::Full,
            Some(SQLITE_TOOBIG | SQLITE_CONSTRAINT | SQLITE_MISMATCH) => Trouble::OneRequest,
            Some(SQLITE_IOERR | SQLITE_CORRUPT | SQLITE_CANTOPEN | SQLITE_NOTADB) => Trouble::Lost,
            Some(_) => Trouble::Other,
            None if is_of_a_value(error) => Trouble::OneRequest,
            None => Trouble::Lost,
        }
    }

    fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    fn disconnect(&mut self) {
        self.connection = None;
    }

    async fn close(self) {
        let Some(connection) = self.connection else { return };
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "the job store was not closed properly");
        }
    }

    async fn begin(&mut self) -> sqlx::Result<()> {
        self.news = false;
        if self.connection.is_none() {
            self.connection = Some(connect(&self.options).await?);
        }
        self.execute("BEGIN IMMEDIATE").await
    }

    async fn commit(&mut self) -> Result<(), NotCommitted> {
        match self.execute("COMMIT").await {
            Ok(()) => {
                if self.news {
                    self.changed.send_replace(());
                }
                Ok(())
            }
            Err(error) if Self::trouble(&error) == Trouble::Lost => {
                Err(NotCommitted::InDoubt(error))
            }
            Err(error) => Err(NotCommitted::Undone(error)),
        }
    }

    async fn roll_back(&mut self, error: &Error) {
        let lost = Self::trouble(error) == Trouble::Lost;
        if lost || self.connection.is_none() {
            self.connection = None;
            return;
        }
        match self.execute("ROLLBACK").await {
            Ok(()) => {}
            // Some errors, such as a full disk, end the transaction: then there is nothing to undo.
            Err(error) if sqlite_code(&error) == Some(SQLITE_ERROR) => {}
            Err(_) => self.connection = None,
        }
    }

    async fn isolate(&mut self) -> sqlx::Result<()> {
        self.news_before_isolated = self.news;
        self.execute("SAVEPOINT isolated").await
    }

    async fn undo_isolated(&mut self) -> sqlx::Result<()> {
        self.news = self.news_before_isolated;
        self.execute("ROLLBACK TO isolated").await
    }

    async fn end_isolated(&mut self) -> sqlx::Result<()> {
        self.execute("RELEASE isolated").await
    }

    async fn submit(&mut self, submits: &[&Submit]) -> sqlx::Result<HashMap<RequestName, Known>> {
        submit::submit(&mut self.tx(), submits).await
    }

    async fn jobs(&mut self, ids: &[MailJobId]) -> sqlx::Result<HashMap<MailJobId, Job>> {
        read::jobs(self.tx().connection, ids).await
    }

    async fn claim(&mut self, claim: &Claim) -> sqlx::Result<Vec<LeasedRow>> {
        claim::claim(&mut self.tx(), claim).await
    }

    async fn enter_bodies(&mut self, leases: &[&EnterBody]) -> sqlx::Result<HashSet<MailJobId>> {
        lease::enter_bodies(&mut self.tx(), leases).await
    }

    async fn extend(&mut self, leases: &[&Extend]) -> sqlx::Result<HashSet<MailJobId>> {
        lease::extend(&mut self.tx(), leases).await
    }

    async fn advance(&mut self, steps: &[&Advance]) -> sqlx::Result<HashMap<MailJobId, Job>> {
        advance::advance(&mut self.tx(), steps).await
    }

    async fn find(&mut self, ids: &[MailJobId]) -> sqlx::Result<Vec<HeldRow>> {
        end::find(&mut self.tx(), ids).await
    }

    async fn has_mail(&mut self, id: MailJobId) -> sqlx::Result<bool> {
        end::has_mail(&mut self.tx(), id).await
    }

    async fn expired(&mut self, now: Timestamp, limit: u32) -> sqlx::Result<Vec<HeldRow>> {
        end::expired(&mut self.tx(), now, limit).await
    }

    async fn remove_mails_of_unknown(&mut self, now: Timestamp, limit: u32) -> sqlx::Result<()> {
        end::remove_mails_of_unknown(&mut self.tx(), now, limit).await
    }

    async fn orphans(&mut self, dead: &Dead, now: Timestamp) -> sqlx::Result<Vec<HeldRow>> {
        end::orphans(&mut self.tx(), dead, now).await
    }

    async fn release_held(&mut self, now: Timestamp) -> sqlx::Result<u64> {
        end::release_held(&mut self.tx(), now).await
    }

    async fn prune(&mut self, prune: &Prune) -> sqlx::Result<u64> {
        end::prune(&mut self.tx(), prune).await
    }

    async fn requests(
        &mut self,
        keys: &[&RequestKey],
    ) -> sqlx::Result<HashMap<RequestName, Known>> {
        submit::requests(&mut self.tx(), keys).await
    }

    async fn record_versions(&mut self, keys: &[&RecordKey]) -> sqlx::Result<Vec<(usize, i64)>> {
        records::versions(&mut self.tx(), keys).await
    }

    async fn put_records(&mut self, puts: &[Put<'_>]) -> sqlx::Result<()> {
        records::put(&mut self.tx(), puts).await
    }

    async fn remove_records(&mut self, keys: &[&RecordKey]) -> sqlx::Result<()> {
        records::remove(&mut self.tx(), keys).await
    }

    async fn reseal(&mut self, mails: &[ResealedMail]) -> sqlx::Result<u64> {
        sealed::reseal(&mut self.tx(), mails).await
    }

    async fn note_key(&mut self, key: &NoteKey) -> sqlx::Result<()> {
        sealed::note(&mut self.tx(), key).await
    }

    async fn forget_key(&mut self, key: &ForgetKey) -> sqlx::Result<bool> {
        sealed::forget(&mut self.tx(), key).await
    }
}

/// The primary result code of SQLite (<https://www.sqlite.org/rescode.html>).
pub(super) fn sqlite_code(error: &Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|extended| extended & 0xff)
}

const SQLITE_ERROR: i32 = 1;
const SQLITE_IOERR: i32 = 10;
pub(super) const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_TOOBIG: i32 = 18;
const SQLITE_CONSTRAINT: i32 = 19;
const SQLITE_MISMATCH: i32 = 20;
pub(super) const SQLITE_NOTADB: i32 = 26;
