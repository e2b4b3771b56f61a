//! The writers, whatever the engine: they commit what many callers ask for in groups.
//!
//! A commit waits for the disk, or for a server that waits for its disk. While it waits, requests queue up, and
//! all of them go into the next commit: a store with one caller answers fast, a store with a thousand writes a
//! thousand times as much. Requests of one group run side by side for their callers, so a writer may order
//! them as it likes: it runs those of one kind together, many rows to a statement.

pub(crate) mod advance;
pub(crate) mod claim;
pub(crate) mod commit;
pub(crate) mod end;
pub(crate) mod engine;
pub(crate) mod group;
pub(crate) mod keys;
pub(crate) mod lease;
pub(crate) mod submit;

use std::sync::Arc;

use nuncio_core::ports::job_store::StoreError;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::write::engine::Engine;
use crate::write::group::{Answer, Group, Op};

/// The most requests that wait for the writers; whoever comes later waits to be let in.
const QUEUE_MAX: usize = 1024;
/// The most bytes of mails that wait for the writers: 64 MiB.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most requests in one commit. More would save little and let the first one wait.
const GROUP_MAX: usize = 256;

/// The end of the writers that callers hold.
pub(crate) struct Writer {
    queue: mpsc::Sender<Enter>,
    room: Arc<Semaphore>,
    closing: CancellationToken,
    tasks: Mutex<JoinSet<()>>,
    records: Arc<RecordNews>,
}

/// Wakes those who wait for records.
pub(crate) struct RecordNews {
    changed: watch::Sender<()>,
    /// Has the other nodes told that have the same store.
    tell_others: Box<dyn Fn() + Send + Sync>,
}

impl RecordNews {
    /// Of a store that only this node has.
    pub(crate) fn of_this_node() -> Self {
        Self::shared(watch::Sender::new(()), || {})
    }

    /// Of a store that other nodes have too: `changed` is also marked when they tell of theirs.
    pub(crate) fn shared(
        changed: watch::Sender<()>,
        tell_others: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { changed, tell_others: Box::new(tell_others) }
    }

    fn tell(&self) {
        self.changed.send_replace(());
        (self.tell_others)();
    }
}

/// A request on its way into a group.
type Enter = Box<dyn FnOnce(&mut Group) + Send>;

/// The store was closed while somebody wanted to write.
#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
struct Closed;

impl Writer {
    /// Starts a writer over each of these engines; they take turns.
    pub(crate) fn start<E: Engine>(
        engines: impl IntoIterator<Item = E>,
        records: RecordNews,
    ) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let requests = Arc::new(Mutex::new(requests));
        let closing = CancellationToken::new();
        let records = Arc::new(records);
        let mut tasks = JoinSet::new();
        for engine in engines {
            tasks.spawn(work(engine, requests.clone(), closing.clone(), records.clone()));
        }
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        Self { queue, room, closing, tasks: Mutex::new(tasks), records }
    }

    /// Has a request written, and waits until it is on disk.
    pub(crate) async fn write<O: Op>(&self, op: O) -> Answer<O> {
        let closed = || O::Refusal::from(StoreError::Unusable(Box::new(Closed)));
        let bytes = u32::try_from(op.bytes().min(QUEUE_BYTES_MAX)).expect("the limit fits");
        let room = match bytes {
            0 => None,
            bytes => Some(self.room.clone().acquire_many_owned(bytes).await),
        };
        let room = room.transpose().map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let enter: Enter = Box::new(move |group| group.enter(op, reply, room));
        self.queue.send(enter).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Marked changed after each commit with a changeset that is not quiet.
    pub(crate) fn records_changed(&self) -> watch::Receiver<()> {
        self.records.changed.subscribe()
    }

    /// Lets nobody in any more, and waits until those who are in have been served.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        let mut tasks = self.tasks.lock().await;
        while let Some(end) = tasks.join_next().await {
            if let Err(error) = end {
                tracing::error!(%error, "a writer of the job store has panicked");
            }
        }
    }
}

async fn work<E: Engine>(
    mut engine: E,
    requests: Arc<Mutex<mpsc::Receiver<Enter>>>,
    closing: CancellationToken,
    records: Arc<RecordNews>,
) {
    loop {
        let entering = next(&requests, &closing).await;
        if entering.is_empty() {
            break;
        }
        let mut group = Group::default();
        for enter in entering {
            enter(&mut group);
        }
        let outcome = group.commit_in_time(&mut engine).await.map_err(Arc::new);
        match &outcome {
            Ok(()) if group.tells_of_records() => records.tell(),
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "a group of writes to the job store has failed"),
        }
        group.answer::<E>(outcome.err().as_ref());
    }
    engine.close().await;
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
