//! Alarms for tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm, Severity};

/// The alarm that a mailbox is closed.
pub(crate) fn alarm(mailbox: &str) -> RaisedAlarm {
    RaisedAlarm {
        identity: identity(mailbox),
        severity: Some(Severity::Critical),
        description: format!("{mailbox} cannot send"),
        details: String::new(),
        raised_at: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn identity(mailbox: &str) -> AlarmIdentity {
    AlarmIdentity {
        alarm_type: "mailbox-closed".to_owned(),
        node: "node".to_owned(),
        labels: BTreeMap::from([("mailbox".to_owned(), mailbox.to_owned())]),
    }
}
