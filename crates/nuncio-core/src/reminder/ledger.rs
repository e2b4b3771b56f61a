//! The place of a reminder in the ledger.

use std::time::Duration;

use jiff::Timestamp;

use super::Channel;
use crate::ports::records::{RecordKey, RecordKind};

/// Rows of the ledger. The owner of each is its subject.
pub const LEDGER: RecordKind = RecordKind("reminder");
/// How long a row is kept after the expiry that it is about: longer than any mail of it can wait.
pub const LEDGER_RETENTION: Duration = Duration::from_hours(90 * 24);

/// What makes two reminders the same. A new expiry makes new places: the old stages are void by themselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LedgerKey {
    /// The resource name of the subject.
    pub subject: String,
    pub expires_at: Timestamp,
    /// How long before the expiry.
    pub before: Duration,
    pub channel: Channel,
}

impl LedgerKey {
    /// The key of its record: the names and numbers, the later expiry last (digits of equal number).
    pub fn record_key(&self) -> RecordKey {
        let Self { subject, expires_at, before, channel } = self;
        let (expiry, before) = (expires_at.as_microsecond(), before.as_secs());
        RecordKey::new(LEDGER, format!("{subject}/{expiry:020}/{before:010}/{}", channel.name()))
    }
}
