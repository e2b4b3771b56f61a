//! What kind of mail it is, and what follows from that.

use std::time::Duration;

use crate::policy::{RetryPolicy, UnknownPolicy};

/// The class of a mail. The order is the priority: the first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MailClass {
    AlarmCritical,
    Credentials,
    Approval,
    Alarm,
    Reminder,
    Bulk,
}

impl MailClass {
    pub const ALL: [Self; 6] = [
        Self::AlarmCritical,
        Self::Credentials,
        Self::Approval,
        Self::Alarm,
        Self::Reminder,
        Self::Bulk,
    ];

    /// The name that people write: `alarm-critical`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlarmCritical => "alarm-critical",
            Self::Credentials => "credentials",
            Self::Approval => "approval",
            Self::Alarm => "alarm",
            Self::Reminder => "reminder",
            Self::Bulk => "bulk",
        }
    }

    /// Whether nobody waits in front of a screen: such mails are spread evenly over the minute, so that one
    /// that is urgent finds room in a mailbox's budget.
    pub fn is_patient(self) -> bool {
        match self {
            Self::AlarmCritical | Self::Credentials | Self::Approval => false,
            Self::Alarm | Self::Reminder | Self::Bulk => true,
        }
    }

    /// How long a mail of this class may wait until it is worth nothing.
    pub fn time_to_live(self) -> Duration {
        match self {
            Self::AlarmCritical | Self::Alarm => Duration::from_hours(24),
            Self::Credentials | Self::Approval => Duration::from_hours(48),
            Self::Reminder | Self::Bulk => Duration::from_hours(72),
        }
    }

    /// When to try again after the provider deferred a mail.
    pub fn retry_policy(self) -> RetryPolicy {
        let (backoff_min_s, backoff_max_s, attempts_max) = match self {
            Self::AlarmCritical => (15, 300, 200),
            Self::Credentials | Self::Approval => (30, 900, 100),
            Self::Alarm | Self::Reminder => (60, 1800, 50),
            Self::Bulk => (120, 3600, 30),
        };
        RetryPolicy {
            backoff_min: Duration::from_secs(backoff_min_s),
            backoff_max: Duration::from_secs(backoff_max_s),
            attempts_max,
        }
    }

    pub fn unknown_policy(self) -> UnknownPolicy {
        match self {
            Self::AlarmCritical | Self::Credentials | Self::Approval | Self::Alarm => {
                UnknownPolicy::Resend
            }
            Self::Reminder | Self::Bulk => UnknownPolicy::Stop,
        }
    }
}
