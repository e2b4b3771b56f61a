//! The store of mail jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::address::EmailAddress;
use crate::class::MailClass;
use crate::job::{Attempt, Job, JobState, MailJobId, NewJob};
use crate::mail::Mail;
use crate::retry::Decision;

/// Keeps mail jobs from their submit until long after their end.
///
/// Every implementation passes the same `conformance` suite; what is promised here is tested there.
/// When a method returns Ok for a write, the write is durable. The store asks no clock: `now` is an
/// argument. What it decides by itself (rescue, expiry) it decides with the functions of
/// [`retry`](crate::retry). Times are kept to the microsecond. The mail itself is kept until its job
/// ends: it may hold a guest's password. That of an `UNKNOWN` job is kept until the job's time to live
/// is over, so that a caller can have it sent again.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Stores a job. A second submit with the same request key changes nothing and gives the first
    /// job, as it stands now; the key is claimed in the job's own transaction. An id that another job has
    /// makes the store [`Unusable`](StoreError::Unusable) for this one submit.
    async fn submit(&self, job: NewJob) -> Result<Submitted, SubmitError>;

    async fn get(&self, id: MailJobId) -> Result<Option<Job>, StoreError>;

    /// The last `limit` attempts of a job, oldest first.
    async fn attempts(&self, id: MailJobId, limit: u32) -> Result<Vec<Attempt>, StoreError>;

    /// What the attempts of the last [`USAGE_PERIOD`] used of the mailboxes' budgets, oldest first: those
    /// of the last [`USAGE_EXACT`] with the moments when they ended, older ones in sums of [`USAGE_STEP`]
    /// that are told with the end of the step. A node that starts learns from it what all nodes have used. What
    /// ended more than [`USAGE_EXACT`] after `now` is not told: who asks late has counted it. What others than `asker` have
    /// under way counts for any mailbox, as if it ended now: one of them may have sent for it until a moment ago.
    async fn usage(
        &self,
        now: Timestamp,
        asker: &Incarnation,
    ) -> Result<Vec<MailboxUsage>, StoreError>;

    /// Jobs, newest first.
    async fn list(&self, query: &JobQuery) -> Result<JobPage, StoreError>;

    /// Leases up to `limit` waiting jobs that are due and not expired: by class, then by due time; of
    /// patient classes not more than `patient_max`, and none of `except`.
    /// They become `SENDING`; their due time, reason and attempts stay as they were. With
    /// [`into_body`](Claim::into_body), [`enter_body`](Self::enter_body) is done for each of them too.
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError>;

    /// Keeps a lease alive until `until`.
    async fn extend(&self, lease: &Lease, until: Timestamp) -> Result<(), LeaseError>;

    /// Notes that the body of the mail goes out now. From here on a lost node means an unknown outcome.
    ///
    /// It is the last check of the lease before the point of no return.
    async fn enter_body(&self, lease: &Lease) -> Result<(), LeaseError>;

    /// Records what became of a leased job, adds the attempt, if there was one, and ends the lease.
    async fn settle(&self, lease: Lease, settlement: Settlement) -> Result<Job, LeaseError>;

    /// Cancels a waiting job: whoever has accepted it has it, nobody else gets it.
    async fn cancel(&self, id: MailJobId, now: Timestamp) -> Result<Job, CancelError>;

    /// Does with one job what a caller asks for, and gives the job as it stands then. It is a change, but
    /// where the job stands already as it shall.
    async fn direct(
        &self,
        id: MailJobId,
        direction: Direction,
        now: Timestamp,
    ) -> Result<Job, DirectError>;

    /// Ends up to `limit` waiting jobs whose time to live is over as `EXPIRED`, or as `SENT` if some
    /// recipient has already accepted. Returns them. Removes the mails of up to `limit` `UNKNOWN` jobs
    /// whose time to live is over.
    async fn expire(&self, now: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError>;

    /// Takes back jobs whose holder is dead, as [`decide_rescue`](crate::retry::decide_rescue) says, and
    /// adds the attempt that was cut short to their record. All rescues of a job count, not only those in
    /// a row. Returns them as they stand then.
    async fn rescue(&self, dead: Dead, now: Timestamp) -> Result<Vec<Job>, StoreError>;

    /// Makes every held job due that is not due yet, but for those that a caller holds. Returns how many.
    /// It is no change of their state.
    async fn release_held(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// The earliest due time of a waiting job, the past included.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// The changes behind `after`, oldest first, at most `limit`; of one job only if `id` is given.
    /// Every state that a job went through is there once.
    async fn changes(
        &self,
        after: ChangeSeq,
        id: Option<MailJobId>,
        limit: u32,
    ) -> Result<Vec<Change>, StoreError>;

    /// The last change that was stored.
    async fn last_change(&self) -> Result<ChangeSeq, StoreError>;

    /// Wakes whoever waits for changes or for due jobs: it is marked changed after each durable change.
    fn changed(&self) -> watch::Receiver<()>;

    async fn backlog(&self) -> Result<Backlog, StoreError>;

    /// Removes up to `limit` ended jobs, with all that belongs to them, that last changed before
    /// `before`. Their request ids may then be used again. Returns how many.
    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError>;
}

/// What a submit came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// The job is stored now.
    New(Job),
    /// The same request was stored before.
    Existing(Job),
}

/// Which jobs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Only jobs older than this one.
    pub before: Option<MailJobId>,
    /// Only this job and newer ones. With [`MailJobId::first_of`], a list of some time costs no more
    /// than the jobs of that time.
    pub from: Option<MailJobId>,
    pub limit: u32,
    /// The most jobs to look at, whether they fit or not; none means all of them.
    pub examine_max: Option<u32>,
    /// Empty means all.
    pub states: Vec<JobState>,
    /// Empty means all.
    pub classes: Vec<MailClass>,
    /// Only jobs with this recipient, written exactly so.
    pub recipient: Option<EmailAddress>,
    /// Only jobs that have all of these labels.
    pub labels: BTreeMap<String, String>,
}

impl JobQuery {
    /// Whether it asks for more than a place and a time.
    pub fn has_filter(&self) -> bool {
        !(self.states.is_empty()
            && self.classes.is_empty()
            && self.recipient.is_none()
            && self.labels.is_empty())
    }

    /// Whether a job fits the query.
    pub fn fits(&self, job: &Job) -> bool {
        self.before.is_none_or(|before| job.id < before)
            && self.from.is_none_or(|from| from <= job.id)
            && (self.states.is_empty() || self.states.contains(&job.state))
            && (self.classes.is_empty() || self.classes.contains(&job.class))
            && self.recipient.as_ref().is_none_or(|wanted| {
                job.recipients.iter().any(|recipient| recipient.address == *wanted)
            })
            && self.labels.iter().all(|(key, value)| job.labels.get(key) == Some(value))
    }
}

/// Some of the jobs that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobPage {
    /// May be fewer than the limit, or none at all, although there are more.
    pub jobs: Vec<Job>,
    /// The [`before`](JobQuery::before) of the next page; none if there is no more to look at.
    pub next: Option<MailJobId>,
}

/// What a caller wants of a stored job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Let a waiting job wait until it is released, `HELD` with the reason `HELD_BY_CALLER`. It is neither
    /// claimed nor released with the others, but it expires.
    Hold,
    /// Make a job due that a caller holds, in the state where it would be if nobody had held it.
    Release,
    /// Make a deferred or held job due, by whomever it is held. With `allow_duplicate`, also an `UNKNOWN`
    /// one that still has its mail: what became of it is unknown for some recipients, and they may get it
    /// twice. Its Message-ID stays.
    Retry { allow_duplicate: bool },
}

/// Which jobs to lease, to whom and for how long.
#[derive(Clone, Debug)]
pub struct Claim {
    pub holder: Incarnation,
    pub now: Timestamp,
    pub until: Timestamp,
    pub limit: u32,
    /// Of these, at most so many of [patient](MailClass::is_patient) classes.
    pub patient_max: u32,
    /// The body of each claimed mail goes out at once.
    pub into_body: bool,
    /// Jobs that are left to others; at most some dozens.
    pub except: Vec<MailJobId>,
}

impl Claim {
    /// How many jobs of `class` it takes, when it has taken those of all classes that are more urgent.
    pub fn left_for(&self, class: MailClass, taken: u32, taken_patient: u32) -> u32 {
        let left = self.limit.saturating_sub(taken);
        if class.is_patient() {
            left.min(self.patient_max.saturating_sub(taken_patient))
        } else {
            left
        }
    }
}

/// One life of a node: a restart makes a new one. A UUID in its usual form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub String);

/// A job that is leased to the caller, with its mail.
#[derive(Debug)]
pub struct Claimed {
    pub lease: Lease,
    pub job: Job,
    pub mail: Mail,
}

/// The right to settle one job once. Not `Clone`: settling consumes it.
#[derive(Debug)]
pub struct Lease {
    pub job: MailJobId,
    /// Grows with every claim, so that the holder of an older lease is found out.
    pub fence: i64,
}

/// What became of a leased job.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub decision: Decision,
    /// None if it was given back before anything was tried.
    pub attempt: Option<Attempt>,
    /// The generation of the settings that were used.
    pub settings_generation: Option<i64>,
    pub now: Timestamp,
}

/// Whose leases are to be taken back.
#[derive(Clone, Debug)]
pub enum Dead {
    /// Leases that ran out.
    LeaseEnded,
    /// Leases of everybody but this holder, who knows that it is alone with the store.
    AllBut(Incarnation),
}

/// How far back providers count: their longest period is a day.
pub const USAGE_PERIOD: Duration = Duration::from_hours(24);
/// The shortest period of a provider, within which each message matters.
pub const USAGE_EXACT: Duration = Duration::from_mins(1);
/// How exactly older messages are told: then there are at most 288 sums for a mailbox.
pub const USAGE_STEP: Duration = Duration::from_mins(5);

/// What attempts that ended at one time used of a mailbox's budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxUsage {
    /// None if their nodes died, or have not told yet: then it may have been any mailbox.
    pub mailbox: Option<EmailAddress>,
    /// Never before the attempts ended.
    pub ended_at: Timestamp,
    pub messages: u32,
    pub recipients: u32,
}

/// The place of a change in the order of all changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeSeq(pub i64);

/// A job as it stood after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub seq: ChangeSeq,
    pub job: Job,
}

/// The numbers of waiting jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    pub queued: u64,
    pub sending: u64,
    pub deferred: u64,
    pub held: u64,
    /// Since when the one that is due longest could have been sent, or from when the first one can be, among the queued
    /// and deferred jobs of classes that somebody waits for; nothing where there are none.
    pub urgent_due_at: Option<Timestamp>,
    /// The same among those of patient classes.
    pub patient_due_at: Option<Timestamp>,
}

/// Why the store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing more can be stored until room is made.
    #[error("the job store is full")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the job store could not be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a job was not stored.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error("request id was used for other content, by job `{existing}`")]
    RequestIdReused { existing: MailJobId },
    #[error("the job was not stored")]
    Store(#[from] StoreError),
}

impl SubmitError {
    /// What was wrong with the store, if that was it.
    pub fn store(&self) -> Option<&StoreError> {
        match self {
            Self::RequestIdReused { .. } => None,
            Self::Store(error) => Some(error),
        }
    }
}

/// Why a leased job was not changed.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else has the job now, or it has ended.
    #[error("the lease of job `{0}` is lost")]
    Lost(MailJobId),
    #[error("the lease could not be used")]
    Store(#[from] StoreError),
}

/// Why a job was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    #[error("job `{0}` does not exist")]
    NotFound(MailJobId),
    #[error("job `{id}` cannot be cancelled while it is {}", state.name())]
    NotWaiting { id: MailJobId, state: JobState },
    #[error("the job was not cancelled")]
    Store(#[from] StoreError),
}

/// Why a job was not done with as a caller wanted.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    #[error("job `{0}` does not exist")]
    NotFound(MailJobId),
    #[error("job `{id}` cannot be held while it is {}", state.name())]
    NotHoldable { id: MailJobId, state: JobState },
    #[error("job `{id}` is {}, but not held by a caller", state.name())]
    NotHeld { id: MailJobId, state: JobState },
    #[error("job `{id}` cannot be tried again while it is {}", state.name())]
    NotRetryable { id: MailJobId, state: JobState },
    /// It is `UNKNOWN`, but its time to live is over, or its mail is gone.
    #[error("job `{0}` cannot be tried again any more: its time to live is over")]
    TooLate(MailJobId),
    #[error("job `{0}` may have arrived already")]
    MayBeDuplicate(MailJobId),
    #[error("the job was not changed")]
    Store(#[from] StoreError),
}
