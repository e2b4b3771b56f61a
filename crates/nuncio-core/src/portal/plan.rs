//! Which mails an event makes, and when it makes none.

use super::PortalEvent;
use crate::address::Mailbox;
use crate::class::MailClass;
use crate::directory::guest::{Guest, GuestState};
use crate::settings::guest_mail::{GuestMailEvent, GuestMailSettings};

/// What a portal wants to tell.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    pub event: PortalEvent,
    pub guest: &'a Guest,
    /// Whether the caller gave the password.
    pub has_password: bool,
    pub options: NoticeOptions,
}

/// How a sponsor wants it told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoticeOptions {
    /// User name and password in mails of their own.
    pub separate_mails: bool,
    /// A copy to the sponsor of every mail that tells no password; of the others a mail with the user name alone.
    pub copy_me: bool,
    /// With `copy_me`: a copy of mails that tell the password, too.
    pub copy_password: bool,
}

/// A mail that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedMail {
    /// Names its template, too.
    pub kind: GuestMailEvent,
    pub to: Mailbox,
    pub cc: Option<Mailbox>,
    pub class: MailClass,
    pub tells_password: bool,
}

/// Why nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("guest mail is switched off")]
    Disabled,
    #[error("mail of the event `{}` is switched off", event.name())]
    EventOff { event: PortalEvent },
    #[error(
        "`{}` cannot be sent to a guest who is {}; only to one who is {}",
        event.name(), state.name(), names(event.possible_in())
    )]
    State { event: PortalEvent, state: GuestState },
    #[error("the guest chose the password, so nobody else knows it")]
    PasswordOwn,
    #[error("the guest has no e-mail address")]
    NoAddress,
    #[error("`{}` needs the password", event.name())]
    PasswordMissing { event: PortalEvent },
    #[error("`{}` tells no password", event.name())]
    PasswordUnwanted { event: PortalEvent },
    #[error("there is no sponsor to send a copy to")]
    NoSponsor,
}

impl Refused {
    /// A stable name in upper case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disabled => "GUEST_MAIL_DISABLED",
            Self::EventOff { .. } => "GUEST_MAIL_EVENT_OFF",
            Self::State { .. } => "GUEST_STATE",
            Self::PasswordOwn => "GUEST_PASSWORD_OWN",
            Self::NoAddress => "GUEST_WITHOUT_ADDRESS",
            Self::PasswordMissing { .. } => "PASSWORD_MISSING",
            Self::PasswordUnwanted { .. } => "PASSWORD_NOT_TOLD",
            Self::NoSponsor => "GUEST_WITHOUT_SPONSOR",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Disabled => "switch guest mail on in the guest mail settings",
            Self::EventOff { .. } => "switch the event on in the guest mail settings",
            Self::State { state, .. } => match state {
                GuestState::PendingApproval => "approve the guest first",
                GuestState::Suspended => "reinstate the guest first",
                GuestState::Expired => "extend the guest first",
                GuestState::Denied => "make the guest anew, or approve a new request",
                GuestState::Created | GuestState::Active => {
                    "change the guest first, then tell of it"
                }
            },
            Self::PasswordOwn => "reset the password, then send `password-reset`",
            Self::NoAddress => "give the guest an address, or tell the credentials by other means",
            Self::PasswordMissing { .. } => {
                "give it with the call: nuncio keeps no password to send again"
            }
            Self::PasswordUnwanted { .. } => "leave the password out",
            Self::NoSponsor => "give the guest a sponsor, or leave `copy_me` out",
        }
    }
}

/// The mails of an event in the order in which they are to be sent, or why there are none.
pub fn plan(
    notice: &Notice<'_>,
    settings: &GuestMailSettings,
) -> Result<Vec<PlannedMail>, Refused> {
    let Notice { event, guest, has_password, options } = *notice;
    if !settings.is_enabled {
        return Err(Refused::Disabled);
    }
    if !event.possible_in().contains(&guest.state) {
        return Err(Refused::State { event, state: guest.state });
    }
    if event == PortalEvent::CredentialsResent && guest.is_password_own {
        return Err(Refused::PasswordOwn);
    }
    if has_password && !event.takes_password() {
        return Err(Refused::PasswordUnwanted { event });
    }
    if !has_password && event.needs_password() {
        return Err(Refused::PasswordMissing { event });
    }
    let sponsor = guest.sponsor.as_ref().map(super::sender::mailbox_of);
    if options.copy_me && sponsor.is_none() {
        return Err(Refused::NoSponsor);
    }
    let to = super::sender::address_of(guest).ok_or(Refused::NoAddress)?;
    let kinds = kinds(event, has_password, options.separate_mails);
    let copy = sponsor.filter(|_| options.copy_me);
    let mut mails = Vec::new();
    for kind in kinds.iter().copied().filter(|kind| settings.sends(*kind)) {
        let tells_password = tells_password(kind);
        let cc = copy.clone().filter(|_| !tells_password || options.copy_password);
        let class = class(kind);
        mails.push(PlannedMail { kind, to: to.clone(), cc, class, tells_password });
    }
    if mails.is_empty() {
        return Err(Refused::EventOff { event });
    }
    // Of what was told with the password the sponsor gets the rest.
    let username = GuestMailEvent::Username;
    let is_told =
        mails.iter().all(|mail| mail.cc.is_some() || mail.kind == GuestMailEvent::Password);
    let by_itself = mails.iter().any(|mail| mail.kind == username);
    if let Some(to) = copy.filter(|_| !is_told && !by_itself && settings.sends(username)) {
        let class = class(username);
        mails.push(PlannedMail { kind: username, to, cc: None, class, tells_password: false });
    }
    Ok(mails)
}

/// The kinds of mail that an event makes where everything is switched on.
fn kinds(event: PortalEvent, has_password: bool, is_separate: bool) -> &'static [GuestMailEvent] {
    use GuestMailEvent as Kind;
    match (event, is_separate) {
        (PortalEvent::CredentialsCreated | PortalEvent::CredentialsResent, false) => {
            &[Kind::Credentials]
        }
        (
            PortalEvent::CredentialsCreated
            | PortalEvent::CredentialsResent
            | PortalEvent::SelfRegistration,
            true,
        ) => &[Kind::Username, Kind::Password],
        (PortalEvent::PasswordReset, false) => &[Kind::PasswordReset],
        (PortalEvent::PasswordReset, true) => &[Kind::Password],
        (PortalEvent::SelfRegistration, false) => &[Kind::SelfRegistration],
        (PortalEvent::Approved, _) if !has_password => &[Kind::Approved],
        (PortalEvent::Approved, false) => &[Kind::Approved, Kind::Credentials],
        (PortalEvent::Approved, true) => &[Kind::Approved, Kind::Username, Kind::Password],
        (PortalEvent::Denied, _) => &[Kind::Denied],
        (PortalEvent::Extended, _) => &[Kind::Extended],
        (PortalEvent::Suspended, _) => &[Kind::Suspended],
        (PortalEvent::Reinstated, _) => &[Kind::Reinstated],
        (PortalEvent::Deleted, _) => &[Kind::Deleted],
    }
}

fn tells_password(kind: GuestMailEvent) -> bool {
    match kind {
        GuestMailEvent::Credentials
        | GuestMailEvent::Password
        | GuestMailEvent::PasswordReset
        | GuestMailEvent::SelfRegistration => true,
        GuestMailEvent::Username
        | GuestMailEvent::ApprovalRequest
        | GuestMailEvent::Approved
        | GuestMailEvent::Denied
        | GuestMailEvent::Extended
        | GuestMailEvent::Suspended
        | GuestMailEvent::Reinstated
        | GuestMailEvent::Deleted
        | GuestMailEvent::BulkSummary => false,
    }
}

/// Somebody waits in front of a screen for credentials, and for the answer to a request.
fn class(kind: GuestMailEvent) -> MailClass {
    match kind {
        GuestMailEvent::Credentials
        | GuestMailEvent::Username
        | GuestMailEvent::Password
        | GuestMailEvent::PasswordReset
        | GuestMailEvent::SelfRegistration => MailClass::Credentials,
        GuestMailEvent::ApprovalRequest
        | GuestMailEvent::Approved
        | GuestMailEvent::Denied
        | GuestMailEvent::Extended
        | GuestMailEvent::Suspended
        | GuestMailEvent::Reinstated
        | GuestMailEvent::Deleted => MailClass::Approval,
        GuestMailEvent::BulkSummary => MailClass::Bulk,
    }
}

fn names(states: &[GuestState]) -> String {
    let names: Vec<_> = states.iter().map(|state| state.name()).collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests;
