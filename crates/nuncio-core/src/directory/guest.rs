//! A guest: somebody who may use the network for a while.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::address::EmailAddress;

/// A guest. Every value of this type is valid. It holds no password: that is given with each mail which
/// tells it, and is kept nowhere else.
#[expect(clippy::struct_field_names, reason = "`type` alone is a keyword")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    pub id: GuestId,
    /// What the guest logs in with.
    pub username: String,
    pub first_name: String,
    pub last_name: String,
    pub company: String,
    pub mobile_number: String,
    /// None means that no mail can be sent.
    pub email: Option<EmailAddress>,
    /// For example `contractor`; the stages of reminders hang on it.
    pub guest_type: String,
    pub sponsor: Option<Sponsor>,
    /// The name of the place, for example `San Jose`.
    pub location: String,
    /// Of the place (ISE shows times to guests in the time zone of their location).
    pub time_zone: TimeZone,
    /// A BCP 47 tag, or empty for the default.
    pub language: String,
    pub person_visited: String,
    pub reason_for_visit: String,
    pub ssid: String,
    pub state: GuestState,
    /// Why the guest is suspended or denied; empty in every other state.
    pub state_reason: String,
    /// Whether there was a first login: who comes back from a suspension is `ACTIVE` then, else `CREATED`.
    pub has_logged_in: bool,
    pub valid_from: Timestamp,
    /// The first moment when the access has ended.
    pub valid_to: Timestamp,
    /// Whether the guest chose the password: then nobody else knows it, and it cannot be sent again.
    pub is_password_own: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The last part of the name `guests/{id}`: 1 to 128 letters, digits, `-`, `_`, `.`, `@`, `+`.
///
/// Its `Display` is the resource name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GuestId(String);

/// Who answers for a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sponsor {
    pub name: String,
    pub email: EmailAddress,
}

/// Where a guest's account stands (the states of ISE's sponsor portal).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GuestState {
    PendingApproval,
    /// Awaits the first login.
    Created,
    Active,
    Suspended,
    Expired,
    Denied,
}

/// The text is no id of a guest or user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {ID_CHARS_MAX} letters, digits, `-`, `_`, `.`, `@` or `+`")]
pub struct NotAnId;

/// The longest id of a guest or user, in characters.
pub const ID_CHARS_MAX: usize = 128;

impl GuestId {
    pub fn parse(id: &str) -> Result<Self, NotAnId> {
        check_id(id).map(|()| Self(id.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GuestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guests/{}", self.0)
    }
}

impl GuestState {
    pub const ALL: [Self; 6] = [
        Self::PendingApproval,
        Self::Created,
        Self::Active,
        Self::Suspended,
        Self::Expired,
        Self::Denied,
    ];

    /// Whether the access of a guest in this state ends by itself at `valid_to`.
    pub fn can_expire(self) -> bool {
        match self {
            Self::PendingApproval | Self::Created | Self::Active | Self::Suspended => true,
            Self::Expired | Self::Denied => false,
        }
    }

    /// Whether a guest in this state may use the network, now or from `valid_from` on.
    pub fn has_access(self) -> bool {
        match self {
            Self::Created | Self::Active => true,
            Self::PendingApproval | Self::Suspended | Self::Expired | Self::Denied => false,
        }
    }

    /// The name in upper case: `PENDING_APPROVAL`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingApproval => "PENDING_APPROVAL",
            Self::Created => "CREATED",
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Expired => "EXPIRED",
            Self::Denied => "DENIED",
        }
    }
}

/// Whether it may stand in a resource name as it is.
pub(super) fn check_id(id: &str) -> Result<(), NotAnId> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.@+".contains(&b);
    let fits = !id.is_empty() && id.len() <= ID_CHARS_MAX && id.bytes().all(allowed);
    if fits { Ok(()) } else { Err(NotAnId) }
}
