//! The writers of the store: each commits what many callers ask for in groups.
//!
//! As in `sqlite::writer`, requests queue up while a commit waits for the disk, and all of them go into the
//! next one. Here a few writers take turns, because a commit also waits for the network. A group is tried
//! again where that cannot do anything twice: after a conflict with another node, or on a new connection.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use nuncio_core::job::{CallerId, MailJobId};
use nuncio_core::ports::job_store::{Claim, StoreError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Error, PgConnection};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::advance::Advance;
use crate::postgres::changes::Pending;
use crate::postgres::end::{Cancel, Direct, Expire, Prune, ReleaseHeld, Rescue};
use crate::postgres::lease::{EnterBody, Extend};
use crate::postgres::open::{connect, timed_out};
use crate::postgres::signals::Signals;
use crate::postgres::submit::Submit;

/// How many groups are written side by side. They queue up for their commits, so more would not help.
const WRITERS: usize = 3;
/// The most requests that wait for the writers; whoever comes later waits to be let in.
const QUEUE_MAX: usize = 1024;
/// The most bytes of mails that wait for the writers: 64 MiB.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most requests in one commit. More would save little and let the first one wait.
const GROUP_MAX: usize = 256;
/// The most rows in one statement. Measured: more is not faster.
pub(super) const TOGETHER_MAX: usize = 128;
/// How often a group is tried that conflicts with others, or whose connection was dead.
const TRIES_MAX: u32 = 5;
/// How long a group may take. A database that does not answer by then is as good as gone.
const GROUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Something to write, and what comes of it.
///
/// Requests of one kind in one group run together: `ops` never name one [`Subject`] twice.
pub(super) trait Op: Send + Sync + Sized + 'static {
    type Out: Send + 'static;
    type Refusal: From<StoreError> + Send + 'static;

    /// How many run together at most.
    const TOGETHER_MAX: usize;

    fn lane(group: &mut Group) -> &mut Lane<Self>;

    /// What the request is about.
    fn subjects(&self) -> Vec<Subject> {
        Vec::new()
    }

    /// How much it stores.
    fn bytes(&self) -> usize {
        0
    }

    /// Writes, and gives an answer to each request in its place.
    ///
    /// It may be called again for the same requests, after what it wrote was undone.
    fn run(
        tx: &mut Transaction<'_>,
        ops: &[&Self],
    ) -> impl Future<Output = sqlx::Result<Vec<Answer<Self>>>> + Send;
}

pub(super) type Answer<O> = Result<<O as Op>::Out, <O as Op>::Refusal>;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Job(MailJobId),
    Request(CallerId, String),
}

/// The end of the writers that callers hold.
pub(super) struct Writer {
    queue: mpsc::Sender<Enter>,
    room: Arc<Semaphore>,
    closing: CancellationToken,
    tasks: Mutex<JoinSet<()>>,
}

/// A request on its way into a group.
type Enter = Box<dyn FnOnce(&mut Group) + Send>;

/// The store was closed while somebody wanted to write.
#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
struct Closed;

impl Writer {
    /// Starts the writers. They connect when there is something to write.
    pub(super) fn start(options: &PgConnectOptions, signals: &Arc<Signals>) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let requests = Arc::new(Mutex::new(requests));
        let closing = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for _ in 0..WRITERS {
            let database = Database { options: options.clone(), connection: None };
            tasks.spawn(work(database, requests.clone(), signals.clone(), closing.clone()));
        }
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        Self { queue, room, closing, tasks: Mutex::new(tasks) }
    }

    /// Has a request written, and waits until it is on disk.
    pub(super) async fn write<O: Op>(&self, op: O) -> Answer<O> {
        let closed = || O::Refusal::from(StoreError::Unusable(Box::new(Closed)));
        let bytes = u32::try_from(op.bytes().min(QUEUE_BYTES_MAX)).expect("the limit fits");
        let room = match bytes {
            0 => None,
            bytes => Some(self.room.clone().acquire_many_owned(bytes).await),
        };
        let room = room.transpose().map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let enter: Enter = Box::new(move |group| {
            group.room.extend(room);
            let lane = O::lane(group);
            lane.ops.push(op);
            lane.replies.push(reply);
        });
        self.queue.send(enter).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Lets nobody in any more, and waits until those who are in have been served.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        let mut tasks = self.tasks.lock().await;
        while let Some(end) = tasks.join_next().await {
            if let Err(error) = end {
                tracing::error!(%error, "a writer of the job store has panicked");
            }
        }
    }
}

/// What goes into one commit: the requests by kind, in the order in which they run.
#[derive(Default)]
pub(super) struct Group {
    pub(super) settlements: Lane<Advance>,
    pub(super) bodies: Lane<EnterBody>,
    pub(super) extensions: Lane<Extend>,
    pub(super) submits: Lane<Submit>,
    pub(super) cancellations: Lane<Cancel>,
    pub(super) directions: Lane<Direct>,
    pub(super) rescues: Lane<Rescue>,
    pub(super) expiries: Lane<Expire>,
    pub(super) releases: Lane<ReleaseHeld>,
    pub(super) claims: Lane<Claim>,
    pub(super) prunings: Lane<Prune>,
    /// Given back when the group is through.
    room: Vec<OwnedSemaphorePermit>,
}

/// The requests of one kind, with the answers as far as they are known.
pub(super) struct Lane<O: Op> {
    ops: Vec<O>,
    replies: Vec<oneshot::Sender<Answer<O>>>,
    answers: Vec<Option<Answer<O>>>,
}

impl<O: Op> Default for Lane<O> {
    fn default() -> Self {
        Self { ops: Vec::new(), replies: Vec::new(), answers: Vec::new() }
    }
}

/// A write transaction of the store.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) pending: Pending,
}

/// How a group runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Many rows to a statement. One request that fails undoes the group.
    Together,
    /// One by one, so that a request that fails harms no other.
    OneByOne,
}

/// Why a transaction did not end well.
enum Failure {
    /// It has done nothing.
    Undone(Error),
    /// The connection broke at the commit: nobody knows whether it has.
    InDoubt(Error),
}

/// The connection of one writer.
struct Database {
    options: PgConnectOptions,
    /// None until it is needed, and after it failed.
    connection: Option<PgConnection>,
}

async fn work(
    mut database: Database,
    requests: Arc<Mutex<mpsc::Receiver<Enter>>>,
    signals: Arc<Signals>,
    closing: CancellationToken,
) {
    loop {
        let mut group = Group::default();
        for enter in next(&requests, &closing).await {
            enter(&mut group);
        }
        if group.is_empty() {
            break;
        }
        let done = timeout(GROUP_TIMEOUT, group.commit(&mut database)).await;
        let done = done.unwrap_or_else(|_elapsed| {
            database.connection = None;
            Err(timed_out())
        });
        match done.map_err(Arc::new) {
            Ok(wakes) => {
                if let Some(wakes) = wakes {
                    signals.committed(wakes);
                }
                group.answer(None);
            }
            Err(error) => {
                tracing::warn!(%error, "a group of writes to the job store has failed");
                group.answer(Some(&error));
            }
        }
    }
    if let Some(connection) = database.connection {
        connection.close().await.ok();
    }
}

/// The next requests; none after the end.
async fn next(requests: &Mutex<mpsc::Receiver<Enter>>, closing: &CancellationToken) -> Vec<Enter> {
    let mut requests = requests.lock().await;
    let mut entering = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled(), if !requests.is_closed() => requests.close(),
            _count = requests.recv_many(&mut entering, GROUP_MAX) => return entering,
        }
    }
}

impl Database {
    async fn connection(&mut self) -> sqlx::Result<&mut PgConnection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.options).await?,
        };
        Ok(self.connection.insert(connection))
    }
}

impl Group {
    fn is_empty(&self) -> bool {
        self.settlements.is_empty()
            && self.bodies.is_empty()
            && self.extensions.is_empty()
            && self.submits.is_empty()
            && self.cancellations.is_empty()
            && self.directions.is_empty()
            && self.rescues.is_empty()
            && self.expiries.is_empty()
            && self.releases.is_empty()
            && self.claims.is_empty()
            && self.prunings.is_empty()
    }

    /// Runs all requests in one transaction; gives the count of commits if this one is news.
    async fn commit(&mut self, database: &mut Database) -> sqlx::Result<Option<i64>> {
        let mut manner = Manner::Together;
        let mut tries = 1;
        loop {
            let fresh = database.connection.is_none();
            let failure = match self.try_commit(database, manner).await {
                Ok(wakes) => return Ok(wakes),
                Err(failure) => failure,
            };
            let error = match failure {
                Failure::Undone(error) => error,
                Failure::InDoubt(error) => return Err(error),
            };
            if concerns_one_request(&error) && manner == Manner::Together {
                manner = Manner::OneByOne;
                continue;
            }
            // A connection may have died long ago: that is noticed when it is used.
            let again = is_conflict(&error) || (!fresh && database.connection.is_none());
            if !again || tries == TRIES_MAX {
                return Err(error);
            }
            tries += 1;
        }
    }

    async fn try_commit(
        &mut self,
        database: &mut Database,
        manner: Manner,
    ) -> Result<Option<i64>, Failure> {
        let connection = database.connection().await.map_err(Failure::Undone)?;
        let done = self.in_transaction(connection, manner).await;
        if let Err(Failure::Undone(error) | Failure::InDoubt(error)) = &done {
            let usable =
                !is_lost(error) && sqlx::query("ROLLBACK").execute(connection).await.is_ok();
            if !usable {
                database.connection = None;
            }
        }
        done
    }

    async fn in_transaction(
        &mut self,
        connection: &mut PgConnection,
        manner: Manner,
    ) -> Result<Option<i64>, Failure> {
        sqlx::query("BEGIN").execute(&mut *connection).await.map_err(Failure::Undone)?;
        let mut tx = Transaction { connection, pending: Pending::default() };
        self.run(&mut tx, manner).await.map_err(Failure::Undone)?;
        let wakes = tx.pending.write(tx.connection).await.map_err(Failure::Undone)?;
        match sqlx::query("COMMIT").execute(tx.connection).await {
            Ok(_done) => Ok(wakes),
            // Then the server has answered, and has refused.
            Err(error @ Error::Database(_)) if !is_lost(&error) => Err(Failure::Undone(error)),
            Err(error) => Err(Failure::InDoubt(error)),
        }
    }

    async fn run(&mut self, tx: &mut Transaction<'_>, manner: Manner) -> sqlx::Result<()> {
        self.settlements.run(tx, manner).await?;
        self.bodies.run(tx, manner).await?;
        self.extensions.run(tx, manner).await?;
        self.submits.run(tx, manner).await?;
        self.cancellations.run(tx, manner).await?;
        self.directions.run(tx, manner).await?;
        self.rescues.run(tx, manner).await?;
        self.expiries.run(tx, manner).await?;
        self.releases.run(tx, manner).await?;
        self.claims.run(tx, manner).await?;
        self.prunings.run(tx, manner).await
    }

    fn answer(self, failure: Option<&Arc<Error>>) {
        self.settlements.answer(failure);
        self.bodies.answer(failure);
        self.extensions.answer(failure);
        self.submits.answer(failure);
        self.cancellations.answer(failure);
        self.directions.answer(failure);
        self.rescues.answer(failure);
        self.expiries.answer(failure);
        self.releases.answer(failure);
        self.claims.answer(failure);
        self.prunings.answer(failure);
    }
}

impl<O: Op> Lane<O> {
    fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    async fn run(&mut self, tx: &mut Transaction<'_>, manner: Manner) -> sqlx::Result<()> {
        self.answers.clear();
        self.answers.resize_with(self.ops.len(), || None);
        let mut left: Vec<usize> = (0..self.ops.len()).collect();
        while !left.is_empty() {
            let mut seen = HashSet::new();
            let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|place| {
                let subjects = self.ops[*place].subjects();
                let fresh = subjects.iter().all(|subject| !seen.contains(subject));
                if fresh {
                    seen.extend(subjects);
                }
                fresh
            });
            match manner {
                Manner::Together => {
                    for some in now.chunks(O::TOGETHER_MAX) {
                        self.run_some(tx, some).await?;
                    }
                }
                Manner::OneByOne => {
                    for place in now {
                        self.run_isolated(tx, place).await?;
                    }
                }
            }
            left = later;
        }
        Ok(())
    }

    async fn run_some(&mut self, tx: &mut Transaction<'_>, some: &[usize]) -> sqlx::Result<()> {
        let ops: Vec<_> = some.iter().map(|place| &self.ops[*place]).collect();
        let answers = O::run(tx, &ops).await?;
        for (place, answer) in some.iter().zip(answers) {
            self.answers[*place] = Some(answer);
        }
        Ok(())
    }

    /// Runs one request so that only it is undone if it fails.
    async fn run_isolated(&mut self, tx: &mut Transaction<'_>, place: usize) -> sqlx::Result<()> {
        let pending = tx.pending.mark();
        sqlx::query("SAVEPOINT isolated").execute(&mut *tx.connection).await?;
        match self.run_some(tx, &[place]).await {
            Ok(()) => {}
            Err(error) if concerns_one_request(&error) => {
                sqlx::query("ROLLBACK TO SAVEPOINT isolated").execute(&mut *tx.connection).await?;
                tx.pending.reset(pending);
                self.answers[place] = Some(Err(store_error(error).into()));
            }
            Err(error) => return Err(error),
        }
        sqlx::query("RELEASE SAVEPOINT isolated").execute(&mut *tx.connection).await.map(drop)
    }

    /// Gives each caller its answer, or all of them the reason why there is none.
    fn answer(self, failure: Option<&Arc<Error>>) {
        let answers = self.answers.into_iter().chain(std::iter::repeat_with(|| None));
        for (reply, answer) in self.replies.into_iter().zip(answers) {
            let answer = match failure {
                None => answer.expect("every request of a group that was committed has run"),
                Some(error) => Err(shared_store_error(error).into()),
            };
            // Whoever does not wait any more needs no answer.
            reply.send(answer).ok();
        }
    }
}

/// What the callers are told when the database fails.
pub(super) fn store_error(error: Error) -> StoreError {
    if is_full(&error) {
        StoreError::Full(Box::new(error))
    } else {
        StoreError::Unusable(Box::new(error))
    }
}

fn shared_store_error(error: &Arc<Error>) -> StoreError {
    if is_full(error) {
        StoreError::Full(Box::new(error.clone()))
    } else {
        StoreError::Unusable(Box::new(error.clone()))
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
/// "Program limit exceeded", such as a key that is too long for an index.
const CLASS_LIMIT: &str = "54";
const CLASS_DATA: &str = "22";
const CLASS_CONSTRAINT: &str = "23";
/// "Operator intervention": the server or this connection is being shut down.
const CLASS_SHUTDOWN: &str = "57P";

fn is_full(error: &Error) -> bool {
    sqlstate(error).is_some_and(|state| state == DISK_FULL)
}

/// Whether it may go well when it is tried again.
fn is_conflict(error: &Error) -> bool {
    match sqlstate(error) {
        Some(state) => [SERIALIZATION_FAILURE, DEADLOCK_DETECTED].contains(&state.as_str()),
        // A row that was there before has been removed in between.
        None => matches!(error, Error::RowNotFound),
    }
}

/// Whether the connection cannot be used any more.
fn is_lost(error: &Error) -> bool {
    match sqlstate(error) {
        Some(state) => state.starts_with(CLASS_SHUTDOWN),
        None => !is_conflict(error) && !concerns_one_request(error),
    }
}

/// Whether the error may be due to what one request brought or found, so that others can go on.
fn concerns_one_request(error: &Error) -> bool {
    match sqlstate(error) {
        Some(state) => {
            [CLASS_LIMIT, CLASS_DATA, CLASS_CONSTRAINT].iter().any(|class| state.starts_with(class))
        }
        None => matches!(error, Error::Decode(_) | Error::ColumnDecode { .. } | Error::Encode(_)),
    }
}
