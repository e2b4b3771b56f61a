//! The records of the second route: notices, messages that wait, and what became of tries.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::alarm::Severity;
use nuncio_core::alarm::route::{MessageKind, RouteMessage};
use nuncio_core::ports::records::Record;
use serde::{Deserialize, Serialize};

/// What the MnT writes in the transaction of an alarm about the way of mail.
#[derive(Debug, Deserialize)]
struct Notice {
    /// `raised` or `resolved`
    kind: String,
    #[serde(rename = "type")]
    alarm_type: String,
    node: String,
    labels: BTreeMap<String, String>,
    /// Its fingerprint.
    alarm: String,
    display_name: String,
    severity: String,
    description: String,
    details: String,
    suggested_action: String,
    count: u64,
    raised: Timestamp,
    resolved: Option<Timestamp>,
}

/// What is written as a notice: an alarm that turned, or a message that the MnT made itself.
#[derive(Deserialize)]
#[serde(untagged)]
enum Noticed {
    Alarm(Box<Notice>),
    Message(Waiting),
}

/// A message that waits for one route.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Waiting {
    id: String,
    kind: String,
    at: Timestamp,
    severity: String,
    summary: String,
    fields: BTreeMap<String, String>,
    pub(super) made_at: Timestamp,
    /// How often it was tried in vain.
    pub(super) tries: u32,
}

/// What became of the last tries of a route, the newest first.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Log {
    pub(super) attempts: Vec<Attempt>,
}

/// A try.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Attempt {
    pub at: Timestamp,
    pub message_id: String,
    /// The name of the [`MessageKind`].
    pub kind: String,
    /// None means that it was delivered.
    pub failure: Option<String>,
    pub message: String,
    pub latency: Duration,
    pub given_up: bool,
}

/// The message of a notice; its id is that of the record, so that a repetition has the same.
pub(super) fn message(record: &Record) -> Result<RouteMessage, serde_json::Error> {
    let notice = match serde_json::from_str(&record.content)? {
        Noticed::Alarm(notice) => *notice,
        Noticed::Message(made) => return Ok(made.message()),
    };
    let (kind, at) = match notice.resolved.filter(|_| notice.kind == "resolved") {
        Some(at) => (MessageKind::AlarmResolved, at),
        None => (MessageKind::AlarmRaised, notice.raised),
    };
    let verb = if kind == MessageKind::AlarmResolved { "is over" } else { &notice.description };
    let mut fields: BTreeMap<_, _> =
        notice.labels.into_iter().map(|(name, value)| (format!("label_{name}"), value)).collect();
    fields.extend(
        [
            ("alarm", notice.alarm),
            ("type", notice.alarm_type),
            ("node", notice.node),
            ("description", notice.description.clone()),
            ("details", notice.details),
            ("suggested_action", notice.suggested_action),
            ("count", notice.count.to_string()),
            ("raised_at", notice.raised.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    Ok(RouteMessage {
        id: record.key.id.clone(),
        kind,
        at,
        severity: severity(&notice.severity),
        summary: format!("{}: {verb}", notice.display_name),
        fields,
    })
}

impl Waiting {
    pub(super) fn new(message: &RouteMessage, made_at: Timestamp) -> Self {
        let RouteMessage { id, kind, at, severity, summary, fields } = message.clone();
        Self {
            id,
            kind: kind.name().to_owned(),
            at,
            severity: severity_name(severity).to_owned(),
            summary,
            fields,
            made_at,
            tries: 0,
        }
    }

    pub(super) fn message(&self) -> RouteMessage {
        let kind = MessageKind::ALL.into_iter().find(|kind| kind.name() == self.kind);
        RouteMessage {
            id: self.id.clone(),
            kind: kind.unwrap_or(MessageKind::AlarmRaised),
            at: self.at,
            severity: severity(&self.severity),
            summary: self.summary.clone(),
            fields: self.fields.clone(),
        }
    }
}

pub(super) fn write(content: &impl Serialize) -> String {
    serde_json::to_string(content).expect("records hold only what JSON can tell")
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// What this version does not know is better told too loud.
fn severity(name: &str) -> Severity {
    match name {
        "info" => Severity::Info,
        "warning" => Severity::Warning,
        _ => Severity::Critical,
    }
}
