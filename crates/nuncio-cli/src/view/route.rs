//! Routes of alarms for people.

use nuncio_api::v1::alarm_route::Target;
use nuncio_api::v1::{AlarmRoute, AlarmRouteAttempt};

use crate::output::{Cell, Table, Tone};
use crate::time::{moment, span};

/// A list of routes, one on a line.
pub(crate) fn routes(routes: &[AlarmRoute]) -> Table {
    let mut table = Table::with_head(["ROUTE", "TARGET", "USED", "WAITING", "LAST", "OUTCOME"]);
    for route in routes {
        let target = match &route.target {
            Some(Target::Webhook(webhook)) => webhook.url.clone(),
            Some(Target::Syslog(syslog)) => {
                let transport = syslog.transport().as_str_name();
                let transport = transport.trim_start_matches("SYSLOG_TRANSPORT_").to_lowercase();
                format!("syslog {}:{} {transport}", syslog.host, syslog.port)
            }
            Some(Target::Smtp(smtp)) => {
                let more = smtp.recipients.len().saturating_sub(1);
                let first = smtp.recipients.first().map_or("", String::as_str);
                let more = if more == 0 { String::new() } else { format!(" +{more}") };
                format!("mail {}:{} to {first}{more}", smtp.host, smtp.port)
            }
            None => String::new(),
        };
        let last = route.last_attempt.as_ref();
        table.row([
            Cell::from(&route.name),
            Cell::from(target),
            Cell::from(if route.disabled { "no" } else { "yes" }),
            Cell::from(route.waiting_messages.to_string()),
            Cell::from(moment(last.and_then(|last| last.attempt_time.as_ref()))),
            last.map_or_else(|| Cell::from("-"), outcome),
        ]);
    }
    table
}

/// Tries, one on a line.
pub(crate) fn attempts(attempts: &[AlarmRouteAttempt]) -> Table {
    let mut table = Table::with_head(["TIME", "TYPE", "OUTCOME", "TOOK", "MESSAGE", "ANSWER"]);
    for one in attempts {
        table.row([
            Cell::from(moment(one.attempt_time.as_ref())),
            Cell::from(&one.r#type),
            outcome(one),
            Cell::from(span(one.latency.as_ref())),
            Cell::from(&one.message_id),
            Cell::from(&one.message),
        ]);
    }
    table
}

fn outcome(attempt: &AlarmRouteAttempt) -> Cell {
    if attempt.failure.is_empty() {
        return Cell::toned(Tone::Good, "DELIVERED");
    }
    let given_up = if attempt.given_up { ", given up" } else { "" };
    Cell::toned(Tone::Bad, format!("{}{given_up}", attempt.failure))
}
