//! The guest mail settings: how portals send mail to guests (ISE's "Guest Email Settings").

use std::collections::BTreeSet;

use crate::address::{EmailAddress, Mailbox};
use crate::mail::MailboxDraft;
use crate::settings::document::changed_fields;
use crate::violation::Violations;

/// How portals send mail. Every value of this type is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestMailSettings {
    /// Whether guests get mail at all (ISE: "Enable email notifications to guests").
    pub is_enabled: bool,
    /// ISE's "Default 'From' email address"; none means that of the SMTP settings.
    pub default_from: Option<Mailbox>,
    pub sender: SenderChoice,
    /// Where answers go if the mail has the default sender; none means to the sender.
    pub reply_to: Option<Mailbox>,
    /// The events that send nothing.
    pub events_off: BTreeSet<GuestMailEvent>,
}

/// Whose address a portal mail carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SenderChoice {
    /// The sponsor's, if the guest has one (ISE: "Send notifications from sponsor's email address").
    SponsorIfSponsored,
    /// ISE: "Always send notifications from the default email address".
    AlwaysDefault,
}

/// What a portal tells a guest, a sponsor or an approver of. Each has the template of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GuestMailEvent {
    Credentials,
    Username,
    Password,
    PasswordReset,
    SelfRegistration,
    ApprovalRequest,
    Approved,
    Denied,
    Extended,
    Suspended,
    Reinstated,
    Deleted,
    BulkSummary,
}

/// The settings as somebody gives them, not yet checked.
#[derive(Clone, Default)]
pub struct GuestMailDraft {
    pub is_enabled: bool,
    pub default_from: Option<MailboxDraft>,
    /// None is a violation: it must be chosen.
    pub sender: Option<SenderChoice>,
    pub reply_to: Option<MailboxDraft>,
    /// The names of events, for example `guest-extended`.
    pub events_off: Vec<String>,
}

impl Default for GuestMailSettings {
    /// Everything is sent, from the default address: that of a sponsor needs rights which must be granted first.
    fn default() -> Self {
        Self {
            is_enabled: true,
            default_from: None,
            sender: SenderChoice::AlwaysDefault,
            reply_to: None,
            events_off: BTreeSet::new(),
        }
    }
}

impl GuestMailSettings {
    /// Whether mail of this event is sent.
    pub fn sends(&self, event: GuestMailEvent) -> bool {
        self.is_enabled && !self.events_off.contains(&event)
    }

    /// What differs, for the history; `before` is none where nobody knows it.
    pub fn changes_since(&self, before: Option<&Self>) -> String {
        let Some(before) = before else { return "all of it".to_owned() };
        let Self { is_enabled, default_from, sender, reply_to, events_off } = self;
        let changed = [
            ("enabled", *is_enabled != before.is_enabled),
            ("default_from", *default_from != before.default_from),
            ("sender", *sender != before.sender),
            ("reply_to", *reply_to != before.reply_to),
            ("events_off", *events_off != before.events_off),
        ];
        changed_fields(changed)
    }
}

impl GuestMailDraft {
    /// Makes the settings, or tells everything that is wrong. Fields are named as in the API.
    pub fn check(self) -> Result<GuestMailSettings, Violations> {
        let mut violations = Violations::default();
        let default_from = check_mailbox(&mut violations, "default_from", self.default_from);
        let reply_to = check_mailbox(&mut violations, "reply_to", self.reply_to);
        if self.sender.is_none() {
            let problem = "choose `SPONSOR_IF_SPONSORED` or `ALWAYS_DEFAULT`";
            violations.add("guest_mail_settings.sender", problem);
        }
        let mut events_off = BTreeSet::new();
        for (index, name) in self.events_off.iter().enumerate() {
            if let Some(event) = GuestMailEvent::from_name(name) {
                events_off.insert(event);
            } else {
                let known: Vec<_> = GuestMailEvent::ALL.iter().map(|one| one.name()).collect();
                let problem = format!("is no event; there are: {}", known.join(", "));
                violations.add(format!("guest_mail_settings.events_off[{index}]"), problem);
            }
        }
        let sender = self.sender.unwrap_or(SenderChoice::AlwaysDefault);
        let is_enabled = self.is_enabled;
        violations.none_or(|| GuestMailSettings {
            is_enabled,
            default_from,
            sender,
            reply_to,
            events_off,
        })
    }
}

impl GuestMailEvent {
    pub const ALL: [Self; 13] = [
        Self::Credentials,
        Self::Username,
        Self::Password,
        Self::PasswordReset,
        Self::SelfRegistration,
        Self::ApprovalRequest,
        Self::Approved,
        Self::Denied,
        Self::Extended,
        Self::Suspended,
        Self::Reinstated,
        Self::Deleted,
        Self::BulkSummary,
    ];

    /// The name of the event, and of its template: `guest-credentials`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Credentials => "guest-credentials",
            Self::Username => "guest-username",
            Self::Password => "guest-password",
            Self::PasswordReset => "guest-password-reset",
            Self::SelfRegistration => "guest-self-registration",
            Self::ApprovalRequest => "guest-approval-request",
            Self::Approved => "guest-approved",
            Self::Denied => "guest-denied",
            Self::Extended => "guest-extended",
            Self::Suspended => "guest-suspended",
            Self::Reinstated => "guest-reinstated",
            Self::Deleted => "guest-deleted",
            Self::BulkSummary => "guest-bulk-summary",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

impl SenderChoice {
    /// The name in upper case: `ALWAYS_DEFAULT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SponsorIfSponsored => "SPONSOR_IF_SPONSORED",
            Self::AlwaysDefault => "ALWAYS_DEFAULT",
        }
    }
}

fn check_mailbox(
    violations: &mut Violations,
    field: &str,
    draft: Option<MailboxDraft>,
) -> Option<Mailbox> {
    let MailboxDraft { address, display_name: name } = draft?;
    let field = format!("guest_mail_settings.{field}");
    if name.chars().any(char::is_control) {
        let problem = "has a line break or control character, which could smuggle in a header";
        violations.add(format!("{field}.display_name"), problem);
    }
    let most = crate::address::DISPLAY_NAME_CHARS_MAX;
    if most < name.chars().count() {
        let problem = format!("is longer than {most} characters");
        violations.add(format!("{field}.display_name"), problem);
    }
    let address: EmailAddress = violations.check(format!("{field}.address"), address.parse())?;
    Some(Mailbox { address, display_name: Some(name).filter(|name| !name.is_empty()) })
}

#[cfg(test)]
mod tests;
