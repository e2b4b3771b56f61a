//! The guest mail settings, both ways.

use nuncio_core::address::Mailbox;
use nuncio_core::mail::MailboxDraft;
use nuncio_core::settings::guest_mail::{GuestMailDraft, GuestMailSettings, SenderChoice};
use nuncio_core::violation::Violations;

use crate::convert::enums::known;
use crate::v1;

/// Reads settings, or tells everything that is wrong with them.
pub fn guest_mail_settings(given: v1::GuestMailSettings) -> Result<GuestMailSettings, Violations> {
    let mut violations = Violations::default();
    let field = "guest_mail_settings.sender";
    let sender = known::<v1::GuestMailSender, _>(&mut violations, field, given.sender);
    // What is wrong with it is told once.
    let sender = if violations.is_empty() { sender } else { Some(SenderChoice::AlwaysDefault) };
    let draft = GuestMailDraft {
        is_enabled: given.enabled,
        default_from: given.default_from.map(MailboxDraft::from),
        sender,
        reply_to: given.reply_to.map(MailboxDraft::from),
        events_off: given.events_off,
    };
    match draft.check() {
        Ok(settings) => violations.none_or(|| settings),
        Err(more) => {
            violations.append(more);
            Err(violations)
        }
    }
}

impl From<&GuestMailSettings> for v1::GuestMailSettings {
    fn from(settings: &GuestMailSettings) -> Self {
        let GuestMailSettings { is_enabled, default_from, sender, reply_to, events_off } = settings;
        Self {
            enabled: *is_enabled,
            default_from: default_from.as_ref().map(mailbox),
            sender: v1::GuestMailSender::from(*sender).into(),
            reply_to: reply_to.as_ref().map(mailbox),
            events_off: events_off.iter().map(|event| event.name().to_owned()).collect(),
            etag: String::new(),
            generation: 0,
            update_time: None,
        }
    }
}

fn mailbox(mailbox: &Mailbox) -> v1::Mailbox {
    v1::Mailbox {
        address: mailbox.address.to_string(),
        display_name: mailbox.display_name.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
