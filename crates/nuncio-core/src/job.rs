//! A mail job and its life.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::address::EmailAddress;
use crate::class::MailClass;
use crate::mail::{Mail, RecipientKind};
use crate::reply::SmtpReply;
use crate::trace::TraceParent;
use crate::violation::{Fault, Violations};

/// The longest time to live that a caller may ask for: 7 days.
pub const TIME_TO_LIVE_MAX: Duration = Duration::from_hours(7 * 24);
/// The furthest that `not_before` may lie in the future: 30 days.
pub const NOT_BEFORE_MAX: Duration = Duration::from_hours(30 * 24);
/// The longest request id, in characters.
pub const REQUEST_ID_CHARS_MAX: usize = 128;
/// The most labels of a job.
pub const LABELS_MAX: usize = 16;
/// The longest key of a label, in characters.
pub const LABEL_KEY_CHARS_MAX: usize = 63;
/// The longest value of a label, in characters.
pub const LABEL_VALUE_CHARS_MAX: usize = 256;

/// The code of the reason of a job that a caller holds.
pub const HELD_BY_CALLER: &str = "HELD_BY_CALLER";

const NAME_PREFIX: &str = "mailJobs/";

/// The id of a mail job: a UUID of version 7, so that ids sort by the time of their making.
///
/// Its `Display` is the resource name `mailJobs/{uuid}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailJobId(Uuid);

/// The text is no name of a mail job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a mail job's name; it looks like `mailJobs/0192f0c1-…` with a UUID")]
pub struct NotAMailJobName(pub String);

impl MailJobId {
    /// Makes an id from the present moment and ten random bytes.
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The smallest id that a job of this moment can have, to the millisecond.
    pub fn first_of(moment: Timestamp) -> Self {
        Self::new(moment, [0; 10])
    }

    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for MailJobId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for MailJobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME_PREFIX}{}", self.0)
    }
}

impl FromStr for MailJobId {
    type Err = NotAMailJobName;

    fn from_str(name: &str) -> Result<Self, NotAMailJobName> {
        let uuid = name.strip_prefix(NAME_PREFIX).filter(|uuid| uuid.len() == 36);
        uuid.and_then(|uuid| Uuid::try_parse(uuid).ok())
            .map(Self)
            .ok_or_else(|| NotAMailJobName(name.chars().take(100).collect()))
    }
}

/// Who calls: the scope of request ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallerId(pub String);

/// What a caller gives beside the mail, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct JobOptionsDraft {
    pub request_id: String,
    pub not_before: Option<Timestamp>,
    /// Counted from `not_before`, so that none can lie beyond the other.
    pub time_to_live: Option<Duration>,
    pub labels: BTreeMap<String, String>,
}

/// What a caller gives beside the mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOptions {
    pub request_id: Option<String>,
    pub due_at: Timestamp,
    pub time_to_live: Option<Duration>,
    pub labels: BTreeMap<String, String>,
}

impl JobOptionsDraft {
    /// Makes the options, or tells everything that is wrong. Fields are named as in the API.
    pub fn check(self, now: Timestamp) -> Result<JobOptions, Violations> {
        let mut violations = Violations::default();
        if REQUEST_ID_CHARS_MAX < self.request_id.len()
            || !self.request_id.bytes().all(|b| b.is_ascii_graphic())
        {
            let problem = format!(
                "must be 1 to {REQUEST_ID_CHARS_MAX} visible ASCII characters, such as a UUID"
            );
            violations.add_as(Fault::Malformed, "request_id", problem);
        }
        if self.not_before.is_some_and(|at| now + NOT_BEFORE_MAX < at) {
            let problem = "is more than 30 days ahead";
            violations.add_as(Fault::TooFarAhead, "not_before_time", problem);
        }
        if self.time_to_live.is_some_and(|life| life.is_zero() || TIME_TO_LIVE_MAX < life) {
            let problem = "must be more than 0 and at most 7 days";
            violations.add_as(Fault::OutOfRange, "time_to_live", problem);
        }
        check_labels(&mut violations, &self.labels);
        violations.none_or(|| JobOptions {
            request_id: Some(self.request_id).filter(|id| !id.is_empty()),
            due_at: self.not_before.map_or(now, |at| at.max(now)),
            time_to_live: self.time_to_live,
            labels: self.labels,
        })
    }
}

fn check_labels(violations: &mut Violations, labels: &BTreeMap<String, String>) {
    if LABELS_MAX < labels.len() {
        let problem = format!("{} labels; at most {LABELS_MAX}", labels.len());
        violations.add_as(Fault::TooMany, "labels", problem);
    }
    for (key, value) in labels.iter().take(LABELS_MAX) {
        let shown: String = key.chars().take(LABEL_KEY_CHARS_MAX).collect();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
        if key.is_empty() || LABEL_KEY_CHARS_MAX < key.len() || !key.bytes().all(allowed) {
            let problem = format!(
                "the key must be 1 to {LABEL_KEY_CHARS_MAX} letters, digits, `-`, `_`, `.` or `/`"
            );
            violations.add_as(Fault::Malformed, format!("labels.{shown}"), problem);
        }
        let is_long = LABEL_VALUE_CHARS_MAX < value.chars().count();
        if is_long || value.chars().any(char::is_control) {
            let problem = format!(
                "the value must have at most {LABEL_VALUE_CHARS_MAX} characters and no line break"
            );
            let fault = if is_long { Fault::TooLong } else { Fault::ControlCharacter };
            violations.add_as(fault, format!("labels.{shown}"), problem);
        }
    }
}

/// A job that is to be stored.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: MailJobId,
    pub request: Option<RequestKey>,
    pub class: MailClass,
    pub mail: Mail,
    /// With angle brackets; the same on every attempt (RFC 5322, section 3.6.4).
    pub message_id: String,
    pub created_at: Timestamp,
    pub due_at: Timestamp,
    pub expires_at: Timestamp,
    pub labels: BTreeMap<String, String>,
    pub trace: Option<TraceParent>,
}

/// Makes a submit safe to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    pub caller: CallerId,
    pub request_id: String,
    /// A digest of everything else in the request (SHA-256).
    pub fingerprint: [u8; 32],
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waits for its first attempt.
    Queued,
    /// A node sends it now.
    Sending,
    /// Waits for its next attempt.
    Deferred,
    /// Waits for a condition that a person must change, or for its release by a caller.
    Held,
    /// Final: accepted for at least one recipient.
    Sent,
    /// Final: accepted for no recipient.
    Failed,
    /// Final: its time to live ended first.
    Expired,
    /// Final: cancelled by a caller.
    Cancelled,
    /// Final: the provider may have taken it, and its class forbids to send it twice.
    Unknown,
}

impl JobState {
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Sending,
        Self::Deferred,
        Self::Held,
        Self::Sent,
        Self::Failed,
        Self::Expired,
        Self::Cancelled,
        Self::Unknown,
    ];

    pub fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Sending | Self::Deferred | Self::Held => false,
            Self::Sent | Self::Failed | Self::Expired | Self::Cancelled | Self::Unknown => true,
        }
    }

    /// Whether it waits, so that it may be claimed, cancelled or expired.
    pub fn is_waiting(self) -> bool {
        !self.is_final() && self != Self::Sending
    }

    /// The name in upper case: `QUEUED`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Sending => "SENDING",
            Self::Deferred => "DEFERRED",
            Self::Held => "HELD",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What became of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecipientState {
    Pending,
    Accepted,
    Refused,
    Unknown,
}

/// A recipient and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientResult {
    pub address: EmailAddress,
    pub kind: RecipientKind,
    pub state: RecipientState,
    pub reply: Option<SmtpReply>,
    /// Why it was not accepted; its own reply is left empty, as `reply` has it.
    pub reason: Option<Reason>,
}

/// Why a job is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// A stable name in upper case, for example `MAILBOX_THROTTLED`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it, or empty.
    pub remedy: String,
    /// The provider's reply, where there was one.
    pub reply: Option<SmtpReply>,
}

impl Reason {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        let (message, remedy) = (message.into(), String::new());
        Self { code: code.to_owned(), message, remedy, reply: None }
    }

    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    #[must_use]
    pub fn reply(mut self, reply: SmtpReply) -> Self {
        self.reply = Some(reply);
        self
    }
}

/// A stored job without its mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: MailJobId,
    pub class: MailClass,
    pub state: JobState,
    pub reason: Option<Reason>,
    /// In the order of the mail's recipients.
    pub recipients: Vec<RecipientResult>,
    /// How often the provider judged this mail.
    pub attempts: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When it is tried next; meaningless in a final state. A job that a caller holds is due when its
    /// time to live ends, which is never.
    pub due_at: Timestamp,
    pub expires_at: Timestamp,
    pub message_id: String,
    pub labels: BTreeMap<String, String>,
    pub subject: String,
    pub template: Option<String>,
    /// The generation of the settings that the last attempt used.
    pub settings_generation: Option<i64>,
    pub trace: Option<TraceParent>,
}

impl Job {
    /// The job as it stands right after its submit.
    pub fn submitted(new: &NewJob) -> Self {
        let recipients = new.mail.recipients.iter().map(|one| RecipientResult {
            address: one.mailbox.address.clone(),
            kind: one.kind,
            state: RecipientState::Pending,
            reply: None,
            reason: None,
        });
        Self {
            id: new.id,
            class: new.class,
            state: JobState::Queued,
            reason: None,
            recipients: recipients.collect(),
            attempts: 0,
            created_at: new.created_at,
            updated_at: new.created_at,
            due_at: new.due_at,
            expires_at: new.expires_at,
            message_id: new.message_id.clone(),
            labels: new.labels.clone(),
            subject: new.mail.subject.clone(),
            template: new.mail.template.clone(),
            settings_generation: None,
            trace: new.trace.clone(),
        }
    }

    /// Whether a caller holds it, not the trouble of its channel.
    pub fn is_held_by_caller(&self) -> bool {
        let code = self.reason.as_ref().map(|reason| reason.code.as_str());
        self.state == JobState::Held && code == Some(HELD_BY_CALLER)
    }

    /// The places of the recipients that have no answer yet.
    pub fn pending(&self) -> Vec<usize> {
        let places = self.recipients.iter().enumerate();
        places.filter(|(_, one)| one.state == RecipientState::Pending).map(|(at, _)| at).collect()
    }
}

/// A record of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    /// `SENT`, or the code of a [`Reason`].
    pub outcome: String,
    /// The provider's reply, or what happened.
    pub detail: String,
    /// Whether the provider judged the mail.
    pub counted: bool,
    /// What it used of a mailbox's budget; none if it certainly did not reach the provider.
    pub used: Option<BudgetUse>,
}

/// What an attempt used of a mailbox's budget: one message, and these recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetUse {
    /// None if its node died: then nobody knows which mailbox it was.
    pub mailbox: Option<EmailAddress>,
    /// How many recipients the provider was offered.
    pub recipients: u32,
}

#[cfg(test)]
mod tests;
