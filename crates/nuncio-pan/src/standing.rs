//! Alarms that the PAN watches over: raises what is to stand and does not, clears what stands and is over.

use std::collections::BTreeMap;

use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm, Severity};
use nuncio_core::ports::alarms::AlarmSink;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, RecordKey, RecordStore, Write,
};
use serde::{Deserialize, Serialize};

/// All nodes have the same settings: whichever PAN looks, it is one alarm.
const ALL_NODES: &str = "all";

/// The alarms of one watch, and where it notes which of them stand.
pub(crate) struct StandingAlarms<'a> {
    pub(crate) records: &'a dyn RecordStore,
    pub(crate) alarms: &'a dyn AlarmSink,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) key: RecordKey,
}

/// What stands, as it was noted.
pub(crate) struct Before {
    /// By the type of the alarm; where there may be several of a type, with what it is about behind a `/`.
    pub(crate) standing: BTreeMap<String, Raised>,
    expected: Expected,
}

/// An alarm that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Raised {
    /// It is raised once for each: another stage is told anew.
    pub(crate) stage: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// What is to stand, by the same names as what stands.
pub(crate) type Wishes = BTreeMap<String, Wish>;

/// An alarm that is to stand.
pub(crate) struct Wish {
    pub(crate) raised: Raised,
    /// None means that of the type.
    pub(crate) severity: Option<Severity>,
    pub(crate) description: String,
    pub(crate) details: String,
}

impl StandingAlarms<'_> {
    pub(crate) async fn read(&self) -> Result<Before, StoreError> {
        let found = self.records.read(std::slice::from_ref(&self.key)).await?;
        let record = found.into_iter().next().flatten();
        let read = record.as_ref().and_then(|record| serde_json::from_str(&record.content).ok());
        let expected = record.map_or(Expected::Absent, |record| Expected::Version(record.version));
        Ok(Before { standing: read.unwrap_or_default(), expected })
    }

    /// Raises and clears what has changed, and notes what stands now.
    pub(crate) async fn settle(&self, before: Before, wishes: Wishes) -> Result<(), StoreError> {
        let Before { standing: before, expected } = before;
        let after: BTreeMap<String, Raised> =
            wishes.iter().map(|(name, wish)| (name.clone(), wish.raised.clone())).collect();
        if before == after {
            return Ok(());
        }
        for (name, standing) in &before {
            if after.get(name).is_none_or(|raised| raised.labels != standing.labels) {
                self.alarms.clear(identity(name, &standing.labels)).await?;
            }
        }
        for (name, wish) in wishes {
            if before.get(&name) != Some(&wish.raised) {
                self.alarms.raise(self.alarm(&name, wish)).await?;
            }
        }
        // Last: who dies before it raises the same alarm again, which is one alarm.
        let mut changes = Changeset::new(self.clock.now());
        changes.writes.push(Write::Put {
            key: self.key.clone(),
            expected,
            owner: None,
            due_at: None,
            content: serde_json::to_string(&after).expect("texts always become JSON"),
        });
        match self.records.commit(changes).await {
            Err(CommitError::Store(source)) => Err(source),
            // Another PAN has seen the same.
            Ok(_) | Err(CommitError::Conflict { .. } | CommitError::RequestIdReused { .. }) => {
                Ok(())
            }
        }
    }

    fn alarm(&self, name: &str, wish: Wish) -> RaisedAlarm {
        RaisedAlarm {
            identity: identity(name, &wish.raised.labels),
            severity: wish.severity,
            description: wish.description,
            details: wish.details,
            raised_at: self.clock.now(),
        }
    }
}

fn identity(name: &str, labels: &BTreeMap<String, String>) -> AlarmIdentity {
    let alarm_type = name.split_once('/').map_or(name, |(alarm_type, _about)| alarm_type);
    AlarmIdentity {
        alarm_type: alarm_type.to_owned(),
        node: ALL_NODES.to_owned(),
        labels: labels.clone(),
    }
}
