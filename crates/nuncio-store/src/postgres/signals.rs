//! Who waits for changes is woken: by commits of this node at once, by those of other nodes soon.
//!
//! A node tells the others with a `NOTIFY`, outside of the transaction (a commit that notifies takes a lock
//! of the whole server) and only so often. What is true is asked from the counter of commits, also without
//! being told: then a lost notification costs a second, not a change. The same question tells the database's time.
//! Of records there is no counter: roles look by themselves from time to time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use crate::postgres::clock::{DatabaseClock, Told};
use crate::postgres::database::Database;
use crate::postgres::engine::PostgresEngine;
use crate::rows::{self, unreadable};
use crate::write::engine::in_time;

/// One channel for all stores of a database.
const CHANNEL: &str = "nuncio_mail_jobs";
/// How often the counter is read if nobody tells.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// The shortest time between two notifications of one node.
const NOTIFY_EVERY: Duration = Duration::from_millis(50);
/// How long a lost listener waits before it connects again.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// What the writers tell, and what the watchers wait for.
pub(super) struct Signals {
    changed: watch::Sender<()>,
    /// The count of commits up to which the watchers were woken.
    seen: AtomicI64,
    /// Marked when there are records to look at, of whichever node.
    pub(super) records: watch::Sender<()>,
    /// Whether this node has records to tell of.
    records_to_tell: AtomicBool,
    /// In the notifications of this node, which it hears too.
    node: String,
    committed: Notify,
    heard: Notify,
    /// The database was away: notifications may come no more over the connection that has waited for them.
    was_away: Notify,
    pub(super) clock: Arc<DatabaseClock>,
}

impl Signals {
    pub(super) fn new(seen: i64, time: Told) -> Self {
        Self {
            changed: watch::Sender::new(()),
            seen: AtomicI64::new(seen),
            records: watch::Sender::new(()),
            records_to_tell: AtomicBool::new(false),
            node: Uuid::now_v7().to_string(),
            committed: Notify::new(),
            heard: Notify::new(),
            was_away: Notify::new(),
            clock: Arc::new(DatabaseClock::new(time)),
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A writer of this node has committed: the counter stands at `wakes`, so all before are committed too.
    pub(super) fn committed(&self, wakes: i64) {
        self.wake(wakes);
        self.committed.notify_one();
    }

    /// A writer of this node has committed records that others may wait for.
    pub(super) fn records_committed(&self) {
        self.records_to_tell.store(true, Ordering::Release);
        self.committed.notify_one();
    }

    /// What a notification says: the node whose records it is about, or nothing.
    fn payload(&self) -> &str {
        if self.records_to_tell.swap(false, Ordering::AcqRel) { &self.node } else { "" }
    }

    fn hear(&self, payload: &str) {
        if !payload.is_empty() && payload != self.node {
            self.records.send_replace(());
        }
        self.heard.notify_one();
    }

    /// The count has gone back: what has taken the database's place never heard of its last commits.
    fn begin_again(&self, wakes: i64) {
        self.seen.store(wakes, Ordering::Release);
        self.changed.send_replace(());
        self.records.send_replace(());
    }

    fn wake(&self, wakes: i64) {
        if self.seen.fetch_max(wakes, Ordering::AcqRel) < wakes {
            self.changed.send_replace(());
        }
    }
}

/// Tells and hears until the set is dropped.
pub(super) fn start(database: &Arc<Database>, signals: &Arc<Signals>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(tell(database.readers.clone(), signals.clone()));
    tasks.spawn(look(database.clone(), signals.clone()));
    tasks.spawn(listen(database.readers.clone(), signals.clone()));
    tasks
}

/// How many commits there were, and the time of the database.
pub(super) async fn read(pool: &PgPool) -> sqlx::Result<(i64, Told)> {
    let sql = "SELECT wakes, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT \
               FROM mail_job_counter";
    let mut connection = pool.acquire().await?;
    let asked_at = Instant::now();
    let (wakes, now_us) = sqlx::query_as(sql).fetch_one(&mut *connection).await?;
    let now = rows::time_from("clock_timestamp", now_us).map_err(unreadable)?;
    Ok((wakes, Told::answer(now, asked_at)))
}

async fn tell(pool: PgPool, signals: Arc<Signals>) {
    loop {
        signals.committed.notified().await;
        let tell = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(signals.payload());
        let told = in_time::<PostgresEngine, _>(tell.execute(&pool)).await;
        if let Err(error) = told {
            tracing::debug!(%error, "other nodes could not be told of a commit");
        }
        sleep(NOTIFY_EVERY).await;
    }
}

async fn look(database: Arc<Database>, signals: Arc<Signals>) {
    let mut every = interval(POLL_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reachable = true;
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = signals.heard.notified() => {}
        }
        match look_once(&database.readers, &signals).await {
            Ok(()) => {
                if !reachable {
                    tracing::info!("the database of the job store is there again");
                    signals.was_away.notify_one();
                }
                reachable = true;
            }
            Err(error) => {
                // Another host may be the primary now.
                let error = database.connect().await.err().unwrap_or(error);
                if reachable {
                    tracing::warn!(%error, "the database of the job store cannot be reached");
                }
                reachable = false;
            }
        }
    }
}

/// Learns what there is to wake for, and what time it is.
pub(super) async fn look_once(pool: &PgPool, signals: &Signals) -> sqlx::Result<()> {
    let seen = signals.seen.load(Ordering::Acquire);
    let (wakes, time) = in_time::<PostgresEngine, _>(read(pool)).await?;
    if wakes < seen {
        tracing::warn!("the database of the job store has lost its last commits");
        signals.begin_again(wakes);
    } else {
        signals.wake(wakes);
    }
    signals.clock.learn(time);
    Ok(())
}

async fn listen(pool: PgPool, signals: Arc<Signals>) {
    loop {
        if let Err(error) = listen_once(&pool, &signals).await {
            tracing::debug!(%error, "notifications of other nodes are not heard");
        }
        sleep(RECONNECT_AFTER).await;
    }
}

async fn listen_once(pool: &PgPool, signals: &Signals) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        tokio::select! {
            told = listener.recv() => signals.hear(told?.payload()),
            () = signals.was_away.notified() => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[tokio::test]
    async fn a_node_is_woken_by_the_records_of_others_and_not_by_the_echo_of_its_own() {
        let signals = Signals::new(0, Told::answer(Timestamp::UNIX_EPOCH, Instant::now()));
        let records = signals.records.subscribe();
        signals.records_committed();

        let (first, second) = (signals.payload().to_owned(), signals.payload().to_owned());
        assert!(!first.is_empty() && second.is_empty(), "told once: `{first}`, `{second}`");
        for own in [first.as_str(), ""] {
            signals.hear(own);
            assert!(!records.has_changed().unwrap());
        }
        signals.hear("another node");
        assert!(records.has_changed().unwrap());
    }
}
