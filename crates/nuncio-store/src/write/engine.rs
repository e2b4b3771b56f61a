//! What a writer asks of its database.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::job::{Job, MailJobId, RequestKey};
use nuncio_core::ports::job_store::{Claim, Dead, StoreError};
use nuncio_core::ports::records::RecordKey;
use sqlx::{Error, FromRow};
use tokio::time::timeout;

use crate::rows::{JobRow, readable};
use crate::write::advance::Advance;
use crate::write::commit::Put;
use crate::write::end::Prune;
use crate::write::keys::{ForgetKey, NoteKey, ResealedMail};
use crate::write::lease::{EnterBody, Extend};
use crate::write::submit::{Known, RequestName, Submit};

/// A connection to write by, with the statements of one database.
///
/// All but [`begin`](Self::begin) are called between a `begin` and its `commit` or `roll_back` only.
pub(crate) trait Engine: Send + Sized + 'static {
    /// How long a group may take. A database that does not answer by then is as good as gone.
    const GROUP_TIMEOUT: Option<Duration>;

    /// How long a read may take.
    const READ_TIMEOUT: Option<Duration>;

    /// What an error of the database means for the group.
    fn trouble(error: &Error) -> Trouble;

    fn is_connected(&self) -> bool;

    /// Gives the connection up, in whatever state it is.
    fn disconnect(&mut self);

    fn close(self) -> impl Future<Output = ()> + Send;

    /// Begins a transaction, on a new connection if there is none.
    fn begin(&mut self) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Makes durable what was written, and wakes whoever waits for changes.
    fn commit(&mut self) -> impl Future<Output = Result<(), NotCommitted>> + Send;

    /// Undoes what was written, after this error. A connection that is of no more use is given up.
    fn roll_back(&mut self, error: &Error) -> impl Future<Output = ()> + Send;

    /// From here on, `undo_isolated` undoes what is written, until `end_isolated`.
    fn isolate(&mut self) -> impl Future<Output = sqlx::Result<()>> + Send;
    fn undo_isolated(&mut self) -> impl Future<Output = sqlx::Result<()>> + Send;
    fn end_isolated(&mut self) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Stores the jobs whose request is new, and gives the requests that were stored before.
    fn submit(
        &mut self,
        submits: &[&Submit],
    ) -> impl Future<Output = sqlx::Result<HashMap<RequestName, Known>>> + Send;

    /// The jobs with these ids.
    fn jobs(
        &mut self,
        ids: &[MailJobId],
    ) -> impl Future<Output = sqlx::Result<HashMap<MailJobId, Job>>> + Send;

    /// Leases the jobs that can be claimed, in whatever order.
    fn claim(&mut self, claim: &Claim)
    -> impl Future<Output = sqlx::Result<Vec<LeasedRow>>> + Send;

    /// Notes the bodies of the leases that still hold, and gives their jobs.
    fn enter_bodies(
        &mut self,
        leases: &[&EnterBody],
    ) -> impl Future<Output = sqlx::Result<HashSet<MailJobId>>> + Send;

    /// Extends the leases that still hold, and gives their jobs.
    fn extend(
        &mut self,
        leases: &[&Extend],
    ) -> impl Future<Output = sqlx::Result<HashSet<MailJobId>>> + Send;

    /// Takes the steps whose job still stands where they start, and gives the jobs that took one.
    ///
    /// No other write can come between the check of the fence and the step.
    fn advance(
        &mut self,
        steps: &[&Advance],
    ) -> impl Future<Output = sqlx::Result<HashMap<MailJobId, Job>>> + Send;

    /// The jobs with these ids, which nobody else changes until the end of the transaction.
    fn find(
        &mut self,
        ids: &[MailJobId],
    ) -> impl Future<Output = sqlx::Result<Vec<HeldRow>>> + Send;

    fn has_mail(&mut self, id: MailJobId) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Waiting jobs whose time to live is over, which nobody else changes until the end.
    fn expired(
        &mut self,
        now: Timestamp,
        limit: u32,
    ) -> impl Future<Output = sqlx::Result<Vec<HeldRow>>> + Send;

    /// Removes the mails of `UNKNOWN` jobs whose time to live is over: nobody can have them sent again.
    fn remove_mails_of_unknown(
        &mut self,
        now: Timestamp,
        limit: u32,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Jobs whose holder is dead, which nobody else changes until the end.
    fn orphans(
        &mut self,
        dead: &Dead,
        now: Timestamp,
    ) -> impl Future<Output = sqlx::Result<Vec<HeldRow>>> + Send;

    /// What a caller holds is due when it expires, and is left alone.
    fn release_held(&mut self, now: Timestamp) -> impl Future<Output = sqlx::Result<u64>> + Send;

    fn prune(&mut self, prune: &Prune) -> impl Future<Output = sqlx::Result<u64>> + Send;

    /// The requests of these that were stored before.
    fn requests(
        &mut self,
        keys: &[&RequestKey],
    ) -> impl Future<Output = sqlx::Result<HashMap<RequestName, Known>>> + Send;

    /// The versions of the records that are there, with the places of their keys. Nobody else changes them
    /// until the end of the transaction. The keys come in their order, each once.
    fn record_versions(
        &mut self,
        keys: &[&RecordKey],
    ) -> impl Future<Output = sqlx::Result<Vec<(usize, i64)>>> + Send;

    /// Writes records whose versions were read in this transaction, in the order of their keys.
    ///
    /// If a new one is there meanwhile, it is a [`Trouble::Conflict`].
    fn put_records(&mut self, puts: &[Put<'_>]) -> impl Future<Output = sqlx::Result<()>> + Send;

    fn remove_records(
        &mut self,
        keys: &[&RecordKey],
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Puts mails that are still there under another key, and tells how many.
    fn reseal(&mut self, mails: &[ResealedMail]) -> impl Future<Output = sqlx::Result<u64>> + Send;

    /// Does nothing if the key is noted.
    fn note_key(&mut self, key: &NoteKey) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Forgets a key that has sealed no mail, and tells whether it is not noted now.
    fn forget_key(&mut self, key: &ForgetKey) -> impl Future<Output = sqlx::Result<bool>> + Send;
}

/// What an error means for the group in which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing more can be stored until room is made.
    Full,
    /// It may go well when it is tried again.
    Conflict,
    /// It may be due to what one request brought or found, so that others can go on.
    OneRequest,
    /// The connection cannot be used any more.
    Lost,
    Other,
}

/// Why a transaction did not end well.
pub(crate) enum NotCommitted {
    /// It has done nothing.
    Undone(Error),
    /// The connection broke at the commit, and the database says since that it was not done.
    Missed(Error),
    /// The connection broke at the commit: nobody knows whether it has.
    InDoubt(Error),
}

/// A job and its lease.
#[derive(FromRow)]
pub(crate) struct HeldRow {
    #[sqlx(flatten)]
    job: JobRow,
    fence: i64,
    body_entered: bool,
    rescues: i64,
}

/// The columns of a [`HeldRow`].
macro_rules! held_columns {
    () => {
        concat!($crate::rows::job_columns!(), ", fence, body_entered, rescues")
    };
}
pub(crate) use held_columns;

/// What a store knows of a job beside the job.
pub(crate) struct Held {
    pub(crate) fence: i64,
    pub(crate) body_entered: bool,
    pub(crate) rescues: i64,
}

impl HeldRow {
    pub(crate) fn try_into_held(self) -> Result<(Job, Held), crate::rows::RowError> {
        let Self { job, fence, body_entered, rescues } = self;
        Ok((Job::try_from(job)?, Held { fence, body_entered, rescues }))
    }

    /// The job and its lease; nothing, and a line in the log, if they cannot be read.
    pub(crate) fn into_held(self) -> Option<(Job, Held)> {
        let id = self.job.id.clone();
        readable(&id, self.try_into_held())
    }
}

/// A job that was just leased, with its mail.
#[derive(FromRow)]
pub(crate) struct LeasedRow {
    #[sqlx(flatten)]
    pub(crate) job: JobRow,
    pub(crate) fence: i64,
    /// As it is stored, clear or sealed.
    pub(crate) mail: Option<Vec<u8>>,
    pub(crate) has_attachments: bool,
}

/// Waits for a read, but no longer than the engine lets it take.
pub(crate) async fn in_time<E: Engine, T>(
    read: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let Some(limit) = E::READ_TIMEOUT else { return read.await };
    timeout(limit, read).await.map_err(|_elapsed| timed_out())?
}

/// The error of a database that takes too long.
pub(crate) fn timed_out() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database does not answer"))
}

/// Whether an error that the database did not report is about what was written or read.
pub(crate) fn is_of_a_value(error: &Error) -> bool {
    matches!(error, Error::Decode(_) | Error::ColumnDecode { .. } | Error::Encode(_))
}

/// What the callers are told when the database fails.
pub(crate) fn store_error<E: Engine>(error: Error) -> StoreError {
    if E::trouble(&error) == Trouble::Full {
        StoreError::Full(Box::new(error))
    } else {
        StoreError::Unusable(Box::new(error))
    }
}
