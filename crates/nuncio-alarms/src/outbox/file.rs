//! How an event is stored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm, Severity};
use nuncio_core::ports::records::{Record, RecordKey};
use nuncio_core::trace::TraceParent;
use serde::{Deserialize, Serialize};

use crate::outbox::{AlarmEvent, Waiting};

/// An event as it is stored.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Event {
    request_id: String,
    /// How many events it stands for.
    pub(super) times: u32,
    alarm_type: String,
    node: String,
    labels: BTreeMap<String, String>,
    at: Timestamp,
    /// None means that the alarm is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    raised: Option<Raised>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Raised {
    severity: Option<String>,
    description: String,
    details: String,
}

const SEVERITIES: [(&str, Severity); 3] =
    [("info", Severity::Info), ("warning", Severity::Warning), ("critical", Severity::Critical)];

impl Event {
    pub(super) fn new(
        request_id: String,
        times: u32,
        event: &AlarmEvent,
        trace: Option<TraceParent>,
    ) -> Self {
        let trace = trace.map(|trace| trace.as_str().to_owned());
        let AlarmIdentity { alarm_type, node, labels } = event.identity().clone();
        let (at, raised) = match event {
            AlarmEvent::Cleared { alarm: _, at } => (*at, None),
            AlarmEvent::Raised(alarm) => {
                let name = |severity| {
                    let found = SEVERITIES.into_iter().find(|(_, one)| *one == severity);
                    found.map(|(name, _)| name.to_owned())
                };
                let raised = Raised {
                    severity: alarm.severity.and_then(name),
                    description: alarm.description.clone(),
                    details: alarm.details.clone(),
                };
                (alarm.raised_at, Some(raised))
            }
        };
        Self { request_id, times, alarm_type, node, labels, at, raised, trace }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are always JSON")
    }

    pub(super) fn read(record: &Record) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&record.content)
    }

    pub(super) fn waiting(self, key: RecordKey) -> Waiting {
        let Self { request_id, times, alarm_type, node, labels, at, raised, trace } = self;
        let trace = trace.and_then(|trace| trace.parse().ok());
        let identity = AlarmIdentity { alarm_type, node, labels };
        let event = match raised {
            None => AlarmEvent::Cleared { alarm: identity, at },
            Some(Raised { severity, description, details }) => AlarmEvent::Raised(RaisedAlarm {
                identity,
                severity: severity.and_then(|name| {
                    SEVERITIES.into_iter().find(|(one, _)| *one == name).map(|(_, one)| one)
                }),
                description,
                details: with_times(details, times),
                raised_at: at,
            }),
        };
        Waiting { key, request_id, event, trace }
    }
}

fn with_times(details: String, times: u32) -> String {
    if times < 2 {
        return details;
    }
    let told = format!("(stands for {times} events that were told while the MnT was not reached)");
    if details.is_empty() { told } else { format!("{details}\n{told}") }
}
