//! Takes events: many at once, each transaction with all that waits, so that a storm is cheap.

use nuncio_core::job::CallerId;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use nuncio_core::alarm::arrival::{Arrival, Event, GroupWrite, Outcome};
use nuncio_core::alarm::group::{Group, GroupKey};
use nuncio_core::alarm::identity::Fingerprint;
use nuncio_core::alarm::mute::Muting;
use nuncio_core::alarm::settings::AlarmRules;
use nuncio_core::alarm::standing::StandingAlarm;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, RecordKey, RecordStore, Write,
};
use nuncio_core::trace::TraceParent;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::muting::muting;
use crate::notice::AlarmNotice;
use crate::records::request::{self, TakenRequest};
use crate::records::{ALARM, alarm, group};
use crate::rules::Rules;

/// How many calls may wait to be taken.
const WAITING_CALLS_MAX: usize = 64;
/// How many events are taken in one transaction, if that many wait.
const EVENTS_MAX: usize = 4000;
/// How many different alarms are written in one transaction: with groups, notices and request ids they stay below
/// what a changeset may hold.
const ALARMS_MAX: usize = 300;
/// How old the knowledge of silences and causes may be; the look at a group is exact.
const MUTING_AGE_MAX: Duration = Duration::from_secs(1);
/// How often a transaction is tried that others have overtaken.
const TRIES_MAX: u32 = 20;

/// An event with what makes it safe to repeat.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) event: Event,
    /// The caller's id with a digest of the event.
    pub(crate) request: Option<IncomingRequest>,
    /// The trace that it is a part of.
    pub(crate) trace: Option<TraceParent>,
}

#[derive(Clone, Debug)]
pub(crate) struct IncomingRequest {
    /// Whose id it is: ids of two callers do not meet.
    pub(crate) caller: CallerId,
    pub(crate) id: String,
    pub(crate) digest: String,
}

/// What became of an event.
#[derive(Clone, Debug)]
pub(crate) enum Taken {
    Done {
        outcome: Outcome,
        fingerprint: Fingerprint,
        alarm: Option<Box<StandingAlarm>>,
    },
    /// The request id was used for another event.
    RequestIdReused {
        alarm: String,
    },
}

/// Why events were not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TakeError {
    #[error("the alarms were not stored")]
    Store(#[source] Arc<StoreError>),
    #[error("the node goes down")]
    Stopping,
}

/// Hands events to the part that writes them.
#[derive(Clone)]
pub(crate) struct AlarmIntake {
    calls: mpsc::Sender<Call>,
}

struct Call {
    events: Vec<Incoming>,
    answer: oneshot::Sender<Result<Vec<Taken>, TakeError>>,
}

/// The part that writes events.
pub(crate) struct IntakeWriter {
    calls: mpsc::Receiver<Call>,
    store: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
    rules: Rules,
    muting: Option<(Instant, i64, Muting)>,
}

/// Makes both ends.
pub(crate) fn intake(
    store: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
    rules: Rules,
) -> (AlarmIntake, IntakeWriter) {
    let (sender, receiver) = mpsc::channel(WAITING_CALLS_MAX);
    let writer = IntakeWriter { calls: receiver, store, clock, rules, muting: None };
    (AlarmIntake { calls: sender }, writer)
}

impl AlarmIntake {
    /// Takes events in their order. When it returns Ok all of them are on disk.
    pub(crate) async fn take(&self, events: Vec<Incoming>) -> Result<Vec<Taken>, TakeError> {
        let (answer, answered) = oneshot::channel();
        let call = Call { events, answer };
        self.calls.send(call).await.map_err(|_gone| TakeError::Stopping)?;
        answered.await.map_err(|_gone| TakeError::Stopping)?
    }
}

impl IntakeWriter {
    /// Writes until `stop` is cancelled; then what waits is still written.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), TakeError> {
        loop {
            let call = tokio::select! {
                biased;
                call = self.calls.recv() => call,
                () = stop.cancelled() => {
                    self.calls.close();
                    self.calls.recv().await
                }
            };
            let Some(call) = call else { return Ok(()) };
            self.serve(call).await;
        }
    }

    async fn serve(&mut self, first: Call) {
        let mut waiting = first.events.len();
        let mut calls = vec![first];
        while waiting < EVENTS_MAX
            && let Ok(next) = self.calls.try_recv()
        {
            waiting += next.events.len();
            calls.push(next);
        }
        let events: Vec<&Incoming> = calls.iter().flat_map(|call| &call.events).collect();
        let mut results: Vec<Result<Taken, TakeError>> = Vec::with_capacity(events.len());
        let mut rest = events.as_slice();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(part_end(rest));
            match self.write(part).await {
                Ok(taken) => results.extend(taken.into_iter().map(Ok)),
                Err(error) => {
                    let error = TakeError::Store(Arc::new(error));
                    results.extend(part.iter().map(|_event| Err(error.clone())));
                }
            }
            rest = after;
        }
        let mut results = results.into_iter();
        for call in calls {
            let own = results.by_ref().take(call.events.len()).collect();
            // Who has gone away does not want to know.
            drop(call.answer.send(own));
        }
    }

    /// Writes events in one transaction; if others were faster, looks and decides again.
    async fn write(&mut self, events: &[&Incoming]) -> Result<Vec<Taken>, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_write(events).await {
                Ok(taken) => return Ok(taken),
                Err(CommitError::Conflict { key, .. }) if tries < TRIES_MAX => {
                    debug!(record.kind = key.kind.0, "an alarm was written by others meanwhile");
                }
                Err(CommitError::Store(error)) => return Err(error),
                Err(
                    error @ (CommitError::Conflict { .. } | CommitError::RequestIdReused { .. }),
                ) => {
                    return Err(StoreError::Unusable(Box::new(error)));
                }
            }
        }
    }

    async fn try_write(&mut self, events: &[&Incoming]) -> Result<Vec<Taken>, CommitError> {
        let now = self.clock.now();
        let known = self.rules.current();
        let muting = self.muting(&known.rules).await?;
        let mut batch = Batch::read(&*self.store, &known.rules, events).await?;
        let mut taken = Vec::with_capacity(events.len());
        for event in events {
            taken.push(batch.take(event, &known.rules, &muting, now));
        }
        let mut changes = Changeset::new(now);
        changes.writes = batch.writes(&known.rules, now);
        if !changes.writes.is_empty() {
            self.store.commit(changes).await?;
        }
        let fired = |one: &&Taken| matches!(one, Taken::Done { outcome: Outcome::Firing, .. });
        let fired = taken.iter().filter(fired).count();
        if 0 < fired {
            info!(alarms = fired, events = events.len(), "{fired} alarms began to fire");
        }
        Ok(taken)
    }

    async fn muting(&mut self, rules: &AlarmRules) -> Result<Muting, StoreError> {
        let generation = self.rules.current().generation();
        if let Some((read_at, of, muting)) = &self.muting
            && read_at.elapsed() < MUTING_AGE_MAX
            && *of == generation
        {
            return Ok(muting.clone());
        }
        let muting = muting(&*self.store, rules).await?;
        self.muting = Some((Instant::now(), generation, muting.clone()));
        Ok(muting)
    }
}

/// How many of the events make one transaction.
fn part_end(events: &[&Incoming]) -> usize {
    let mut alarms = std::collections::BTreeSet::new();
    let mut requests = 0;
    for (place, incoming) in events.iter().enumerate() {
        alarms.insert(incoming.event.identity());
        requests += usize::from(incoming.request.is_some());
        if ALARMS_MAX < alarms.len().max(requests) {
            return place;
        }
    }
    events.len()
}

/// What is known of the alarms of a transaction, and what came of them.
struct Batch {
    alarms: HashMap<Fingerprint, Entry<StandingAlarm>>,
    groups: BTreeMap<GroupKey, GroupEntry>,
    requests: HashMap<RecordKey, Option<TakenRequest>>,
    new_requests: Vec<Write>,
    notices: Vec<Write>,
}

struct Entry<T> {
    version: Option<i64>,
    value: Option<T>,
    is_changed: bool,
}

struct GroupEntry {
    entry: Entry<Group>,
    is_required: bool,
}

impl Batch {
    async fn read(
        store: &dyn RecordStore,
        rules: &AlarmRules,
        events: &[&Incoming],
    ) -> Result<Self, StoreError> {
        let prints: BTreeMap<Fingerprint, &Event> = events
            .iter()
            .map(|incoming| (incoming.event.identity().fingerprint(), &incoming.event))
            .collect();
        let requests: HashSet<RecordKey> = events
            .iter()
            .filter_map(|incoming| incoming.request.as_ref())
            .map(|one| request::key(&one.caller.0, &one.id))
            .collect();
        let requests: Vec<RecordKey> = requests.into_iter().collect();
        let mut keys: Vec<RecordKey> =
            prints.keys().map(|print| RecordKey::new(ALARM, print.as_str())).collect();
        keys.extend(requests.iter().cloned());
        let mut records = store.read(&keys).await?.into_iter();

        let mut alarms = HashMap::new();
        let mut group_keys = HashSet::new();
        for (print, event) in prints {
            let record = records.next().flatten();
            let version = record.as_ref().map(|record| record.version);
            let value = record.as_ref().map(alarm::read).transpose()?;
            if let Some(alarm) = &value {
                group_keys.insert(alarm.group.clone());
            }
            group_keys.insert(GroupKey::of(event.identity(), &rules.settings));
            alarms.insert(print, Entry { version, value, is_changed: false });
        }
        let taken = records.map(|record| record.as_ref().map(request::read).transpose());
        let taken = taken.collect::<Result<Vec<_>, _>>()?;

        let group_keys: Vec<GroupKey> = group_keys.into_iter().collect();
        let keys: Vec<RecordKey> = group_keys.iter().map(group::key).collect();
        let records = store.read(&keys).await?;
        let mut groups = BTreeMap::new();
        for (key, record) in group_keys.into_iter().zip(records) {
            let version = record.as_ref().map(|record| record.version);
            let value = record.as_ref().map(group::read).transpose()?;
            let entry = Entry { version, value, is_changed: false };
            groups.insert(key, GroupEntry { entry, is_required: false });
        }
        let requests = requests.into_iter().zip(taken).collect();
        Ok(Self { alarms, groups, requests, new_requests: Vec::new(), notices: Vec::new() })
    }

    fn take(
        &mut self,
        incoming: &Incoming,
        rules: &AlarmRules,
        muting: &Muting,
        now: jiff::Timestamp,
    ) -> Taken {
        let fingerprint = incoming.event.identity().fingerprint();
        if let Some(taken) = self.take_request(incoming, &fingerprint, now) {
            return taken;
        }
        let entry = self.alarms.get_mut(&fingerprint).expect("it was read");
        let group_key = match &entry.value {
            Some(alarm) if alarm.is_member() => alarm.group.clone(),
            Some(_) | None => GroupKey::of(incoming.event.identity(), &rules.settings),
        };
        let slot = self.groups.get_mut(&group_key).expect("it was read");
        let (alarm, group) = (entry.value.take(), slot.entry.value.take());
        let event = incoming.event.clone();
        let arrival = Arrival::new(rules, muting, now, event, alarm, group).run();
        let outcome = arrival.outcome.expect("the last stage knows it");
        entry.is_changed |= arrival.alarm_changed;
        entry.value = arrival.alarm;
        if outcome == Outcome::Firing
            && let Some(alarm) = &mut entry.value
        {
            alarm.trace.clone_from(&incoming.trace);
        }
        slot.entry.value = arrival.group;
        match arrival.group_write {
            GroupWrite::None => {}
            GroupWrite::Put => slot.entry.is_changed = true,
            GroupWrite::Require => slot.is_required = true,
        }
        let alarm = entry.value.clone();
        if let (Some(kind), Some(alarm)) = (arrival.notice, &alarm)
            && let Some(of) = rules.find(&alarm.identity.alarm_type)
        {
            let notice = AlarmNotice::new(kind, alarm, &of);
            self.notices.push(notice.write(now, now));
        }
        Taken::Done { outcome, fingerprint, alarm: alarm.map(Box::new) }
    }

    /// What became of an event whose request id was taken; otherwise takes it.
    fn take_request(
        &mut self,
        incoming: &Incoming,
        fingerprint: &Fingerprint,
        now: jiff::Timestamp,
    ) -> Option<Taken> {
        let request = incoming.request.as_ref()?;
        let key = request::key(&request.caller.0, &request.id);
        let place = self.requests.get_mut(&key).expect("it was read");
        if let Some(known) = place {
            if known.digest != request.digest {
                return Some(Taken::RequestIdReused { alarm: known.alarm.clone() });
            }
            let alarm = self.alarms.get(fingerprint).and_then(|entry| entry.value.clone());
            return Some(Taken::Done {
                outcome: Outcome::Repeated,
                fingerprint: fingerprint.clone(),
                alarm: alarm.map(Box::new),
            });
        }
        let taken =
            TakenRequest { digest: request.digest.clone(), alarm: fingerprint.as_str().to_owned() };
        self.new_requests.push(request::write(key, &taken, now));
        *place = Some(taken);
        None
    }

    fn writes(self, rules: &AlarmRules, now: jiff::Timestamp) -> Vec<Write> {
        let expected = |version: Option<i64>| version.map_or(Expected::Absent, Expected::Version);
        let mut writes = Vec::new();
        for entry in self.alarms.into_values().filter(|entry| entry.is_changed) {
            if let Some(alarm) = &entry.value {
                writes.push(alarm::write(alarm, rules, expected(entry.version)));
            }
        }
        for (key, GroupEntry { entry, is_required }) in self.groups {
            match &entry.value {
                Some(group) if entry.is_changed => {
                    writes.push(group::write(group, expected(entry.version)));
                }
                Some(_) | None if is_required => writes.push(Write::Require {
                    key: group::key(&key),
                    expected: expected(entry.version),
                }),
                Some(_) | None => {}
            }
        }
        let notices: BTreeMap<RecordKey, Write> =
            self.notices.into_iter().map(|write| (write.key().clone(), write)).collect();
        writes.extend(self.new_requests);
        writes.extend(notices.into_values());
        debug_assert!(writes.len() <= nuncio_core::ports::records::CHANGES_MAX, "at {now}");
        writes
    }
}
