//! Reminders of an expiry: of a guest's access, of an internal user's password.
//!
//! A reminder is a row, not a comparison of dates: each (subject, expiry, stage, channel) has a place in the
//! ledger, written in one transaction with the mail job. Whoever decides twice finds the row and does nothing.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::address::EmailAddress;
use crate::directory::guest::{Guest, GuestState};
use crate::directory::user::{User, UserKind};

pub mod decide;
pub mod ledger;
pub mod quiet;
pub mod rules;

/// Who may be reminded, as far as it matters for when and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The resource name: `guests/{id}` or `users/{id}`.
    pub name: String,
    pub group: Group,
    pub standing: Standing,
    /// Whether its state changes when it expires.
    pub ends: bool,
    /// When it began: a stage that is as long as the whole is none.
    pub starts_at: Option<Timestamp>,
    /// The first moment when it has ended; none if it never ends, or nobody knows when.
    pub expires_at: Option<Timestamp>,
    pub time_zone: TimeZone,
    pub email: Option<EmailAddress>,
    pub sponsor: Option<EmailAddress>,
}

/// To which rule a subject belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    Guest { guest_type: String },
    Administrator,
    NetworkUser,
}

/// Whether a subject can be reminded at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Open,
    Closed(WhyNot),
}

/// Why somebody is not reminded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WhyNot {
    PendingApproval,
    Suspended,
    Expired,
    Denied,
    Disabled,
    /// The password never expires.
    NeverExpires,
    /// Nobody knows when the password expires.
    ExpiryUnknown,
    /// The rule of its group is off.
    SwitchedOff,
    /// Every stage of its rule is as long as the whole access, or longer.
    TooShort,
    NoAddress,
    /// The sponsor shall be told too, but there is none.
    NoSponsor,
    /// What is due was sent already, and nothing more is to come.
    AlreadySent,
    /// It expires after the time that is looked at.
    Later,
    /// The guest mail settings have switched off mail to guests.
    GuestMailOff,
}

/// To whom a reminder goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// To the guest or user by mail.
    Subject,
    /// To the guest's sponsor by mail.
    Sponsor,
}

impl Subject {
    pub fn of_guest(guest: &Guest) -> Self {
        let standing = match guest.state {
            GuestState::Created | GuestState::Active => Standing::Open,
            GuestState::PendingApproval => Standing::Closed(WhyNot::PendingApproval),
            GuestState::Suspended => Standing::Closed(WhyNot::Suspended),
            GuestState::Expired => Standing::Closed(WhyNot::Expired),
            GuestState::Denied => Standing::Closed(WhyNot::Denied),
        };
        Self {
            name: guest.id.to_string(),
            group: Group::Guest { guest_type: guest.guest_type.clone() },
            standing,
            ends: can_expire(guest.state),
            starts_at: Some(guest.valid_from),
            expires_at: Some(guest.valid_to),
            time_zone: guest.time_zone.clone(),
            email: guest.email.clone(),
            sponsor: guest.sponsor.as_ref().map(|sponsor| sponsor.email.clone()),
        }
    }

    pub fn of_user(user: &User) -> Self {
        let standing = if !user.is_enabled {
            Standing::Closed(WhyNot::Disabled)
        } else if user.password_never_expires {
            Standing::Closed(WhyNot::NeverExpires)
        } else if user.password_expires_at.is_none() {
            Standing::Closed(WhyNot::ExpiryUnknown)
        } else {
            Standing::Open
        };
        Self {
            name: user.id.to_string(),
            group: match user.kind {
                UserKind::Administrator => Group::Administrator,
                UserKind::NetworkUser => Group::NetworkUser,
            },
            standing,
            ends: false,
            starts_at: user.password_changed_at,
            expires_at: user.password_expires_at,
            time_zone: user.time_zone.clone(),
            email: user.alias_email.clone().or_else(|| user.email.clone()),
            sponsor: None,
        }
    }

    /// The same while nobody gets mail about guests. That a guest's access ends is noted all the same.
    #[must_use]
    pub fn without_guest_mail(self) -> Self {
        let standing = match (&self.group, self.standing) {
            (Group::Guest { .. }, Standing::Open) => Standing::Closed(WhyNot::GuestMailOff),
            (Group::Guest { .. } | Group::Administrator | Group::NetworkUser, standing) => standing,
        };
        Self { standing, ..self }
    }

    pub fn address(&self, channel: Channel) -> Option<&EmailAddress> {
        match channel {
            Channel::Subject => self.email.as_ref(),
            Channel::Sponsor => self.sponsor.as_ref(),
        }
    }

    /// The moment of a stage, unless the stage is as long as the whole.
    fn moment(&self, before: Duration) -> Option<Timestamp> {
        let before = SignedDuration::try_from(before).ok()?;
        let moment = self.expires_at?.checked_sub(before).ok()?;
        self.starts_at.is_none_or(|start| start < moment).then_some(moment)
    }
}

fn can_expire(state: GuestState) -> bool {
    match state {
        GuestState::PendingApproval
        | GuestState::Created
        | GuestState::Active
        | GuestState::Suspended => true,
        GuestState::Expired | GuestState::Denied => false,
    }
}

impl WhyNot {
    /// A name in upper case: `NO_ADDRESS`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingApproval => "PENDING_APPROVAL",
            Self::Suspended => "SUSPENDED",
            Self::Expired => "EXPIRED",
            Self::Denied => "DENIED",
            Self::Disabled => "DISABLED",
            Self::NeverExpires => "NEVER_EXPIRES",
            Self::ExpiryUnknown => "EXPIRY_UNKNOWN",
            Self::SwitchedOff => "SWITCHED_OFF",
            Self::TooShort => "TOO_SHORT",
            Self::NoAddress => "NO_ADDRESS",
            Self::NoSponsor => "NO_SPONSOR",
            Self::AlreadySent => "ALREADY_SENT",
            Self::Later => "LATER",
            Self::GuestMailOff => "GUEST_MAIL_OFF",
        }
    }
}

impl Channel {
    pub const ALL: [Self; 2] = [Self::Subject, Self::Sponsor];

    /// The name in the ledger: `subject`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Sponsor => "sponsor",
        }
    }
}
