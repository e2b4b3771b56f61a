//! The connection of a writer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::job::{Job, MailJobId, RequestKey};
use nuncio_core::ports::job_store::{Claim, Dead};
use nuncio_core::ports::records::RecordKey;
use sqlx::{Connection, Error, PgConnection};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::postgres::changes::{CommitId, Mark, Pending};
use crate::postgres::database::Database;
use crate::postgres::signals::Signals;
use crate::postgres::{advance, claim, end, lease, read, records, sealed, submit};
use crate::write::advance::Advance;
use crate::write::commit::Put;
use crate::write::end::Prune;
use crate::write::engine::{Engine, HeldRow, LeasedRow, NotCommitted, Trouble, is_of_a_value};
use crate::write::keys::{ForgetKey, NoteKey, ResealedMail};
use crate::write::lease::{EnterBody, Extend};
use crate::write::submit::{Known, RequestName, Submit};

/// How long a writer tries to learn whether a commit was done whose answer is lost, before it leaves its callers
/// in doubt.
const DOUBT_MAX: Duration = Duration::from_secs(20);
/// Between two such tries.
const DOUBT_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct PostgresEngine {
    /// Its own, in the notes of its commits.
    name: String,
    /// How many commits it has tried.
    commits: i64,
    database: Arc<Database>,
    signals: Arc<Signals>,
    /// None until it is needed, and after it failed.
    connection: Option<PgConnection>,
    pending: Pending,
    isolated: Mark,
}

/// A write transaction.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) pending: &'a mut Pending,
}

impl PostgresEngine {
    /// It connects when there is something to write.
    pub(super) fn new(database: Arc<Database>, signals: Arc<Signals>) -> Self {
        let pending = Pending::default();
        let isolated = pending.mark();
        let name = Uuid::now_v7().to_string();
        Self { name, commits: 0, database, signals, connection: None, pending, isolated }
    }

    fn tx(&mut self) -> Transaction<'_> {
        let connection = self.connection.as_mut().expect("a transaction has begun");
        Transaction { connection, pending: &mut self.pending }
    }

    /// Looks over a new connection whether the last commit was done, whose answer was lost with `error`.
    async fn look_for_commit(&mut self, error: Error) -> Result<(), NotCommitted> {
        let id = CommitId { name: &self.name, number: self.commits };
        let until = Instant::now() + DOUBT_MAX;
        loop {
            let look = async {
                let mut connection = self.database.connect().await?;
                let done = id.is_done(&mut connection).await?;
                Ok((connection, done))
            };
            match look.await {
                Ok((connection, true)) => {
                    self.connection = Some(connection);
                    return Ok(());
                }
                Ok((_connection, false)) => return Err(NotCommitted::Missed(error)),
                Err(again) if Self::trouble(&again) == Trouble::Lost && Instant::now() < until => {
                    sleep(DOUBT_PAUSE).await;
                }
                Err(_in_vain) => return Err(NotCommitted::InDoubt(error)),
            }
        }
    }

    async fn execute(&mut self, sql: &'static str) -> sqlx::Result<()> {
        sqlx::query(sql).execute(self.tx().connection).await.map(drop)
    }
}

impl Engine for PostgresEngine {
    const GROUP_TIMEOUT: Option<Duration> = Some(Duration::from_secs(30));
    const READ_TIMEOUT: Option<Duration> = Some(Duration::from_secs(20));

    fn trouble(error: &Error) -> Trouble {
        let Some(state) = sqlstate(error) else { return trouble_here(error) };
        match state.as_str() {
            DISK_FULL => Trouble::Full,
            SERIALIZATION_FAILURE | DEADLOCK_DETECTED => Trouble::Conflict,
            IDLE_IN_TRANSACTION | READ_ONLY => Trouble::Lost,
            state if state.starts_with(CLASS_SHUTDOWN) => Trouble::Lost,
            state if CLASSES_OF_ONE.iter().any(|class| state.starts_with(class)) => {
                Trouble::OneRequest
            }
            _ => Trouble::Other,
        }
    }

    fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    fn disconnect(&mut self) {
        self.connection = None;
    }

    async fn close(self) {
        if let Some(connection) = self.connection {
            connection.close().await.ok();
        }
    }

    async fn begin(&mut self) -> sqlx::Result<()> {
        self.pending = Pending::default();
        if self.connection.is_none() {
            self.connection = Some(self.database.connect().await?);
        }
        self.execute("BEGIN").await
    }

    async fn commit(&mut self) -> Result<(), NotCommitted> {
        self.commits += 1;
        let id = CommitId { name: &self.name, number: self.commits };
        let connection = self.connection.as_mut().expect("a transaction has begun");
        let wakes = self.pending.write(connection, id).await.map_err(NotCommitted::Undone)?;
        match sqlx::query("COMMIT").execute(connection).await {
            Ok(_done) => {}
            // Then the server has answered, and has refused.
            Err(error @ Error::Database(_)) if Self::trouble(&error) != Trouble::Lost => {
                return Err(NotCommitted::Undone(error));
            }
            Err(error) if wakes.is_some() => self.look_for_commit(error).await?,
            Err(error) => return Err(NotCommitted::InDoubt(error)),
        }
        if let Some(wakes) = wakes {
            self.signals.committed(wakes);
        }
        Ok(())
    }

    async fn roll_back(&mut self, error: &Error) {
        let lost = Self::trouble(error) == Trouble::Lost;
        if lost || self.connection.is_none() || self.execute("ROLLBACK").await.is_err() {
            self.connection = None;
        }
    }

    async fn isolate(&mut self) -> sqlx::Result<()> {
        self.isolated = self.pending.mark();
        self.execute("SAVEPOINT isolated").await
    }

    async fn undo_isolated(&mut self) -> sqlx::Result<()> {
        self.pending.reset(self.isolated);
        self.execute("ROLLBACK TO SAVEPOINT isolated").await
    }

    async fn end_isolated(&mut self) -> sqlx::Result<()> {
        self.execute("RELEASE SAVEPOINT isolated").await
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

/// The code of an error that the server reports
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(super) fn sqlstate(error: &Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

const DISK_FULL: &str = "53100";
const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK_DETECTED: &str = "40P01";
/// "Operator intervention": the server or this connection is being shut down.
const CLASS_SHUTDOWN: &str = "57P";
/// The server has ended a session that held locks and did nothing: this node stood still.
const IDLE_IN_TRANSACTION: &str = "25P03";
/// The host is the primary no more, or is being kept from writing because it will not be.
pub(super) const READ_ONLY: &str = "25006";
/// What one request may bring: "program limit exceeded", such as a key that is too long for an index; data that
/// does not fit; a constraint.
const CLASSES_OF_ONE: [&str; 3] = ["54", "22", "23"];

/// What an error means that the server did not report.
fn trouble_here(error: &Error) -> Trouble {
    if matches!(error, Error::RowNotFound) {
        // A row that was there before has been removed in between.
        Trouble::Conflict
    } else if is_of_a_value(error) {
        Trouble::OneRequest
    } else {
        Trouble::Lost
    }
}
