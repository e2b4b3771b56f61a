//! The records of the role: their kinds, and their content as JSON.

use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Record, RecordKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) mod alarm;
pub(crate) mod group;
pub(crate) mod mail;
pub(crate) mod outage;
pub(crate) mod recipient;
pub(crate) mod request;
pub(crate) mod silence;

/// Alarms, by fingerprint; the owner is the group in whose mails they are.
pub(crate) const ALARM: RecordKind = RecordKind("alarm");
/// Groups, by key; the owner is the type. Due when somebody must look at them.
pub(crate) const GROUP: RecordKind = RecordKind("alarm-group");
/// Recipients with their limits and digests, by address.
pub(crate) const RECIPIENT: RecordKind = RecordKind("alarm-recipient");
/// Mails about alarms whose end is not known, by the id of their job. Due when they are to be looked at; late ones
/// have [`LATE`] as owner, and are looked at when the outage is.
pub(crate) const ALARM_MAIL: RecordKind = RecordKind("alarm-mail");
pub(crate) const LATE: &str = "late";
/// The time in which mails about alarms do not go out: at most one. Due when late mails are to be looked at.
pub(crate) const MAIL_OUTAGE: RecordKind = RecordKind("alarm-mail-outage");
/// Silences, by UUID. Due when they may be forgotten.
pub(crate) const SILENCE: RecordKind = RecordKind("silence");
/// Request ids that were taken. Due when they may be forgotten.
pub(crate) const REQUEST: RecordKind = RecordKind("alarm-request");

/// A record's content is none that this version can read.
#[derive(Debug, thiserror::Error)]
#[error("record `{id}` of kind `{kind}` cannot be read")]
struct Unreadable {
    kind: &'static str,
    id: String,
    source: serde_json::Error,
}

pub(crate) fn decode<T: DeserializeOwned>(record: &Record) -> Result<T, StoreError> {
    serde_json::from_str(&record.content).map_err(|source| {
        let (kind, id) = (record.key.kind.0, record.key.id.clone());
        StoreError::Unusable(Box::new(Unreadable { kind, id, source }))
    })
}

pub(crate) fn encode(content: &impl Serialize) -> String {
    serde_json::to_string(content).expect("records hold only what JSON can tell")
}

/// Names of enumerations in records, both ways; what is not known is read as the last one.
macro_rules! names {
    ($to:ident, $from:ident, $type:ty: $($value:path = $name:literal),+ $(,)?) => {
        pub(crate) fn $to(value: $type) -> &'static str {
            match value { $($value => $name,)+ }
        }

        pub(crate) fn $from(name: &str) -> Option<$type> {
            match name { $($name => Some($value),)+ _ => None }
        }
    };
}
pub(crate) use names;
