//! Whose address a portal mail carries, and what is remembered of senders that the provider refused.

use std::time::Duration;

use jiff::Timestamp;

use crate::address::{EmailAddress, Mailbox};
use crate::directory::guest::{Guest, Sponsor};
use crate::job::Reason;
use crate::mail::Sender;
use crate::settings::guest_mail::{GuestMailSettings, SenderChoice};

/// When a sender that was refused is tried again: changed permissions take up to two hours to act in Exchange
/// Online, and each refusal brings its mailbox nearer to be throttled.
pub const SENDER_RETRY: Duration = Duration::from_hours(24);

/// The senders of a mail, in the order in which they are to be tried; never empty.
///
/// Where the provider refuses the sponsor's address, the mail goes out from the default one, and answers go to
/// the sponsor all the same.
pub fn senders(settings: &GuestMailSettings, sponsor: Option<&Sponsor>) -> Vec<Sender> {
    let default = settings.default_from.clone();
    let chosen = match settings.sender {
        SenderChoice::SponsorIfSponsored => sponsor.map(mailbox_of),
        SenderChoice::AlwaysDefault => None,
    };
    let (first, reply_to) = match &chosen {
        Some(sponsor) => {
            let first = Sender { from: Some(sponsor.clone()), reply_to: None };
            (Some(first), Some(sponsor.clone()))
        }
        None => (None, settings.reply_to.clone()),
    };
    let second = Sender { from: default.clone(), reply_to: reply_to.clone() };
    // The mailbox of the SMTP settings may always send as itself.
    let last = default.map(|default| Sender { from: None, reply_to: reply_to.or(Some(default)) });
    first.into_iter().chain([second]).chain(last).collect()
}

/// The guest's mailbox, if he has one.
pub(super) fn address_of(guest: &Guest) -> Option<Mailbox> {
    let name = format!("{} {}", guest.first_name, guest.last_name).trim().to_owned();
    let display_name = Some(name).filter(|name| !name.is_empty());
    guest.email.clone().map(|address| Mailbox { address, display_name })
}

pub(super) fn mailbox_of(sponsor: &Sponsor) -> Mailbox {
    let display_name = Some(sponsor.name.clone()).filter(|name| !name.is_empty());
    Mailbox { address: sponsor.email.clone(), display_name }
}

/// A sender that the provider refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSender {
    pub address: EmailAddress,
    /// When it was first refused, without having been taken since.
    pub refused_since: Timestamp,
    pub last_tried_at: Timestamp,
    /// How often it was refused since.
    pub refusals: u32,
    /// What the provider said last.
    pub reason: String,
}

impl RefusedSender {
    /// What is remembered after one more refusal.
    pub fn after(
        before: Option<&Self>,
        address: &EmailAddress,
        reason: &Reason,
        now: Timestamp,
    ) -> Self {
        let reason =
            reason.reply.as_ref().map_or_else(|| reason.message.clone(), ToString::to_string);
        Self {
            address: address.clone(),
            refused_since: before.map_or(now, |before| before.refused_since),
            last_tried_at: now,
            refusals: before.map_or(1, |before| before.refusals.saturating_add(1)),
            reason,
        }
    }

    pub fn next_try_at(&self) -> Timestamp {
        self.last_tried_at + SENDER_RETRY
    }

    /// Whether it is left alone for now.
    pub fn is_passed_over(&self, now: Timestamp) -> bool {
        now < self.next_try_at()
    }
}

#[cfg(test)]
mod tests;
