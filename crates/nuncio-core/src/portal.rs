//! Mail of the guest and sponsor portals: which mails an event makes, to whom, and when it must not.

pub mod approval;
pub mod plan;
pub mod sender;
pub mod variables;

use crate::directory::guest::GuestState;

/// Something that happened to a guest, of which portals send mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortalEvent {
    /// A sponsor made the guest.
    CredentialsCreated,
    /// A sponsor has the credentials sent again.
    CredentialsResent,
    /// A sponsor had a new password made.
    PasswordReset,
    /// The guest registered himself, and needs no approval.
    SelfRegistration,
    Approved,
    Denied,
    Extended,
    Suspended,
    Reinstated,
    Deleted,
}

impl PortalEvent {
    pub const ALL: [Self; 10] = [
        Self::CredentialsCreated,
        Self::CredentialsResent,
        Self::PasswordReset,
        Self::SelfRegistration,
        Self::Approved,
        Self::Denied,
        Self::Extended,
        Self::Suspended,
        Self::Reinstated,
        Self::Deleted,
    ];

    /// The name that people write: `credentials-created`.
    pub fn name(self) -> &'static str {
        match self {
            Self::CredentialsCreated => "credentials-created",
            Self::CredentialsResent => "credentials-resent",
            Self::PasswordReset => "password-reset",
            Self::SelfRegistration => "self-registration",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Extended => "extended",
            Self::Suspended => "suspended",
            Self::Reinstated => "reinstated",
            Self::Deleted => "deleted",
        }
    }

    /// Whether its mails are useless without the password.
    pub fn needs_password(self) -> bool {
        match self {
            Self::CredentialsCreated
            | Self::CredentialsResent
            | Self::PasswordReset
            | Self::SelfRegistration => true,
            Self::Approved
            | Self::Denied
            | Self::Extended
            | Self::Suspended
            | Self::Reinstated
            | Self::Deleted => false,
        }
    }

    /// Whether a password may be told with it.
    pub fn takes_password(self) -> bool {
        self.needs_password() || self == Self::Approved
    }

    /// Whether its mails tell of an access, and must not go out once that is gone.
    pub fn tells_of_access(self) -> bool {
        self.possible_in().iter().all(|state| state.has_access())
    }

    /// The states of a guest in which its mails tell the truth. Of a resend ISE says "only for accounts Created or
    /// Active" (Sponsor Portal User Guide); somebody who is deleted may have been in any.
    pub fn possible_in(self) -> &'static [GuestState] {
        use GuestState::{Active, Created, Denied, Suspended};
        match self {
            Self::CredentialsCreated
            | Self::CredentialsResent
            | Self::PasswordReset
            | Self::SelfRegistration
            | Self::Approved
            | Self::Extended
            | Self::Reinstated => &[Created, Active],
            Self::Denied => &[Denied],
            Self::Suspended => &[Suspended],
            Self::Deleted => &GuestState::ALL,
        }
    }
}

#[cfg(test)]
mod testing;
