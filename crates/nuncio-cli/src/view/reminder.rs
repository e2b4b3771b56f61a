//! Reminders for people.

use nuncio_api::v1::{
    Reminder, ReminderChannel, ReminderForecast, ReminderOutcome, ReminderRule, ReminderSettings,
};

use crate::output::{Cell, Table, Tone};
use crate::time::{moment, span};

/// A rule on each line.
pub(crate) fn settings(settings: &ReminderSettings) -> Table {
    let mut table = Table::with_head(["REMINDED", "ON", "BEFORE THE EXPIRY", "SPONSOR TOO"]);
    let mut add = |name: &str, rule: Option<&ReminderRule>| {
        let rule = rule.cloned().unwrap_or_default();
        let stages = rule.stages.iter().map(|stage| {
            let before = span(stage.before.as_ref());
            if stage.portal.is_empty() { before } else { format!("{before} ({})", stage.portal) }
        });
        let stages: Vec<String> = stages.collect();
        let on = if rule.enabled {
            Cell::toned(Tone::Good, "yes")
        } else {
            Cell::toned(Tone::Dim, "no")
        };
        let copy = if rule.copy_to_sponsor { "yes" } else { "no" };
        table.row([Cell::from(name), on, Cell::from(stages.join(", ")), Cell::from(copy)]);
    };
    add("guests", settings.guests.as_ref());
    for (name, rule) in &settings.guest_types {
        add(&format!("guests of type {name}"), Some(rule));
    }
    add("administrators", settings.administrators.as_ref());
    add("network users", settings.network_users.as_ref());
    if let Some(quiet) = &settings.quiet_hours {
        let hours = format!("{} - {}", quiet.start, quiet.end);
        table.row([Cell::from("nobody"), Cell::from("in"), Cell::from(hours), Cell::from("")]);
    }
    table
}

/// A reminder, or why there is none, on each line.
pub(crate) fn forecasts(forecasts: &[ReminderForecast]) -> Table {
    let mut table = Table::with_head(["WHO", "TO", "SENT", "BEFORE", "EXPIRES", "NOTE"]);
    for one in forecasts {
        let note = match (one.not_reminded, one.put_off) {
            (0, true) => "put off by quiet hours".to_owned(),
            (0, false) => String::new(),
            _ => why(one),
        };
        let to = if one.address.is_empty() { channel(one.channel()) } else { &one.address };
        table.row([
            Cell::from(&one.subject),
            Cell::from(to),
            Cell::from(moment(one.send_time.as_ref())),
            Cell::from(span(one.before.as_ref())),
            Cell::from(moment(one.expire_time.as_ref())),
            Cell::from(note),
        ]);
    }
    table
}

/// A row of the ledger on each line.
pub(crate) fn reminders(reminders: &[Reminder]) -> Table {
    let mut table = Table::with_head(["EXPIRES", "BEFORE", "TO", "DECIDED", "OUTCOME", "MAIL JOB"]);
    for one in reminders {
        let outcome = match one.outcome() {
            ReminderOutcome::Mailed => "mailed",
            ReminderOutcome::Superseded => "superseded",
            ReminderOutcome::Unspecified => "-",
        };
        table.row([
            Cell::from(moment(one.expire_time.as_ref())),
            Cell::from(span(one.before.as_ref())),
            Cell::from(channel(one.channel())),
            Cell::from(moment(one.decide_time.as_ref())),
            Cell::from(outcome),
            Cell::from(&one.mail_job),
        ]);
    }
    table
}

fn channel(channel: ReminderChannel) -> &'static str {
    match channel {
        ReminderChannel::Subject => "guest or user",
        ReminderChannel::Sponsor => "sponsor",
        ReminderChannel::Unspecified => "-",
    }
}

fn why(forecast: &ReminderForecast) -> String {
    let name = forecast.not_reminded().as_str_name();
    name.trim_start_matches("NOT_REMINDED_").to_lowercase().replace('_', " ")
}
