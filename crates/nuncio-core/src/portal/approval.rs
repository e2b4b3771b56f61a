//! A request to approve a guest: who is asked, until when, and what came of it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::address::EmailAddress;
use crate::directory::guest::{Guest, GuestId, GuestState};
use crate::job::MailJobId;
use crate::portal::plan::NoticeOptions;

/// How long a request may be decided, where nothing is said (ISE: `approveDenyLinksValidFor`, 1 day).
pub const APPROVAL_LIFE: std::time::Duration = std::time::Duration::from_hours(24);
/// The shortest and the longest life of a request.
pub const APPROVAL_LIFE_MIN: std::time::Duration = std::time::Duration::from_mins(1);
pub const APPROVAL_LIFE_MAX: std::time::Duration = std::time::Duration::from_hours(30 * 24);
/// The most addresses that are asked.
pub const APPROVERS_MAX: usize = 20;
/// The longest reason for a decision, in characters.
pub const DECISION_REASON_CHARS_MAX: usize = 500;

/// The id of a request for approval: 128 random bits. Its `Display` is the resource name `approvals/{id}`, with the
/// bits in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApprovalId([u8; 16]);

/// A request for approval. Every value of this type is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    pub id: ApprovalId,
    pub guest: GuestId,
    pub state: ApprovalState,
    /// At least one.
    pub approvers: Vec<EmailAddress>,
    pub created_at: Timestamp,
    /// The first moment when it cannot be decided any more.
    pub expires_at: Timestamp,
    /// When the request was last sent, and how often.
    pub sent_at: Timestamp,
    pub sent_count: u32,
    /// The mails that ask, of the last time that they were sent; in the order of the approvers.
    pub request_jobs: Vec<MailJobId>,
    /// Credentials that wait for the approval.
    pub credentials: Option<WaitingCredentials>,
    /// The mails that tell the guest of the result.
    pub result_jobs: Vec<MailJobId>,
    pub decision: Option<Decision>,
    /// The language of the mails to the approvers, and the portal whose texts they have; empty means the default.
    pub locale: String,
    pub portal: String,
}

/// Credentials that become mails when the request is approved, so that these tell how the guest stands then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingCredentials {
    /// The password, sealed for this request.
    pub sealed_password: Vec<u8>,
    pub options: NoticeOptions,
    pub labels: BTreeMap<String, String>,
}

/// Who has decided where the guest was approved or denied in the directory itself.
pub const BY_DIRECTORY: &str = "directory";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApprovalState {
    Pending,
    Approved,
    Denied,
    /// Nobody decided in time.
    Expired,
    Cancelled,
}

/// What somebody decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    pub decided_at: Timestamp,
    /// Who decided, as far as it is known: the approver whose link was used, or what the caller says.
    pub decided_by: String,
    /// Told to a guest who is denied; may be empty.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Approve,
    Deny,
}

/// Why a request cannot be decided, sent again or cancelled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("approval `{id}` is {}", state.name())]
pub struct NotPending {
    pub id: ApprovalId,
    pub state: ApprovalState,
}

/// The text is no name of an approval.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an approval's name; it looks like `approvals/` with 32 hexadecimal digits")]
pub struct NotAnApprovalName;

const NAME_PREFIX: &str = "approvals/";

impl ApprovalId {
    pub fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// The bits in hexadecimal.
    pub fn hex(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// Reads `approvals/{id}`.
    pub fn from_name(name: &str) -> Result<Self, NotAnApprovalName> {
        name.strip_prefix(NAME_PREFIX).map_or(Err(NotAnApprovalName), Self::from_hex)
    }

    pub fn from_hex(hex: &str) -> Result<Self, NotAnApprovalName> {
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() != 32 || !hex.bytes().all(lower) {
            return Err(NotAnApprovalName);
        }
        let bits = u128::from_str_radix(hex, 16).map_err(|_| NotAnApprovalName)?;
        Ok(Self(bits.to_be_bytes()))
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME_PREFIX}{}", self.hex())
    }
}

impl ApprovalState {
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Approved, Self::Denied, Self::Expired, Self::Cancelled];

    /// The name in upper case: `PENDING`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::Denied => "DENIED",
            Self::Expired => "EXPIRED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

impl Verdict {
    pub const ALL: [Self; 2] = [Self::Approve, Self::Deny];

    /// The state of a request that was decided so.
    pub fn state(self) -> ApprovalState {
        match self {
            Self::Approve => ApprovalState::Approved,
            Self::Deny => ApprovalState::Denied,
        }
    }
}

impl Approval {
    /// Whether it may still be decided: once, and in time.
    pub fn check_pending(&self, now: Timestamp) -> Result<(), NotPending> {
        match self.state_at(now) {
            ApprovalState::Pending => Ok(()),
            state @ (ApprovalState::Approved
            | ApprovalState::Denied
            | ApprovalState::Expired
            | ApprovalState::Cancelled) => Err(NotPending { id: self.id, state }),
        }
    }

    /// Its state for whoever looks at it now: it is over in time, whether that was noted yet or not.
    pub fn state_at(&self, now: Timestamp) -> ApprovalState {
        let is_over = self.state == ApprovalState::Pending && self.expires_at <= now;
        if is_over { ApprovalState::Expired } else { self.state }
    }

    /// The request after a decision. Credentials of who is denied are forgotten.
    pub fn decided(&self, decision: Decision) -> Result<Self, NotPending> {
        self.check_pending(decision.decided_at)?;
        let state = decision.verdict.state();
        let credentials = match decision.verdict {
            Verdict::Approve => self.credentials.clone(),
            Verdict::Deny => None,
        };
        Ok(Self { state, credentials, decision: Some(decision), ..self.clone() })
    }

    /// The request after its guest was changed past it, if that has settled it: none is left of a guest who was
    /// removed.
    pub fn settled_by(&self, guest: Option<&Guest>, now: Timestamp) -> Option<Self> {
        let state = guest.map(|guest| guest.state);
        let verdict = match state {
            Some(GuestState::PendingApproval) => return None,
            Some(GuestState::Created | GuestState::Active) => Verdict::Approve,
            Some(GuestState::Denied) => Verdict::Deny,
            Some(GuestState::Suspended | GuestState::Expired) | None => {
                return self.cancelled(now).ok();
            }
        };
        let reason = match verdict {
            Verdict::Approve => String::new(),
            Verdict::Deny => guest.map(|guest| guest.state_reason.clone()).unwrap_or_default(),
        };
        let decided_by = BY_DIRECTORY.to_owned();
        self.decided(Decision { verdict, decided_at: now, decided_by, reason }).ok()
    }

    /// The request after it was called back.
    pub fn cancelled(&self, now: Timestamp) -> Result<Self, NotPending> {
        self.check_pending(now)?;
        Ok(Self { state: ApprovalState::Cancelled, credentials: None, ..self.clone() })
    }

    /// When somebody has to look at it: at its end while it is pending, and at once while credentials of an
    /// approved guest are no mails yet.
    pub fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self.state {
            ApprovalState::Pending => Some(self.expires_at),
            ApprovalState::Approved if self.credentials.is_some() => Some(now),
            ApprovalState::Approved
            | ApprovalState::Denied
            | ApprovalState::Expired
            | ApprovalState::Cancelled => None,
        }
    }
}

#[cfg(test)]
mod tests;
