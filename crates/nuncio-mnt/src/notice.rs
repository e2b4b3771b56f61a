//! What mail may not be able to tell: alarms about the way of mail itself, for the second route.
//!
//! A notice is written in the same changeset as its alarm, and stays until the second route has delivered it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::alarm::arrival::NoticeKind;
use nuncio_core::alarm::kind::AlarmType;
use nuncio_core::alarm::route::RouteMessage;
use nuncio_core::alarm::standing::StandingAlarm;
use nuncio_core::alarm::{AlarmIdentity, Severity};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Expected, Record, RecordKey, RecordKind, Write};
use serde::{Deserialize, Serialize};

use crate::records::alarm::{severity_from, severity_to};
use crate::records::{decode, encode, names};

/// Notices. Due when the second route is to be tried.
pub const NOTICE: RecordKind = RecordKind("alarm-notice");

/// How long the second route waits, so that what ends at once is told as one.
const WAIT: Duration = Duration::ZERO;

names!(kind_to, kind_from, NoticeKind:
    NoticeKind::Raised = "raised",
    NoticeKind::Resolved = "resolved",
);

/// An alarm about the way of mail, for the second route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmNotice {
    /// Why it is told: it fires, or it is over.
    pub kind: NoticeKind,
    pub identity: AlarmIdentity,
    /// `alarms/{fingerprint}`
    pub alarm: String,
    pub display_name: String,
    pub severity: Severity,
    pub description: String,
    pub details: String,
    pub suggested_action: String,
    pub count: u64,
    pub raised_at: Timestamp,
    pub resolved_at: Option<Timestamp>,
    /// How often the second route was tried in vain.
    pub attempts: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredNotice {
    kind: String,
    #[serde(rename = "type")]
    alarm_type: String,
    node: String,
    labels: BTreeMap<String, String>,
    alarm: String,
    display_name: String,
    severity: String,
    description: String,
    details: String,
    suggested_action: String,
    count: u64,
    raised: Timestamp,
    resolved: Option<Timestamp>,
    attempts: u32,
}

impl AlarmNotice {
    pub fn new(kind: NoticeKind, alarm: &StandingAlarm, of: &AlarmType) -> Self {
        Self {
            kind,
            identity: alarm.identity.clone(),
            alarm: alarm.identity.fingerprint().to_string(),
            display_name: of.display_name.clone(),
            severity: alarm.severity,
            description: alarm.description.clone(),
            details: alarm.details.clone(),
            suggested_action: of.suggested_action.clone(),
            count: alarm.count,
            raised_at: alarm.first_raised_at,
            resolved_at: alarm.resolved_at,
            attempts: 0,
        }
    }

    /// Reads the content of a record.
    pub fn read(record: &Record) -> Result<Self, StoreError> {
        let stored: StoredNotice = decode(record)?;
        Ok(Self {
            kind: kind_from(&stored.kind).unwrap_or(NoticeKind::Raised),
            identity: AlarmIdentity {
                alarm_type: stored.alarm_type,
                node: stored.node,
                labels: stored.labels,
            },
            alarm: stored.alarm,
            display_name: stored.display_name,
            severity: severity_from(&stored.severity).unwrap_or(Severity::Critical),
            description: stored.description,
            details: stored.details,
            suggested_action: stored.suggested_action,
            count: stored.count,
            raised_at: stored.raised,
            resolved_at: stored.resolved,
            attempts: stored.attempts,
        })
    }

    /// The content of a record.
    pub fn content(&self) -> String {
        encode(&StoredNotice {
            kind: kind_to(self.kind).to_owned(),
            alarm_type: self.identity.alarm_type.clone(),
            node: self.identity.node.clone(),
            labels: self.identity.labels.clone(),
            alarm: self.alarm.clone(),
            display_name: self.display_name.clone(),
            severity: severity_to(self.severity).to_owned(),
            description: self.description.clone(),
            details: self.details.clone(),
            suggested_action: self.suggested_action.clone(),
            count: self.count,
            raised: self.raised_at,
            resolved: self.resolved_at,
            attempts: self.attempts,
        })
    }

    /// Puts a new notice. `turn` tells those of one alarm apart: it grows with each change of the alarm.
    pub(crate) fn write(&self, turn: Timestamp, now: Timestamp) -> Write {
        let fingerprint = self.identity.fingerprint();
        let id =
            format!("{}/{}/{}", fingerprint.as_str(), turn.as_microsecond(), kind_to(self.kind));
        Write::Put {
            key: RecordKey::new(NOTICE, id),
            expected: Expected::Any,
            owner: Some(fingerprint.as_str().to_owned()),
            due_at: Some(now + WAIT),
            content: self.content(),
        }
    }
}

/// A message that is no alarm's own, as the second route reads it.
#[derive(Serialize)]
struct StoredMessage<'a> {
    id: &'a str,
    kind: &'a str,
    at: Timestamp,
    severity: &'a str,
    summary: &'a str,
    fields: &'a BTreeMap<String, String>,
    made_at: Timestamp,
    tries: u32,
}

/// Puts a message of the role itself. Its id names the record, so that the same one is not told twice.
pub(crate) fn message(message: &RouteMessage, now: Timestamp) -> Write {
    let stored = StoredMessage {
        id: &message.id,
        kind: message.kind.name(),
        at: message.at,
        severity: severity_to(message.severity),
        summary: &message.summary,
        fields: &message.fields,
        made_at: now,
        tries: 0,
    };
    Write::Put {
        key: RecordKey::new(NOTICE, message.id.clone()),
        expected: Expected::Absent,
        owner: None,
        due_at: Some(now),
        content: encode(&stored),
    }
}
