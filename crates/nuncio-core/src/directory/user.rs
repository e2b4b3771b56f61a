//! An internal user: an administrator, or somebody who logs in to the network with a local password.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::guest::{NotAnId, check_id};
use crate::address::EmailAddress;

/// An internal user. Every value of this type is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub kind: UserKind,
    pub display_name: String,
    /// None means that no mail can be sent, unless there is an alias address.
    pub email: Option<EmailAddress>,
    /// Where mails about the password go in place of `email` (ISE's `accountNameAlias`).
    pub alias_email: Option<EmailAddress>,
    /// A BCP 47 tag, or empty for the default.
    pub language: String,
    pub time_zone: TimeZone,
    pub is_enabled: bool,
    pub password_changed_at: Option<Timestamp>,
    /// The first moment when the password no longer counts; none means that nobody knows.
    pub password_expires_at: Option<Timestamp>,
    pub password_never_expires: bool,
    /// Whether system alarms go to this user too (ISE's `includeSystemAlarmsInEmail`).
    pub include_system_alarms_in_emails: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The last part of the name `users/{id}`, as with guests. Its `Display` is the resource name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UserKind {
    Administrator,
    NetworkUser,
}

impl UserId {
    pub fn parse(id: &str) -> Result<Self, NotAnId> {
        check_id(id).map(|()| Self(id.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "users/{}", self.0)
    }
}

impl UserKind {
    /// The name in upper case: `NETWORK_USER`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Administrator => "ADMINISTRATOR",
            Self::NetworkUser => "NETWORK_USER",
        }
    }
}
