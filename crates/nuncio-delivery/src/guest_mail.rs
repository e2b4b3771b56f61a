//! The guest mail settings as a document: the PAN writes it, whoever writes to guests reads it.

use std::sync::Arc;

use nuncio_core::address::Mailbox;
use nuncio_core::mail::MailboxDraft;
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::SavedDocument;
use nuncio_core::settings::guest_mail::{GuestMailDraft, GuestMailSettings, SenderChoice};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::error;

const VERSION: u32 = 1;

/// The saved document is not understood.
#[derive(Debug, thiserror::Error)]
#[error("the saved guest mail settings are not understood: {0}")]
pub struct NotGuestMail(String);

/// The settings as they count now; the defaults while nobody has saved any.
pub fn present(document: &watch::Receiver<Option<Arc<SavedDocument>>>) -> GuestMailSettings {
    let saved = document.borrow().clone();
    let Some(saved) = saved else { return GuestMailSettings::default() };
    decode(&saved.content).unwrap_or_else(|problem| {
        error!("{problem}; mail goes out by the default settings");
        GuestMailSettings::default()
    })
}

pub fn encode(settings: &GuestMailSettings) -> Sensitive {
    let GuestMailSettings { is_enabled, default_from, sender, reply_to, events_off } = settings;
    let document = DocumentV1 {
        version: VERSION,
        enabled: *is_enabled,
        default_from: default_from.as_ref().map(MailboxV1::from),
        sender: match sender {
            SenderChoice::SponsorIfSponsored => SenderV1::SponsorIfSponsored,
            SenderChoice::AlwaysDefault => SenderV1::AlwaysDefault,
        },
        reply_to: reply_to.as_ref().map(MailboxV1::from),
        events_off: events_off.iter().map(|event| event.name().to_owned()).collect(),
    };
    let json = serde_json::to_string(&document).expect("texts and flags always become JSON");
    Sensitive::from(json)
}

pub fn decode(content: &Sensitive) -> Result<GuestMailSettings, NotGuestMail> {
    let document: DocumentV1 = serde_json::from_str(content.expose()).map_err(|error| {
        NotGuestMail(format!("line {}, column {}", error.line(), error.column()))
    })?;
    if document.version != VERSION {
        let problem = format!("version {} of its format; {VERSION} is known", document.version);
        return Err(NotGuestMail(problem));
    }
    let draft = GuestMailDraft {
        is_enabled: document.enabled,
        default_from: document.default_from.map(MailboxDraft::from),
        sender: Some(match document.sender {
            SenderV1::SponsorIfSponsored => SenderChoice::SponsorIfSponsored,
            SenderV1::AlwaysDefault => SenderChoice::AlwaysDefault,
        }),
        reply_to: document.reply_to.map(MailboxDraft::from),
        events_off: document.events_off,
    };
    draft.check().map_err(|violations| NotGuestMail(violations.to_string()))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentV1 {
    version: u32,
    enabled: bool,
    default_from: Option<MailboxV1>,
    sender: SenderV1,
    reply_to: Option<MailboxV1>,
    events_off: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SenderV1 {
    SponsorIfSponsored,
    AlwaysDefault,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MailboxV1 {
    address: String,
    name: String,
}

impl From<&Mailbox> for MailboxV1 {
    fn from(mailbox: &Mailbox) -> Self {
        let name = mailbox.display_name.clone().unwrap_or_default();
        Self { address: mailbox.address.to_string(), name }
    }
}

impl From<MailboxV1> for MailboxDraft {
    fn from(MailboxV1 { address, name }: MailboxV1) -> Self {
        Self { address, display_name: name }
    }
}

#[cfg(test)]
mod tests;
