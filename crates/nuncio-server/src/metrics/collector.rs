//! Writes the gauges at each scrape.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use nuncio_core::job::JobState;
use nuncio_delivery::observer::RecipientsOfDay;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::metrics::gauges::{Gauges, Way};

/// What is used of the day's recipients, by mailbox.
pub(super) type Days = BTreeMap<String, RecipientsOfDay>;

/// Name and meaning of a number of a day, and the number.
type OfDay = (&'static str, &'static str, fn(&RecipientsOfDay) -> u32);

#[derive(Debug)]
pub(super) struct GaugeCollector {
    pub(super) gauges: Arc<Mutex<Gauges>>,
    pub(super) days: Arc<Mutex<Days>>,
}

impl Collector for GaugeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let days = self.days.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let encoder = &mut encoder;
        encode_backlog(encoder, &gauges)?;
        encode_due_for(encoder, &gauges)?;
        encode_duties(encoder, &gauges)?;
        encode_mailboxes(encoder, &gauges, &days)?;
        encode_numbers(encoder, &gauges)?;
        encode_seconds(encoder, &gauges)
    }
}

fn encode_numbers(encoder: &mut DescriptorEncoder<'_>, gauges: &Gauges) -> fmt::Result {
    let count = |count: Option<usize>| count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let numbers = [
        (
            "store_up",
            "Whether the job store answers: 1, or 0 while no mail can be taken.",
            gauges.store_up.map(i64::from),
        ),
        (
            "smtp_connections",
            "Open connections to the SMTP server.",
            count(gauges.smtp_connections),
        ),
        (
            "channel_open",
            "Whether mail can go out: 1, or 0 if somebody or some time must help first; not there while other nodes send.",
            gauges.channel_open.map(i64::from),
        ),
        (
            "smtp_settings_generation",
            "Generation of the SMTP settings that this node uses.",
            gauges.settings_generation,
        ),
        (
            "settings_followed",
            "Whether new settings of the cluster are heard of: 1, or 0 while the last good ones are used.",
            gauges.settings_followed.map(i64::from),
        ),
        (
            "alarms_waiting",
            "Alarms of this node that wait until an MnT takes them.",
            count(gauges.waiting_alarms),
        ),
        (
            "nodes_live",
            "Nodes of the store that live, as this one has last seen them.",
            count(gauges.live_nodes),
        ),
        (
            "nodes_dead",
            "Nodes of the store that died within ten minutes and are not there again, as this one has last seen them.",
            count(gauges.dead_nodes),
        ),
    ];
    for (name, help, value) in numbers {
        encode_gauge(encoder, name, help, None, value)?;
    }
    Ok(())
}

fn encode_seconds(encoder: &mut DescriptorEncoder<'_>, gauges: &Gauges) -> fmt::Result {
    let at = |instant: Option<Timestamp>| instant.map(Timestamp::as_second);
    let seconds = [
        (
            "clock_ahead",
            "How far the clock of this machine is ahead of the database's.",
            gauges.clock_ahead,
        ),
        ("process_start_time", "When this process began.", at(gauges.started_at)),
        (
            "oauth_token_expiry_timestamp",
            "When the cached access token expires.",
            at(gauges.oauth_token_expires_at),
        ),
        (
            "client_secret_expiry_timestamp",
            "When the client secret expires, by the date that was typed with it.",
            at(gauges.client_secret_expires_at),
        ),
        (
            "grpc_certificate_expiry_timestamp",
            "When the certificate expires that new connections of gRPC get.",
            at(gauges.grpc_certificate_expires_at),
        ),
    ];
    for (name, help, value) in seconds {
        encode_gauge(encoder, name, help, Some(&Unit::Seconds), value)?;
    }
    Ok(())
}

/// For each mailbox that this node sends for: its way to the provider, and its day.
fn encode_mailboxes(
    encoder: &mut DescriptorEncoder<'_>,
    gauges: &Gauges,
    days: &Days,
) -> fmt::Result {
    if gauges.mailboxes.is_empty() && days.is_empty() {
        return Ok(());
    }
    let help = "The way from a mailbox that this node sends for to the provider: 1 for the state that it is in.";
    let mut ways =
        encoder.encode_descriptor("mailbox_channel_state", help, None, MetricType::Gauge)?;
    for (mailbox, present) in &gauges.mailboxes {
        for way in Way::ALL {
            let labels = [("mailbox", mailbox.as_str()), ("state", way.name())];
            let is_present = ConstGauge::new(i64::from(way == *present));
            is_present.encode(ways.encode_family(&labels)?)?;
        }
    }
    let of_day: [OfDay; 2] = [
        (
            "mailbox_recipients_used",
            "Recipients that count for the day of a mailbox that this node sends for.",
            |day| day.used,
        ),
        (
            "mailbox_recipients_limit",
            "Recipients that a mailbox that this node sends for may reach in a day.",
            |day| day.limit,
        ),
    ];
    for (name, help, number) in of_day {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (mailbox, day) in days {
            let labels = [("mailbox", mailbox.as_str())];
            ConstGauge::new(i64::from(number(day))).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: Option<i64>,
) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
}

fn encode_backlog(encoder: &mut DescriptorEncoder<'_>, gauges: &Gauges) -> fmt::Result {
    let Some(backlog) = gauges.backlog else { return Ok(()) };
    let help = "Mail jobs that are not in a final state.";
    let mut metric = encoder.encode_descriptor("mail_backlog", help, None, MetricType::Gauge)?;
    for (state, count) in [
        (JobState::Queued, backlog.queued),
        (JobState::Sending, backlog.sending),
        (JobState::Deferred, backlog.deferred),
        (JobState::Held, backlog.held),
    ] {
        let count = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
        count.encode(metric.encode_family(&[("state", state.name())])?)?;
    }
    Ok(())
}

fn encode_due_for(encoder: &mut DescriptorEncoder<'_>, gauges: &Gauges) -> fmt::Result {
    let Some(due_for) = gauges.due_for else { return Ok(()) };
    let help = "For how long the mail that is due longest has waited, 0 if none is due: of those that somebody waits for, and of the others.";
    let (name, unit) = ("mail_oldest_due_age", Some(&Unit::Seconds));
    let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (urgency, age) in [("urgent", due_for.urgent), ("patient", due_for.patient)] {
        let age = ConstGauge::new(age.as_secs_f64());
        age.encode(metric.encode_family(&[("urgency", urgency)])?)?;
    }
    Ok(())
}

fn encode_duties(encoder: &mut DescriptorEncoder<'_>, gauges: &Gauges) -> fmt::Result {
    let help = "What this node does of that which one node at a time does: the primary PAN, the active MnT, the sender of a mailbox.";
    let mut metric = encoder.encode_descriptor("leads", help, None, MetricType::Gauge)?;
    for duty in &gauges.leads {
        ConstGauge::new(1_i64).encode(metric.encode_family(&[("duty", duty.as_str())])?)?;
    }
    Ok(())
}
