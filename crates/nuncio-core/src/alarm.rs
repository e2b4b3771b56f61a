//! An alarm: what is raised, and what makes two of them the same.
//!
//! Its types are in `kind` and `catalogue`, how it is told in `settings`. `draft` checks what callers give;
//! `arrival` takes an event to where it stands (`standing`) and to its `group`, whose mails are decided in a
//! `round`: `mute` keeps alarms back, `recipient` limits mails and counts the rest. `late` says what the second route
//! (`route`) tells when mails do not go out.

use std::collections::BTreeMap;

use jiff::Timestamp;

pub mod catalogue;
pub mod kind;
pub mod route;
pub mod settings;

pub mod draft;
pub mod identity;

pub mod arrival;
pub mod group;
pub mod mute;
pub mod silence;
pub mod standing;
pub mod window;

pub mod recipient;
pub mod round;

pub mod late;

/// An alarm as it is raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaisedAlarm {
    pub identity: AlarmIdentity,
    /// None means the severity of its type.
    pub severity: Option<Severity>,
    /// What happened, for a person.
    pub description: String,
    /// More about it, for a person; may be empty.
    pub details: String,
    pub raised_at: Timestamp,
}

/// What makes two alarms the same: type, node and labels. Its digest is the fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlarmIdentity {
    /// The id of its type, for example `smtp-oauth-client-secret-has-expired`.
    pub alarm_type: String,
    /// The node that it is about.
    pub node: String,
    /// What else it is about, for example the mailbox.
    pub labels: BTreeMap<String, String>,
}

/// How bad an alarm is (ISE's severities).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}
