//! Alarms of this node that the MnT does not have yet.
//!
//! An event is on disk before whoever tells it goes on. What the MnT has taken is removed. A request id that is
//! kept with the event makes it harmless to tell it again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm};
use nuncio_core::ports::alarms::AlarmSink;
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, Record, RecordKey, RecordKind, RecordQuery, RecordStore,
    Write,
};
use nuncio_core::trace::TraceParent;
use nuncio_runtime::trace;
use tokio::sync::{Mutex, MutexGuard, watch};
use tracing::{Instrument as _, error, info_span};

use crate::outbox::file::Event;

mod file;

/// The kind of the records: an event each, owned by the node that tells it.
pub const ALARM_OUTBOX: RecordKind = RecordKind("alarm-outbox");
/// How many events of a node wait at most. Beyond it an event takes the place of the last one about the same
/// alarm; only where there is none it is refused.
pub const EVENTS_MAX: usize = 10_000;
/// How old an event of another node must be to be told by this one: that node is gone for good, or it is as cut
/// off from the MnT as this one was.
pub const ABANDONED_AFTER: Duration = Duration::from_hours(1);
/// How many records are read at once.
const PAGE: u32 = 500;

const LEDGER: &str = "it is read before, and only taken out while its lock is held";

/// The outbox of one node.
pub struct Outbox {
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    node: String,
    events_max: usize,
    ledger: Mutex<Option<Ledger>>,
    waiting: watch::Sender<usize>,
}

/// An event that waits, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub key: RecordKey,
    /// The same with each time that it is told.
    pub request_id: String,
    pub event: AlarmEvent,
    /// The trace that it is a part of.
    pub trace: Option<TraceParent>,
}

/// What happens to an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlarmEvent {
    Raised(RaisedAlarm),
    Cleared { alarm: AlarmIdentity, at: Timestamp },
}

impl AlarmEvent {
    pub fn identity(&self) -> &AlarmIdentity {
        match self {
            Self::Raised(alarm) => &alarm.identity,
            Self::Cleared { alarm, at: _ } => alarm,
        }
    }
}

/// What is known of the events that wait.
#[derive(Debug, Default)]
struct Ledger {
    /// The number of the newest event, in microseconds since 1970: each is greater than the one before, also when
    /// the clock is set back.
    last: i64,
    count: usize,
    /// The newest event about each alarm.
    newest: BTreeMap<AlarmIdentity, i64>,
}

/// Why an event is refused.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} alarms wait for the MnT and none of them is the same; let this node reach the MnT (`peers.mnt`)"
)]
struct OutboxFull(usize);

impl Outbox {
    pub fn new(
        records: Arc<dyn RecordStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        node: impl Into<String>,
    ) -> Self {
        let (ledger, waiting) = (Mutex::default(), watch::Sender::new(0));
        let node = node.into();
        Self { records, clock, entropy, node, events_max: EVENTS_MAX, ledger, waiting }
    }

    /// Looks how many events an earlier life has left, so that [`waiting`](Self::waiting) tells them.
    pub async fn look(&self) -> Result<(), StoreError> {
        self.ledger().await.map(drop)
    }

    /// How many events wait; changes with each.
    pub fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.subscribe()
    }

    /// The first events that wait, in the order in which they were told.
    pub async fn first(&self, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        let _counted = self.ledger().await?;
        let owner = Some(self.node.clone());
        let query = RecordQuery { kind: ALARM_OUTBOX, owner, after: None, limit };
        Ok(read(self.records.list_records(&query).await?))
    }

    /// Events of other nodes that have waited for so long that their node will not tell them.
    pub async fn abandoned(&self, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        let query = RecordQuery { kind: ALARM_OUTBOX, owner: None, after: None, limit };
        let mut records = self.records.list_records(&query).await?;
        let until = self.clock.now() - ABANDONED_AFTER;
        records.retain(|record| {
            record.owner.as_ref() != Some(&self.node) && record.updated_at < until
        });
        Ok(read(records))
    }

    /// The MnT has these.
    pub async fn remove(&self, taken: &[Waiting]) -> Result<(), StoreError> {
        let mut guard = self.ledger().await?;
        let mut ledger = guard.take().expect(LEDGER);
        let delete =
            |one: &Waiting| Write::Delete { key: one.key.clone(), expected: Expected::Any };
        let writes = taken.iter().map(delete).collect();
        self.commit(Changeset { writes, ..Changeset::new(self.clock.now()) }).await?;
        for one in taken {
            if let Some(number) = self.number(&one.key) {
                ledger.remove(one.event.identity(), number);
            }
        }
        self.waiting.send_replace(ledger.count);
        *guard = Some(ledger);
        Ok(())
    }

    async fn add(&self, event: AlarmEvent, trace: Option<TraceParent>) -> Result<(), StoreError> {
        let mut guard = self.ledger().await?;
        let now = self.clock.now();
        let identity = event.identity().clone();
        let (mut writes, mut times) = (Vec::new(), 1);
        let replaced = guard.as_ref().expect(LEDGER).place(&identity, self.events_max)?;
        if let Some(number) = replaced {
            let key = self.key(number);
            let present = self.records.read(std::slice::from_ref(&key)).await?.pop().flatten();
            times +=
                present.and_then(|record| Event::read(&record).ok()).map_or(0, |old| old.times);
            writes.push(Write::Delete { key, expected: Expected::Any });
        }
        // Taken out while it is written: if that fails, the ledger is read anew.
        let mut ledger = guard.take().expect(LEDGER);
        let number = now.as_microsecond().max(ledger.last + 1);
        let content = Event::new(self.request_id(now), times, &event, trace).to_json();
        writes.push(Write::Put {
            key: self.key(number),
            expected: Expected::Absent,
            owner: Some(self.node.clone()),
            due_at: None,
            content,
        });
        self.commit(Changeset { writes, ..Changeset::new(now) }).await?;
        if let Some(replaced) = replaced {
            ledger.remove(&identity, replaced);
        }
        ledger.add(identity, number);
        self.waiting.send_replace(ledger.count);
        *guard = Some(ledger);
        Ok(())
    }

    /// The ledger, as the store has it; it is there.
    async fn ledger(&self) -> Result<MutexGuard<'_, Option<Ledger>>, StoreError> {
        let mut guard = self.ledger.lock().await;
        if guard.is_none() {
            let ledger = self.count().await?;
            self.waiting.send_replace(ledger.count);
            *guard = Some(ledger);
        }
        Ok(guard)
    }

    async fn count(&self) -> Result<Ledger, StoreError> {
        let mut ledger = Ledger::default();
        let mut after = None;
        loop {
            let owner = Some(self.node.clone());
            let query = RecordQuery { kind: ALARM_OUTBOX, owner, after, limit: PAGE };
            let page = self.records.list_records(&query).await?;
            after = page.last().map(|record| record.key.id.clone());
            if after.is_none() {
                return Ok(ledger);
            }
            for one in read(page) {
                let number = self.number(&one.key).unwrap_or_default();
                ledger.add(one.event.identity().clone(), number);
            }
        }
    }

    async fn commit(&self, changes: Changeset) -> Result<(), StoreError> {
        match self.records.commit(changes).await {
            Ok(_committed) => Ok(()),
            Err(CommitError::Store(error)) => Err(error),
            Err(error @ (CommitError::Conflict { .. } | CommitError::RequestIdReused { .. })) => {
                Err(StoreError::Unusable(Box::new(error)))
            }
        }
    }

    /// The nodes that share a store have different names, so the ids of their events differ too.
    fn key(&self, number: i64) -> RecordKey {
        RecordKey::new(ALARM_OUTBOX, format!("{}/{number:016x}", self.node))
    }

    fn number(&self, key: &RecordKey) -> Option<i64> {
        let number = key.id.strip_prefix(&self.node)?.strip_prefix('/')?;
        i64::from_str_radix(number, 16).ok()
    }

    fn request_id(&self, now: Timestamp) -> String {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &self.entropy.id_bytes());
        id.into_uuid().to_string()
    }
}

#[async_trait]
impl AlarmSink for Outbox {
    async fn raise(&self, alarm: RaisedAlarm) -> Result<(), StoreError> {
        // What follows from an alarm is one trace, from here to its mails.
        let alarm_type = alarm.identity.alarm_type.as_str();
        let span = info_span!("alarm.raise", otel.kind = "producer", alarm.type = alarm_type);
        let trace = trace::current(&span);
        self.add(AlarmEvent::Raised(alarm), trace).instrument(span).await
    }

    async fn clear(&self, alarm: AlarmIdentity) -> Result<(), StoreError> {
        let at = self.clock.now();
        self.add(AlarmEvent::Cleared { alarm, at }, None).await
    }
}

impl Ledger {
    /// The event in whose place one about this alarm goes, if there is no room for another.
    fn place(&self, alarm: &AlarmIdentity, events_max: usize) -> Result<Option<i64>, StoreError> {
        if self.count < events_max {
            return Ok(None);
        }
        let newest = self.newest.get(alarm).copied();
        newest.map(Some).ok_or_else(|| StoreError::Full(Box::new(OutboxFull(self.count))))
    }

    fn add(&mut self, alarm: AlarmIdentity, number: i64) {
        self.count += 1;
        self.last = self.last.max(number);
        self.newest.insert(alarm, number);
    }

    fn remove(&mut self, alarm: &AlarmIdentity, number: i64) {
        self.count = self.count.saturating_sub(1);
        if self.newest.get(alarm) == Some(&number) {
            self.newest.remove(alarm);
        }
    }
}

/// The events of these records; one that cannot be read stays where it is, for a version that can.
fn read(records: Vec<Record>) -> Vec<Waiting> {
    let read = |record: Record| match Event::read(&record) {
        Ok(event) => Some(event.waiting(record.key)),
        Err(problem) => {
            error!(record = record.key.id, "an alarm in the outbox cannot be read: {problem}");
            None
        }
    };
    records.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests;
