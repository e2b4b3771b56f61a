//! The rows of the ledger as they are stored.

use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::records::{Expected, Record, Write};
use nuncio_core::reminder::Channel;
use nuncio_core::reminder::ledger::{LEDGER_RETENTION, LedgerKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A row: what became of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    pub key: LedgerKey,
    pub outcome: LedgerOutcome,
    /// When the stage had come.
    pub since: Timestamp,
    pub decided_at: Timestamp,
}

/// What became of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerOutcome {
    /// A mail was made; what became of it, its job tells.
    Mailed(MailJobId),
    /// A more urgent stage was due too.
    Superseded,
}

/// The row cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("row `{id}` of the ledger of reminders cannot be read")]
pub struct BrokenRow {
    pub id: String,
}

impl LedgerRow {
    /// The row is looked at again when it may be removed.
    pub fn write(&self, expected: Expected) -> Write {
        let Self { key, outcome, since, decided_at } = self;
        let job = match outcome {
            LedgerOutcome::Mailed(job) => Some(job.as_uuid()),
            LedgerOutcome::Superseded => None,
        };
        let row = RowV1 {
            version: VERSION,
            expires_at: key.expires_at,
            before_s: key.before.as_secs(),
            channel: match key.channel {
                Channel::Subject => ChannelV1::Subject,
                Channel::Sponsor => ChannelV1::Sponsor,
            },
            job,
            since: *since,
            decided_at: *decided_at,
        };
        Write::Put {
            key: key.record_key(),
            expected,
            owner: Some(key.subject.clone()),
            due_at: key.expires_at.checked_add(LEDGER_RETENTION).ok(),
            content: serde_json::to_string(&row).expect("texts and numbers always become JSON"),
        }
    }

    pub fn read(record: &Record) -> Result<Self, BrokenRow> {
        let broken = || BrokenRow { id: record.key.id.clone() };
        let row: RowV1 = serde_json::from_str(&record.content).map_err(|_| broken())?;
        if row.version != VERSION {
            return Err(broken());
        }
        Ok(Self {
            key: LedgerKey {
                subject: record.owner.clone().ok_or_else(broken)?,
                expires_at: row.expires_at,
                before: Duration::from_secs(row.before_s),
                channel: match row.channel {
                    ChannelV1::Subject => Channel::Subject,
                    ChannelV1::Sponsor => Channel::Sponsor,
                },
            },
            outcome: row.job.map_or(LedgerOutcome::Superseded, |job| {
                LedgerOutcome::Mailed(MailJobId::from(job))
            }),
            since: row.since,
            decided_at: row.decided_at,
        })
    }
}

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct RowV1 {
    version: u32,
    expires_at: Timestamp,
    before_s: u64,
    channel: ChannelV1,
    /// None means that the stage was superseded.
    job: Option<Uuid>,
    since: Timestamp,
    decided_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChannelV1 {
    Subject,
    Sponsor,
}
