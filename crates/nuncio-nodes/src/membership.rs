//! Who the nodes of a store are, and whether they live.
//!
//! Each run of a node keeps a record and renews it. Who has not renewed it in time is dead to the others: it cannot reach
//! the store, so it can do no work. All go by the clock of the store. What a node tells of itself is as old as its last
//! heartbeat; of itself it tells what is true now.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::{Incarnation, StoreError};
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, RecordKey, RecordKind, RecordQuery, RecordStore, Write,
};
use nuncio_core::settings::SavedSmtpSettings;
use nuncio_runtime::chain::Chain;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

mod judge;
mod news;
mod record;

pub mod report;

use crate::leaders::leaders;
use crate::membership::judge::Run;
use crate::membership::news::{News, Seen};
use crate::membership::report::NodeReport;

/// The kind of the records of nodes. Their ids are incarnations, their owners the names of the nodes.
pub const NODE: RecordKind = RecordKind("node");
/// How often a node says that it lives.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a node counts as alive after it has said so: two heartbeats may be lost.
pub const ALIVE_FOR: Duration = Duration::from_secs(15);
/// How long a dead node is listed, so that an operator sees which one has died and when.
pub const DEAD_LISTED_FOR: Duration = Duration::from_mins(10);
/// The most nodes that are looked at, dead ones included.
const NODES_MAX: u32 = 500;
/// The most records of dead nodes that one look removes.
const REMOVALS_MAX: usize = 20;
/// How long a node may take to say that it leaves; without that it counts as alive for [`ALIVE_FOR`].
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Tells how a node is.
#[async_trait]
pub trait Reporter: Send + Sync {
    /// How it is now, without asking the store.
    async fn report(&self) -> NodeReport;
}

/// A node as another one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Of this run: another one after each start.
    pub incarnation: Incarnation,
    pub name: String,
    pub life: Life,
    /// When it last said that it lives.
    pub heard_at: Timestamp,
    /// Whether another node that lives has the same name.
    pub shares_name: bool,
    /// None where another version has written it so that this one cannot read it.
    pub report: Option<NodeReport>,
}

/// Whether a node lives, as far as it can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Live,
    Dead,
}

/// What a node knows of the nodes of its store, and what it tells them.
#[derive(Clone)]
pub struct Membership {
    /// None where the store is this node's alone: then there is nobody to tell, and an idle node writes nothing.
    records: Option<Arc<dyn RecordStore>>,
    clock: Arc<dyn Clock>,
    incarnation: Incarnation,
    reporter: Arc<dyn Reporter>,
    seen: watch::Sender<Counts>,
}

/// How many nodes there are, as they were seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// This one included.
    pub live: usize,
    /// Those that died lately without a farewell, and are not there again.
    pub dead: usize,
}

/// Before the first look: this one.
const ALONE: Counts = Counts { live: 1, dead: 0 };

impl Membership {
    /// A node that shares its store with others.
    pub fn shared(
        records: Arc<dyn RecordStore>,
        clock: Arc<dyn Clock>,
        incarnation: Incarnation,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        let seen = watch::Sender::new(ALONE);
        Self { records: Some(records), clock, incarnation, reporter, seen }
    }

    /// A node that is alone with its store.
    pub fn alone(
        clock: Arc<dyn Clock>,
        incarnation: Incarnation,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        Self { records: None, clock, incarnation, reporter, seen: watch::Sender::new(ALONE) }
    }

    /// The run of this node.
    pub fn incarnation(&self) -> &Incarnation {
        &self.incarnation
    }

    /// All nodes that live or have died lately, by name; this one is always among them, as it is now.
    pub async fn members(&self) -> Result<Vec<Member>, StoreError> {
        let Some(records) = &self.records else { return Ok(self.judge(Vec::new()).await) };
        let heard = read(&**records).await?;
        let leaders = leaders(&**records, self.clock.now()).await?;
        let mut members = self.judge(heard).await;
        for member in &mut members {
            // What the store says holds now; what a node told last may be over.
            let led = leaders.iter().filter(|one| one.incarnation == member.incarnation.0);
            if let Some(report) = &mut member.report {
                report.leads = led.map(|one| one.duty.name()).collect();
            }
        }
        Ok(members)
    }

    /// How many nodes there were at the last heartbeat.
    pub fn counts(&self) -> Counts {
        *self.seen.borrow()
    }

    /// Says that this node is there. Whoever is ready is known to the others: settings that are saved from then on are proved
    /// from here too.
    pub async fn join(&self) {
        let Some(records) = &self.records else { return };
        if let Err(error) = self.tell(&**records).await {
            warn!("the other nodes were not told that this one is there: {}", Chain(&error));
        }
    }

    /// Says that this node lives until `stop` is cancelled, then that it leaves. A change of `settings` is told at once.
    pub async fn run(
        self,
        mut settings: watch::Receiver<Option<Arc<SavedSmtpSettings>>>,
        stop: CancellationToken,
    ) -> Result<(), Infallible> {
        let Some(records) = self.records.clone() else {
            stop.cancelled().await;
            return Ok(());
        };
        let mut seen = Seen::default();
        loop {
            let mut beat = Box::pin(self.beat(&*records, &mut seen));
            tokio::select! {
                () = &mut beat => {}
                () = stop.cancelled() => {
                    // A heartbeat that is written after the farewell would undo it.
                    if timeout(LEAVE_TIMEOUT, beat).await.is_err() {
                        return Ok(());
                    }
                    break;
                }
            }
            drop(beat);
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(HEARTBEAT) => {}
                Ok(()) = settings.changed() => {}
            }
        }
        let left = timeout(LEAVE_TIMEOUT, self.remove(&*records, &self.incarnation, Expected::Any));
        if !matches!(left.await, Ok(Ok(()))) {
            debug!("the other nodes were not told that this one leaves; they will miss it");
        }
        Ok(())
    }

    /// Says once that this node lives, and looks at the others.
    async fn beat(&self, records: &dyn RecordStore, seen: &mut Seen) {
        let result = async {
            self.tell(records).await?;
            let heard = read(records).await?;
            let over: Vec<Run> =
                judge::over(&heard, self.clock.now()).take(REMOVALS_MAX).cloned().collect();
            let members = self.judge(heard).await;
            for one in over.iter().filter(|one| one.incarnation != self.incarnation) {
                let version = Expected::Version(one.version);
                match self.remove(records, &one.incarnation, version).await {
                    // Another node was quicker, or the one that was thought dead is there again.
                    Ok(()) | Err(CommitError::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok::<_, CommitError>(members)
        };
        match result.await {
            Ok(members) => {
                let live = members.iter().filter(|member| member.life == Life::Live).count();
                self.seen.send_replace(Counts { live, dead: members.len() - live });
                for news in seen.learn(&self.incarnation, &members) {
                    log(&news);
                }
            }
            Err(error) => {
                debug!("the other nodes were not told that this one lives: {}", Chain(&error));
            }
        }
    }

    async fn tell(&self, records: &dyn RecordStore) -> Result<(), CommitError> {
        let report = self.reporter.report().await;
        let now = self.clock.now();
        let mut changes = Changeset { is_quiet: true, ..Changeset::new(now) };
        changes.writes.push(Write::Put {
            key: RecordKey::new(NODE, &self.incarnation.0),
            // The others may have taken this node for dead and removed its record.
            expected: Expected::Any,
            owner: Some(report.name.clone()),
            due_at: Some(now + ALIVE_FOR),
            content: record::encode(report),
        });
        records.commit(changes).await.map(drop)
    }

    async fn remove(
        &self,
        records: &dyn RecordStore,
        incarnation: &Incarnation,
        expected: Expected,
    ) -> Result<(), CommitError> {
        let mut changes = Changeset { is_quiet: true, ..Changeset::new(self.clock.now()) };
        let key = RecordKey::new(NODE, &incarnation.0);
        changes.writes.push(Write::Delete { key, expected });
        records.commit(changes).await.map(drop)
    }

    /// The nodes that were heard of, and this one as it is now.
    async fn judge(&self, mut heard: Vec<Run>) -> Vec<Member> {
        let report = self.reporter.report().await;
        let now = self.clock.now();
        heard.retain(|one| one.incarnation != self.incarnation);
        heard.push(Run {
            incarnation: self.incarnation.clone(),
            is_own: true,
            version: 0,
            name: report.name.clone(),
            heard_at: now,
            alive_until: now + ALIVE_FOR,
            report: Some(report),
        });
        judge::members(&heard, now)
    }
}

async fn read(records: &dyn RecordStore) -> Result<Vec<Run>, StoreError> {
    let query = RecordQuery { kind: NODE, owner: None, after: None, limit: NODES_MAX };
    let found = records.list_records(&query).await?;
    Ok(found.into_iter().map(record::heard).collect())
}

fn log(news: &News) {
    match news {
        News::Came { name, address, version } => {
            info!(node = %name, "node `{name}` is there, version {version} at `{address}`");
        }
        News::Left { name } => info!(node = %name, "node `{name}` has left"),
        News::Died { name, heard_at } => {
            let at = heard_at.strftime("%H:%M:%S");
            warn!(node = %name, "node `{name}` is dead: it was last heard of at {at} UTC");
        }
        News::SharesName { name } => warn!(
            node = %name,
            "two nodes that live have the name `{name}`; give each a name of its own with `node.name`"
        ),
    }
}

#[cfg(test)]
mod tests;
