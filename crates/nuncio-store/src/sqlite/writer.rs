//! The one writer of the store: it commits what many callers ask for in groups, with one fsync for each.
//!
//! A commit waits for the disk. While it waits, requests queue up, and all of them go into the next commit:
//! a store with one caller answers fast, a store with a thousand writes a thousand times as much.
//! Requests of one group run side by side for their callers, so the writer may order them as it likes:
//! it runs those of one kind together, many rows to a statement.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use nuncio_core::job::{CallerId, MailJobId};
use nuncio_core::ports::job_store::{Claim, StoreError};
use sqlx::{Connection, Error, SqliteConnection};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::advance::Advance;
use crate::sqlite::end::{Cancel, Direct, Expire, Prune, ReleaseHeld, Rescue};
use crate::sqlite::lease::{EnterBody, Extend};
use crate::sqlite::submit::Submit;

/// The most requests that wait for the writer; whoever comes later waits to be let in.
const QUEUE_MAX: usize = 1024;
/// The most bytes of mails that wait for the writer: 64 MiB.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most requests in one commit. More would save little and let the first one wait.
const GROUP_MAX: usize = 256;
/// The most rows in one statement. Measured: more is not faster.
pub(super) const TOGETHER_MAX: usize = 128;

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
    /// An error undoes all of `ops`. They are then tried one by one, if the error may be due to one of them.
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

/// The end of the writer that callers hold.
pub(super) struct Writer {
    queue: mpsc::Sender<Enter>,
    room: Arc<Semaphore>,
    closing: CancellationToken,
    task: Mutex<JoinSet<()>>,
}

/// A request on its way into a group.
type Enter = Box<dyn FnOnce(&mut Group) + Send>;

/// The store was closed while somebody wanted to write.
#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
struct Closed;

impl Writer {
    /// Starts the writer; it marks `changed` after each commit that changed a job.
    pub(super) fn start(connection: SqliteConnection, changed: watch::Sender<()>) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let closing = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(run(connection, requests, changed, closing.clone()));
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        Self { queue, room, closing, task: Mutex::new(task) }
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
        let mut task = self.task.lock().await;
        while let Some(end) = task.join_next().await {
            if let Err(error) = end {
                tracing::error!(%error, "the writer of the job store has panicked");
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
    pub(super) connection: &'a mut SqliteConnection,
    /// Whether there is something new for those who watch.
    pub(super) changed: bool,
}

async fn run(
    mut connection: SqliteConnection,
    mut requests: mpsc::Receiver<Enter>,
    changed: watch::Sender<()>,
    closing: CancellationToken,
) {
    let mut entering = Vec::with_capacity(GROUP_MAX);
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled(), if !requests.is_closed() => {
                requests.close();
                continue;
            }
            count = requests.recv_many(&mut entering, GROUP_MAX) => if count == 0 { break },
        }
        let mut group = Group::default();
        for enter in entering.drain(..) {
            enter(&mut group);
        }
        let outcome = group.commit(&mut connection).await.map_err(Arc::new);
        match &outcome {
            Ok(true) => {
                changed.send_replace(());
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "a group of writes to the job store has failed"),
        }
        group.answer(outcome.err().as_ref());
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the job store was not closed properly");
    }
}

impl Group {
    /// Runs all requests in one transaction, and says whether there is something new.
    async fn commit(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<bool> {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        let mut tx = Transaction { connection, changed: false };
        let done = match self.run(&mut tx).await {
            Ok(()) => sqlx::query("COMMIT").execute(&mut *tx.connection).await.map(drop),
            Err(error) => Err(error),
        };
        if done.is_err() {
            // Some errors, such as a full disk, end the transaction: then there is nothing to undo.
            sqlx::query("ROLLBACK").execute(&mut *tx.connection).await.ok();
        }
        done.map(|()| tx.changed)
    }

    async fn run(&mut self, tx: &mut Transaction<'_>) -> sqlx::Result<()> {
        self.settlements.run(tx).await?;
        self.bodies.run(tx).await?;
        self.extensions.run(tx).await?;
        self.submits.run(tx).await?;
        self.cancellations.run(tx).await?;
        self.directions.run(tx).await?;
        self.rescues.run(tx).await?;
        self.expiries.run(tx).await?;
        self.releases.run(tx).await?;
        self.claims.run(tx).await?;
        self.prunings.run(tx).await
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
    async fn run(&mut self, tx: &mut Transaction<'_>) -> sqlx::Result<()> {
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
            for some in in_powers_of_two(&now, O::TOGETHER_MAX) {
                self.run_some(tx, some).await?;
            }
            left = later;
        }
        Ok(())
    }

    /// Runs some requests together; if that fails, one by one, so that none pays for another.
    async fn run_some(&mut self, tx: &mut Transaction<'_>, some: &[usize]) -> sqlx::Result<()> {
        match self.run_isolated(tx, some).await {
            Err(error) if concerns_one_request(&error) => {}
            done => return done,
        }
        for place in some {
            match self.run_isolated(tx, &[*place]).await {
                Err(error) if concerns_one_request(&error) => {
                    self.answers[*place] = Some(Err(store_error(error).into()));
                }
                done => done?,
            }
        }
        Ok(())
    }

    async fn run_isolated(&mut self, tx: &mut Transaction<'_>, some: &[usize]) -> sqlx::Result<()> {
        let ops: Vec<_> = some.iter().map(|place| &self.ops[*place]).collect();
        sqlx::query("SAVEPOINT isolated").execute(&mut *tx.connection).await?;
        match O::run(tx, &ops).await {
            Ok(answers) => {
                for (place, answer) in some.iter().zip(answers) {
                    self.answers[*place] = Some(answer);
                }
            }
            Err(error) => {
                // If this fails, so does the whole group: the first error tells more.
                let undo = sqlx::query("ROLLBACK TO isolated").execute(&mut *tx.connection).await;
                let undo =
                    undo.and(sqlx::query("RELEASE isolated").execute(&mut *tx.connection).await);
                return if concerns_one_request(&error) {
                    undo.and(Err(error))
                } else {
                    Err(error)
                };
            }
        }
        sqlx::query("RELEASE isolated").execute(&mut *tx.connection).await.map(drop)
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

/// Cuts into pieces whose lengths are powers of two, so that there are few different statements to prepare.
pub(super) fn in_powers_of_two<T>(mut all: &[T], max: usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = all.len().min(max);
        all.split_off(..(1 << length.checked_ilog2()?))
    })
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

/// The primary result code of SQLite (<https://www.sqlite.org/rescode.html>).
pub(super) fn sqlite_code(error: &Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|extended| extended & 0xff)
}

const SQLITE_FULL: i32 = 13;
const SQLITE_TOOBIG: i32 = 18;
const SQLITE_CONSTRAINT: i32 = 19;
const SQLITE_MISMATCH: i32 = 20;

fn is_full(error: &Error) -> bool {
    sqlite_code(error) == Some(SQLITE_FULL)
}

/// Whether the error may be due to what one request brought or found, so that others can go on.
fn concerns_one_request(error: &Error) -> bool {
    match sqlite_code(error) {
        Some(code) => [SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH].contains(&code),
        None => matches!(error, Error::Decode(_) | Error::ColumnDecode { .. } | Error::Encode(_)),
    }
}

#[cfg(test)]
mod tests;
