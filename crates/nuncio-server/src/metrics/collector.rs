//! Writes the gauges at each scrape.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use nuncio_core::job::JobState;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::metrics::gauges::Gauges;

#[derive(Debug)]
pub(super) struct GaugeCollector(pub(super) Arc<Mutex<Gauges>>);

impl Collector for GaugeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let gauges = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        encode_backlog(&mut encoder, &gauges)?;
        encode_duties(&mut encoder, &gauges)?;
        let simple = [
            (
                "smtp_connections",
                "Open connections to the SMTP server.",
                gauges.smtp_connections.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
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
                gauges.waiting_alarms.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
            ),
            (
                "nodes_live",
                "Nodes of the store that live, as this one has last seen them.",
                gauges.live_nodes.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
            ),
        ];
        for (name, help, value) in simple {
            encode_gauge(&mut encoder, name, help, None, value)?;
        }
        let help = "How far the clock of this machine is ahead of the database's.";
        let ahead = gauges.clock_ahead;
        encode_gauge(&mut encoder, "clock_ahead", help, Some(&Unit::Seconds), ahead)?;
        let instants = [
            (
                "oauth_token_expiry_timestamp",
                "When the cached access token expires.",
                gauges.oauth_token_expires_at,
            ),
            (
                "client_secret_expiry_timestamp",
                "When the client secret expires, by the date that was typed with it.",
                gauges.client_secret_expires_at,
            ),
            (
                "grpc_certificate_expiry_timestamp",
                "When the certificate expires that new connections of gRPC get.",
                gauges.grpc_certificate_expires_at,
            ),
        ];
        for (name, help, at) in instants {
            let seconds = at.map(Timestamp::as_second);
            encode_gauge(&mut encoder, name, help, Some(&Unit::Seconds), seconds)?;
        }
        Ok(())
    }
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

fn encode_duties(encoder: &mut DescriptorEncoder<'_>, gauges: &Gauges) -> fmt::Result {
    let help = "What this node does of that which one node at a time does: the primary PAN, the active MnT, the sender of a mailbox.";
    let mut metric = encoder.encode_descriptor("leads", help, None, MetricType::Gauge)?;
    for duty in &gauges.leads {
        ConstGauge::new(1_i64).encode(metric.encode_family(&[("duty", duty.as_str())])?)?;
    }
    Ok(())
}
