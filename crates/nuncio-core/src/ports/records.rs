//! The store of what roles know beside mail jobs: guests, users, reminders, alarms, approval requests.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::job::{MailJobId, NewJob};
use crate::ports::job_store::{StoreError, Submitted};

/// The longest id of a record and the longest name of an owner, in bytes.
pub const RECORD_ID_BYTES_MAX: usize = 512;
/// The longest content of a record, in bytes: 256 KiB.
pub const RECORD_CONTENT_BYTES_MAX: usize = 256 * 1024;
/// The most writes, jobs and cancellations of one changeset, each.
pub const CHANGES_MAX: usize = 1000;

/// Keeps records, and writes them in one transaction with the mail jobs that they make or void.
///
/// A record has a kind, an id, an owner to list it by and a moment when somebody has to look at it; the
/// rest is the business of its role. Every implementation passes the same `conformance` suite. When
/// [`commit`](Self::commit) returns Ok, all of the changeset is durable; otherwise nothing of it was done,
/// but for a connection that broke at the commit. Times are kept to the microsecond.
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// The records with these keys, each in its place.
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, StoreError>;

    /// Records of a kind in the order of their ids (byte by byte).
    async fn list_records(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError>;

    /// Up to `limit` records of a kind that are due at `until` or before, the earliest first, then by id;
    /// only those behind `after`. The cost follows the due records, however many others there are.
    async fn due_records(
        &self,
        kind: RecordKind,
        until: Timestamp,
        after: Option<&DuePlace>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError>;

    /// The earliest due time of a record of this kind, the past included.
    async fn next_due_record(&self, kind: RecordKind) -> Result<Option<Timestamp>, StoreError>;

    /// How many records of this kind there are. The cost may grow with the number.
    async fn count_records(&self, kind: RecordKind) -> Result<u64, StoreError>;

    /// Does all of the changeset or nothing.
    async fn commit(&self, changes: Changeset) -> Result<Committed, CommitError>;

    /// Marked changed after each changeset of this process that is not quiet, and soon after those of other nodes with
    /// the same store. A wake-up can be lost, so whoever waits looks by himself too.
    fn records_changed(&self) -> watch::Receiver<()>;
}

/// A kind of records, for example `guest`. Each is defined where its records are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKind(pub &'static str);

/// Names a record: no two of one kind have the same id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    pub kind: RecordKind,
    /// 1 to [`RECORD_ID_BYTES_MAX`] bytes.
    pub id: String,
}

impl RecordKey {
    pub fn new(kind: RecordKind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into() }
    }
}

/// A record as it is stored. The content may be personal, so it does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub key: RecordKey,
    /// 1 when it is made; grows with each write.
    pub version: i64,
    pub owner: Option<String>,
    pub due_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    /// JSON in the shape of its kind.
    pub content: String,
}

/// Which records to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordQuery {
    pub kind: RecordKind,
    /// Only those of this owner.
    pub owner: Option<String>,
    /// Only those with a greater id: the last one of the page before.
    pub after: Option<String>,
    pub limit: u32,
}

/// A place in the order of due records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePlace {
    pub due_at: Timestamp,
    pub id: String,
}

/// What to change in one transaction.
///
/// No key may stand in more than one write. The checks of all writes come first: if one fails, nothing is done.
#[derive(Clone, Debug)]
pub struct Changeset {
    pub writes: Vec<Write>,
    /// Stored as by [`submit`](crate::ports::job_store::JobStore::submit).
    pub jobs: Vec<NewJob>,
    /// Ended as `CANCELLED` if they still wait; others are left as they are.
    pub cancel: Vec<MailJobId>,
    pub now: Timestamp,
    /// Nobody is [woken](RecordStore::records_changed): so what a node writes every few seconds keeps no role at work.
    pub is_quiet: bool,
}

impl Changeset {
    pub fn new(now: Timestamp) -> Self {
        Self { writes: Vec::new(), jobs: Vec::new(), cancel: Vec::new(), now, is_quiet: false }
    }
}

/// One write, or only a check.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    Put {
        key: RecordKey,
        expected: Expected,
        owner: Option<String>,
        due_at: Option<Timestamp>,
        content: String,
    },
    /// Removes the record; one that is not there is no error where `expected` allows it.
    Delete { key: RecordKey, expected: Expected },
    /// Only checks, for example that whoever writes still leads.
    Require { key: RecordKey, expected: Expected },
}

impl Write {
    pub fn key(&self) -> &RecordKey {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } | Self::Require { key, .. } => key,
        }
    }

    pub fn expected(&self) -> Expected {
        match self {
            Self::Put { expected, .. }
            | Self::Delete { expected, .. }
            | Self::Require { expected, .. } => *expected,
        }
    }
}

/// How a record must stand for a write to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Any,
    Absent,
    Version(i64),
}

impl Expected {
    /// Whether a record that has this version, or is not there, is as expected.
    pub fn fits(self, present: Option<i64>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => present.is_none(),
            Self::Version(version) => present == Some(version),
        }
    }
}

/// What a changeset came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// In the order of the jobs.
    pub jobs: Vec<Submitted>,
    /// Those that were cancelled now.
    pub cancelled: Vec<MailJobId>,
}

/// Why nothing of a changeset was done.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else has written meanwhile: read again and decide again.
    #[error("{} `{}` is not as expected", key.kind.0, key.id)]
    Conflict { key: RecordKey, present: Option<i64> },
    #[error("request id was used for other content, by job `{existing}`")]
    RequestIdReused { existing: MailJobId },
    #[error("the changes were not stored")]
    Store(#[from] StoreError),
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("key", &self.key)
            .field("version", &self.version)
            .field("owner", &self.owner)
            .field("due_at", &self.due_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Put { .. } => "Put",
            Self::Delete { .. } => "Delete",
            Self::Require { .. } => "Require",
        };
        f.debug_struct(name)
            .field("key", self.key())
            .field("expected", &self.expected())
            .finish_non_exhaustive()
    }
}
