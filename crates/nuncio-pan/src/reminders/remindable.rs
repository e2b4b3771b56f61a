//! What guests and users have in common for the reminders.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nuncio_core::directory::guest::Guest;
use nuncio_core::directory::lifecycle::GuestAction;
use nuncio_core::directory::user::User;
use nuncio_core::mail::{MailboxDraft, Sender};
use nuncio_core::portal::sender::senders;
use nuncio_core::reminder::{self, Channel};
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::guest_mail::GuestMailSettings;
use nuncio_core::template::Variables;

/// Somebody of the directory who may be reminded.
pub(crate) trait Remindable: nuncio_directory::subject::Subject {
    fn view(&self) -> reminder::Subject;

    /// The same after its expiry, if that changes it.
    fn after_expiry(&self, now: Timestamp) -> Option<Self>;

    fn language(&self) -> &str;

    fn created_at(&self) -> Timestamp;

    /// Whom a mail to this channel addresses.
    fn recipient(&self, channel: Channel) -> Option<MailboxDraft>;

    /// The senders of a mail to this channel in the order in which they are to be tried.
    fn senders(&self, channel: Channel, guest_mail: &GuestMailSettings) -> Vec<Sender>;

    /// The shipped template of this channel.
    fn template(channel: Channel) -> &'static str;

    fn variables(&self, now: Timestamp) -> Variables;
}

impl Remindable for Guest {
    fn view(&self) -> reminder::Subject {
        reminder::Subject::of_guest(self)
    }

    fn after_expiry(&self, now: Timestamp) -> Option<Self> {
        self.after(&GuestAction::Expire, now).ok()
    }

    fn language(&self) -> &str {
        &self.language
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }

    fn recipient(&self, channel: Channel) -> Option<MailboxDraft> {
        match channel {
            Channel::Subject => Some(MailboxDraft {
                address: self.email.as_ref()?.to_string(),
                display_name: format!("{} {}", self.first_name, self.last_name).trim().to_owned(),
            }),
            Channel::Sponsor => self.sponsor.as_ref().map(|sponsor| MailboxDraft {
                address: sponsor.email.to_string(),
                display_name: sponsor.name.clone(),
            }),
        }
    }

    fn senders(&self, channel: Channel, guest_mail: &GuestMailSettings) -> Vec<Sender> {
        match channel {
            Channel::Subject => senders(guest_mail, self.sponsor.as_ref()),
            // Nobody gets mail from himself.
            Channel::Sponsor => senders(guest_mail, None),
        }
    }

    fn template(channel: Channel) -> &'static str {
        match channel {
            Channel::Subject => "templates/guest-expiry",
            Channel::Sponsor => "templates/guest-expiry-sponsor",
        }
    }

    fn variables(&self, now: Timestamp) -> Variables {
        let sponsor = self.sponsor.as_ref();
        let texts = [
            ("username", self.username.as_str()),
            ("first_name", &self.first_name),
            ("last_name", &self.last_name),
            ("email", self.email.as_ref().map_or("", |email| email.as_str())),
            ("company", &self.company),
            ("mobile_number", &self.mobile_number),
            ("person_visited", &self.person_visited),
            ("reason_for_visit", &self.reason_for_visit),
            ("ssid", &self.ssid),
            ("location", &self.location),
            ("sponsor_name", sponsor.map_or("", |sponsor| sponsor.name.as_str())),
            ("sponsor_email", sponsor.map_or("", |sponsor| sponsor.email.as_str())),
        ];
        let texts = texts.map(|(name, value)| (name, value.to_owned()));
        let moments = [
            ("valid_from", moment(self.valid_from, &self.time_zone)),
            ("valid_to", moment(self.valid_to, &self.time_zone)),
            ("duration", self.valid_to.duration_since(self.valid_from).to_string()),
            ("time_left", self.valid_to.duration_since(now).to_string()),
        ];
        given(texts.into_iter().chain(moments))
    }
}

impl Remindable for User {
    fn view(&self) -> reminder::Subject {
        reminder::Subject::of_user(self)
    }

    fn after_expiry(&self, _now: Timestamp) -> Option<Self> {
        None
    }

    fn language(&self) -> &str {
        &self.language
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }

    fn recipient(&self, channel: Channel) -> Option<MailboxDraft> {
        let view = self.view();
        view.address(channel).map(|address| MailboxDraft {
            address: address.to_string(),
            display_name: self.display_name.clone(),
        })
    }

    /// Passwords are no matter of guest mail.
    fn senders(&self, _channel: Channel, _guest_mail: &GuestMailSettings) -> Vec<Sender> {
        Vec::new()
    }

    fn template(_channel: Channel) -> &'static str {
        "templates/password-expiry"
    }

    fn variables(&self, now: Timestamp) -> Variables {
        let Some(expires_at) = self.password_expires_at else { return BTreeMap::new() };
        given([
            ("username", self.username.clone()),
            ("display_name", self.display_name.clone()),
            ("expires_at", moment(expires_at, &self.time_zone)),
            ("time_left", expires_at.duration_since(now).to_string()),
        ])
    }
}

/// With its time zone, as templates take it (RFC 9557).
fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).to_string()
}

fn given(values: impl IntoIterator<Item = (&'static str, String)>) -> Variables {
    let given = values.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| (name.to_owned(), Sensitive::from(value))).collect()
}
