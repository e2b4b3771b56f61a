//! The second route: how people are told of alarms where mail is what is broken.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::address::EmailAddress;
use crate::alarm::Severity;
use crate::secret::{Password, Sensitive};
use crate::settings::Encryption;

mod draft;
mod smtp_draft;

pub use draft::{RouteDraft, TargetDraft};
pub use smtp_draft::{SmtpLoginDraft, SmtpTargetDraft};

/// The most routes.
pub const ROUTES_MAX: usize = 20;
/// The longest that a route may take for a message.
pub const TIMEOUT_MAX: Duration = Duration::from_mins(1);
/// How long a route may take where nothing else is said: senders of webhooks recommend 15 to 30 s (Standard Webhooks,
/// "Operational considerations").
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// The port of syslog over TLS (RFC 5425, section 4.1), and of syslog over UDP (RFC 5426, section 3.3) and TCP.
pub const SYSLOG_TLS_PORT: u16 = 6514;
pub const SYSLOG_PORT: u16 = 514;
/// The most recipients of a route's mails.
pub const RECIPIENTS_MAX: usize = 50;
/// How long a message is tried: then people have other troubles.
pub const TRY_FOR: Duration = Duration::from_hours(24);
/// How often a message is tried that the receiver does not understand.
pub const NOT_UNDERSTOOD_TRIES: u32 = 3;
/// The first pause after a failure, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_mins(15);

/// A route. Every value of this type is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// 1 to 64 lower-case letters, digits and `-`.
    pub id: String,
    pub enabled: bool,
    pub target: RouteTarget,
    /// How long it may take for a message.
    pub timeout: Duration,
    /// Authorities that are trusted beside the system's, in PEM; may be empty.
    pub ca_certificates_pem: String,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteTarget {
    /// POST with a signature (<https://www.standardwebhooks.com>).
    Webhook {
        /// `https`, or `http` to this machine.
        url: String,
        /// Base64 behind `whsec_`: 24 to 64 bytes.
        secret: Sensitive,
    },
    /// RFC 5424.
    Syslog { host: String, port: u16, transport: SyslogTransport },
    /// Mail by a server beside the provider's.
    Smtp(SmtpTarget),
}

/// A mail server that does not depend on the provider, and who gets its mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpTarget {
    pub host: String,
    pub port: u16,
    /// Only without a login may it be none.
    pub encryption: Encryption,
    /// None where the server takes mail from this node as it is.
    pub login: Option<SmtpLogin>,
    pub from: EmailAddress,
    /// 1 to [`RECIPIENTS_MAX`].
    pub recipients: Vec<EmailAddress>,
}

/// User name and password at a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpLogin {
    pub username: String,
    pub password: Password,
}

/// How syslog messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyslogTransport {
    /// RFC 5426; nobody says whether a message has come.
    Udp,
    /// RFC 6587, with the octet counting of RFC 5425.
    Tcp,
    /// RFC 5425.
    Tls,
}

/// What a route tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMessage {
    /// The same with each try, so that a receiver can tell a repetition.
    pub id: String,
    pub kind: MessageKind,
    /// When it happened.
    pub at: Timestamp,
    pub severity: Severity,
    /// One line for a person.
    pub summary: String,
    /// What else there is to know, by name.
    pub fields: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    AlarmRaised,
    AlarmResolved,
    /// An alarm's mail has not gone out for too long.
    MailLate,
    /// Alarms are told by mail again.
    MailBack,
    Test,
}

impl MessageKind {
    pub const ALL: [Self; 5] =
        [Self::AlarmRaised, Self::AlarmResolved, Self::MailLate, Self::MailBack, Self::Test];

    /// The stable name: the type of a webhook's event, and the MSGID of syslog.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlarmRaised => "alarm.raised",
            Self::AlarmResolved => "alarm.resolved",
            Self::MailLate => "mail.late",
            Self::MailBack => "mail.back",
            Self::Test => "route.test",
        }
    }
}

/// Why a message was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RouteFailure {
    /// A stable name in upper case.
    pub code: String,
    /// What happened, for a person; never a secret.
    pub message: String,
    /// The receiver's own wish.
    pub retry_after: Option<Duration>,
    /// Whether the receiver is there and finds fault with this very message.
    pub not_understood: bool,
}

/// Whether and when a message that has failed is tried again; `tries` counts those that were made, `age` is how
/// long ago it was made.
pub fn next_try(
    failure: &RouteFailure,
    tries: u32,
    age: Duration,
    jitter: f64,
) -> Option<Duration> {
    if TRY_FOR <= age || (failure.not_understood && NOT_UNDERSTOOD_TRIES <= tries) {
        return None;
    }
    let factor = 3_u32.saturating_pow(tries.saturating_sub(1).min(8));
    let pause = PAUSE_MIN.saturating_mul(factor).min(PAUSE_MAX);
    Some(pause.max(failure.retry_after.unwrap_or_default()).mul_f64(1.0 + jitter / 4.0))
}

#[cfg(test)]
mod tests;
