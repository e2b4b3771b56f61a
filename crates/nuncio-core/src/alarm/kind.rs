//! Types of alarms: what they mean, when they fire, and whom they are told to.

use std::time::Duration;

use crate::address::EmailAddress;
use crate::alarm::Severity;

/// The longest id of a type, in characters.
pub const TYPE_ID_CHARS_MAX: usize = 64;
/// The longest name of a type for people, in characters.
pub const DISPLAY_NAME_CHARS_MAX: usize = 128;
/// The longest description and suggested action of a type, in characters, each.
pub const TYPE_TEXT_CHARS_MAX: usize = 1024;
/// The longest text of an operator's own in the mails of a type, in characters.
pub const CUSTOM_TEXT_CHARS_MAX: usize = 2048;
/// The most recipients that one type or group names.
pub const RECIPIENTS_MAX: usize = 200;
/// The longest window of a condition: 7 days.
pub const WINDOW_MAX: Duration = Duration::from_hours(7 * 24);

/// A type of alarms as it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmType {
    /// 1 to 64 lower-case letters, digits and `-`.
    pub id: String,
    /// For people.
    pub display_name: String,
    pub category: Category,
    /// Of alarms that name none.
    pub severity: Severity,
    pub status: TypeStatus,
    pub description: String,
    pub suggested_action: String,
    /// Whether its alarms are about the way of mail itself, so that mail may not tell them.
    pub is_mail_path: bool,
    /// None means that it fires with each raise.
    pub condition: Option<Condition>,
    /// Who gets its mails beside those of the settings.
    pub recipients: Vec<EmailAddress>,
    /// Groups of the settings that get its mails.
    pub recipient_groups: Vec<String>,
    /// The sender; none means that of the settings.
    pub from: Option<EmailAddress>,
    /// An operator's own text in its mails.
    pub custom_text: String,
    /// None means that of the settings; zero means never.
    pub repeat_interval: Option<Duration>,
}

/// What area a type belongs to (ISE's categories, and two of ours).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// Administrative and Operational Audit.
    Audit,
    Services,
    SystemHealth,
    Licensing,
    SystemError,
    TrustSec,
    /// The way of mail itself.
    MailPath,
    Other,
}

/// Whether alarms of a type are taken and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeStatus {
    Enabled,
    /// Not taken.
    Disabled,
    /// Taken and listed, but in no mail.
    Suppressed,
}

/// When an alarm fires.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    pub measure: Measure,
    pub operator: Operator,
    /// What it is compared with; finite.
    pub value: f64,
    /// How far back it is looked: 1 s to [`WINDOW_MAX`].
    pub window: Duration,
}

/// What a condition looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// How often the alarm was raised within the window.
    Occurrences,
    /// The mean of the values with which it was raised within the window.
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    GreaterOrEqual,
    Greater,
    LessOrEqual,
    Less,
}

impl Operator {
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::GreaterOrEqual => left >= right,
            Self::Greater => left > right,
            Self::LessOrEqual => left <= right,
            Self::Less => left < right,
        }
    }

    /// As people write it: `>=`.
    pub fn sign(self) -> &'static str {
        match self {
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">",
            Self::LessOrEqual => "<=",
            Self::Less => "<",
        }
    }
}

/// Whether it is an id of a type.
pub fn is_type_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=TYPE_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(allowed)
}
