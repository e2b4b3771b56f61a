//! Tells people of alarms about the way of mail, by all routes, until each has taken the message.
//!
//! The MnT writes a notice in the transaction of the alarm. The courier turns it into one message for each route, and
//! each route gets its messages in their order: the next one when the one before is delivered or given up.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use nuncio_core::alarm::route::{Route, RouteFailure, RouteMessage, next_try};
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, Record, RecordKey, RecordKind, RecordQuery, RecordStore,
    Write,
};
use nuncio_core::ports::routes::RouteSender;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_runtime::chain::Chain;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::courier::file::{Log, Waiting};
use crate::routes::routes;

mod file;

pub use file::Attempt;

/// What the MnT writes when an alarm about the way of mail turns. Due when it is to be told.
const ALARM_NOTICE: RecordKind = RecordKind("alarm-notice");
/// Messages that wait, owned by their route.
const ROUTE_MESSAGE: RecordKind = RecordKind("alarm-route-message");
/// What became of the tries of a route, by its id.
const ROUTE_LOG: RecordKind = RecordKind("alarm-route-log");
/// How many tries of a route are kept.
pub const ATTEMPTS_MAX: usize = 100;
/// The longest text of a try that is kept, in characters.
const TEXT_CHARS_MAX: usize = 500;
/// How many notices are looked at together.
const NOTICES_MAX: u32 = 50;
/// How long other nodes leave a message alone that this one is sending: longer than any route may take.
const CLAIM: Duration = Duration::from_mins(2);
/// The shortest and the longest time between two looks.
const PAUSE: Duration = Duration::from_millis(250);
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// Tells people past the mail.
#[derive(Clone)]
pub struct Courier {
    pub records: Arc<dyn RecordStore>,
    pub settings: Arc<dyn SettingsShare>,
    pub sender: Arc<dyn RouteSender>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl Courier {
    /// Works until `stop` is cancelled. What is under way then is told again by the next life, under the same id.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut changed = self.records.records_changed();
        let mut busy = JoinSet::new();
        let mut rests = BTreeMap::<String, Instant>::new();
        while !stop.is_cancelled() {
            changed.mark_unchanged();
            if let Err(problem) = self.distribute().await {
                warn!("alarms wait for the second route: {}", Chain(&problem));
            }
            // One message of a route at a time; a route in trouble holds up no other.
            let now = Instant::now();
            for route in routes(&*self.settings).routes.into_iter().filter(|route| route.enabled) {
                if rests.get(&route.id).is_none_or(|until| *until <= now) {
                    rests.insert(route.id.clone(), now + CLAIM);
                    let courier = self.clone();
                    busy.spawn(async move {
                        let rest = courier.deliver(&route).await;
                        (route.id, rest)
                    });
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some(Ok((route, rest))) = busy.join_next() => {
                    rests.insert(route, Instant::now() + rest);
                }
                () = sleep(LOOK_PERIOD) => {}
                () = async {
                    sleep(PAUSE).await;
                    if changed.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                } => {}
            }
        }
        Ok(())
    }

    /// Sends a test message by this route, once.
    pub async fn test(&self, route: &Route, message: &RouteMessage) -> Attempt {
        let attempt = self.attempt(route, message).await;
        let attempt = self.noted(message, &attempt, false);
        if let Err(problem) = self.note(route, attempt.clone(), Vec::new()).await {
            warn!("the test of a route is not in its log: {}", Chain(&problem));
        }
        attempt
    }

    /// Sends a message by all routes, once, and writes nothing: for what the disk has no room for.
    pub(crate) async fn tell_all(&self, message: &RouteMessage) {
        let routes = routes(&*self.settings).routes.into_iter().filter(|route| route.enabled);
        join_all(routes.map(async |route| self.attempt(&route, message).await)).await;
    }

    /// The last tries of a route, the newest first.
    pub async fn attempts(&self, route: &str) -> Result<Vec<Attempt>, StoreError> {
        Ok(self.log(route).await?.0.attempts)
    }

    /// A new id of a message.
    pub fn new_id(&self) -> String {
        let millis = u64::try_from(self.clock.now().as_millisecond()).unwrap_or_default();
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &self.entropy.id_bytes());
        id.into_uuid().to_string()
    }

    /// Removes what waits for a route that is no more.
    pub async fn forget(&self, route: &str) -> Result<(), StoreError> {
        loop {
            let owner = Some(route.to_owned());
            let query = RecordQuery { kind: ROUTE_MESSAGE, owner, after: None, limit: 500 };
            let records = self.records.list_records(&query).await?;
            let expected = Expected::Any;
            let keys = records.into_iter().map(|record| record.key);
            let mut writes: Vec<_> = keys.map(|key| Write::Delete { key, expected }).collect();
            if writes.is_empty() {
                writes.push(Write::Delete { key: RecordKey::new(ROUTE_LOG, route), expected });
                self.commit(Changeset { writes, ..Changeset::new(self.clock.now()) }).await?;
                return Ok(());
            }
            self.commit(Changeset { writes, ..Changeset::new(self.clock.now()) }).await?;
        }
    }

    /// How many messages wait for a route.
    pub async fn waiting(&self, route: &str) -> Result<usize, StoreError> {
        let owner = Some(route.to_owned());
        let query = RecordQuery { kind: ROUTE_MESSAGE, owner, after: None, limit: 1000 };
        Ok(self.records.list_records(&query).await?.len())
    }

    /// Makes a message for each route of each notice that is due.
    async fn distribute(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let notices = self.records.due_records(ALARM_NOTICE, now, None, NOTICES_MAX).await?;
        for notice in notices {
            let mut changes = Changeset::new(now);
            let expected = Expected::Version(notice.version);
            changes.writes.push(Write::Delete { key: notice.key.clone(), expected });
            match file::message(&notice) {
                Ok(message) => changes.writes.extend(self.messages(&message, now)),
                Err(problem) => error!("an alarm for the second route cannot be read: {problem}"),
            }
            self.commit(changes).await?;
        }
        Ok(())
    }

    fn messages(&self, message: &RouteMessage, now: Timestamp) -> Vec<Write> {
        let routes = routes(&*self.settings).routes;
        if !routes.iter().any(|route| route.enabled) {
            warn!("no second route is set up, so only mail tells: {}", message.summary);
        }
        let put = |route: &Route| Write::Put {
            key: RecordKey::new(
                ROUTE_MESSAGE,
                format!("{}/{:016x}/{}", route.id, now.as_microsecond(), message.id),
            ),
            expected: Expected::Any,
            owner: Some(route.id.clone()),
            due_at: None,
            content: file::write(&Waiting::new(message, now)),
        };
        routes.iter().filter(|route| route.enabled).map(put).collect()
    }

    /// Delivers the first message of a route. Returns how long to leave the route alone.
    async fn deliver(&self, route: &Route) -> Duration {
        match self.deliver_first(route).await {
            Ok(rest) => rest,
            Err(problem) => {
                warn!(route = route.id, "a message waits: {}", Chain(&problem));
                LOOK_PERIOD
            }
        }
    }

    async fn deliver_first(&self, route: &Route) -> Result<Duration, StoreError> {
        let now = self.clock.now();
        let owner = Some(route.id.clone());
        let query = RecordQuery { kind: ROUTE_MESSAGE, owner, after: None, limit: 1 };
        let Some(record) = self.records.list_records(&query).await?.pop() else {
            return Ok(PAUSE);
        };
        // Somebody is at it, or it failed just now.
        if let Some(wait) = record.due_at.and_then(|due| Duration::try_from(due - now).ok())
            && !wait.is_zero()
        {
            return Ok(wait.min(LOOK_PERIOD));
        }
        let Ok(mut waiting) = serde_json::from_str::<Waiting>(&record.content) else {
            error!(record = record.key.id, "a message of the second route cannot be read");
            return Ok(CLAIM);
        };
        let mut claim = Changeset::new(now);
        claim.writes.push(put(&record, record.version, now + CLAIM, &waiting));
        if !self.commit(claim).await? {
            return Ok(PAUSE);
        }
        let message = waiting.message();
        let outcome = self.attempt(route, &message).await;
        let now = self.clock.now();
        let claimed = record.version + 1;
        let done = Write::Delete { key: record.key.clone(), expected: Expected::Version(claimed) };
        let (write, rest, given_up) = match &outcome.0 {
            Ok(_said) => (done, Duration::ZERO, false),
            Err(failure) => {
                waiting.tries += 1;
                let age =
                    Duration::try_from(now.duration_since(waiting.made_at)).unwrap_or_default();
                match next_try(failure, waiting.tries, age, self.entropy.jitter()) {
                    Some(pause) => (put(&record, claimed, now + pause, &waiting), pause, false),
                    None => (done, Duration::ZERO, true),
                }
            }
        };
        self.note(route, self.noted(&message, &outcome, given_up), vec![write]).await?;
        Ok(rest)
    }

    async fn attempt(
        &self,
        route: &Route,
        message: &RouteMessage,
    ) -> (Result<String, RouteFailure>, Duration) {
        let started = Instant::now();
        let outcome = self.sender.send(route, message).await;
        match &outcome {
            Ok(_said) => info!(route = route.id, message = message.id, "told by the second route"),
            Err(failure) => {
                warn!(route = route.id, message = message.id, "the second route failed: {failure}");
            }
        }
        (outcome, started.elapsed())
    }

    fn noted(
        &self,
        message: &RouteMessage,
        (outcome, latency): &(Result<String, RouteFailure>, Duration),
        given_up: bool,
    ) -> Attempt {
        let (failure, text) = match outcome {
            Ok(said) => (None, said),
            Err(failure) => (Some(failure.code.clone()), &failure.message),
        };
        Attempt {
            at: self.clock.now(),
            message_id: message.id.clone(),
            kind: message.kind.name().to_owned(),
            failure,
            message: text.chars().take(TEXT_CHARS_MAX).collect(),
            latency: *latency,
            given_up,
        }
    }

    /// Writes a try into the log of its route, with what else belongs to it. Where others write the log at the same
    /// moment, it is tried again.
    async fn note(
        &self,
        route: &Route,
        attempt: Attempt,
        writes: Vec<Write>,
    ) -> Result<(), StoreError> {
        for _try in 0..3 {
            let (mut log, expected) = self.log(&route.id).await?;
            log.attempts.insert(0, attempt.clone());
            log.attempts.truncate(ATTEMPTS_MAX);
            let mut changes = Changeset::new(self.clock.now());
            changes.writes.clone_from(&writes);
            changes.writes.push(Write::Put {
                key: RecordKey::new(ROUTE_LOG, route.id.clone()),
                expected,
                owner: None,
                due_at: None,
                content: file::write(&log),
            });
            if self.commit(changes).await? {
                return Ok(());
            }
        }
        Ok(()) // The claim ends by itself, and the message is told again under its id.
    }

    async fn log(&self, route: &str) -> Result<(Log, Expected), StoreError> {
        let key = RecordKey::new(ROUTE_LOG, route);
        let Some(record) = self.records.read(&[key]).await?.pop().flatten() else {
            return Ok((Log::default(), Expected::Absent));
        };
        // One that this version cannot read is begun anew.
        let log = serde_json::from_str(&record.content).unwrap_or_default();
        Ok((log, Expected::Version(record.version)))
    }

    /// Whether it was done; otherwise another node was faster.
    async fn commit(&self, changes: Changeset) -> Result<bool, StoreError> {
        match self.records.commit(changes).await {
            Ok(_committed) => Ok(true),
            Err(CommitError::Conflict { .. } | CommitError::RequestIdReused { .. }) => Ok(false),
            Err(CommitError::Store(problem)) => Err(problem),
        }
    }
}

fn put(record: &Record, version: i64, due_at: Timestamp, waiting: &Waiting) -> Write {
    Write::Put {
        key: record.key.clone(),
        expected: Expected::Version(version),
        owner: record.owner.clone(),
        due_at: Some(due_at),
        content: file::write(waiting),
    }
}

#[cfg(test)]
mod tests;
