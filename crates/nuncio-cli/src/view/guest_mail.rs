//! The guest mail settings for people.

use nuncio_api::v1::{GuestMailSender, GuestMailSettings, Mailbox};

use crate::output::Table;
use crate::time::moment;

pub(crate) fn settings(settings: &GuestMailSettings) -> Table {
    let mut table = Table::list();
    table.value("mail to guests", if settings.enabled { "on" } else { "off" });
    table.value(
        "default sender",
        mailbox(settings.default_from.as_ref(), "that of the SMTP settings"),
    );
    let sender = match settings.sender() {
        GuestMailSender::SponsorIfSponsored => "the sponsor, if there is one",
        GuestMailSender::AlwaysDefault => "always the default one",
        GuestMailSender::Unspecified => "-",
    };
    table.value("sender", sender);
    table.value("answers go to", mailbox(settings.reply_to.as_ref(), "the sender"));
    table.value("events off", settings.events_off.join(", "));
    if 0 < settings.generation {
        table.value("generation", settings.generation.to_string());
        table.value("etag", &settings.etag);
        table.value("saved", moment(settings.update_time.as_ref()));
    }
    table
}

fn mailbox(mailbox: Option<&Mailbox>, none: &str) -> String {
    match mailbox {
        None => none.to_owned(),
        Some(one) if one.display_name.is_empty() => one.address.clone(),
        Some(one) => format!("{} <{}>", one.display_name, one.address),
    }
}
