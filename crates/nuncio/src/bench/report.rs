//! The figures, for people and for programs.

use std::time::Duration;

use nuncio_cli::globals::Format;
use nuncio_cli::output::{Cell, Output, Table, Tone};
use serde_json::{Map, Value, json};

use crate::bench::process::Memory;
use crate::bench::sink::SinkStats;
use crate::bench::{Failure, Mode};

/// What was measured.
pub(super) struct Report {
    pub(super) mode: Mode,
    pub(super) size: usize,
    pub(super) concurrency: u32,
    pub(super) connections: i32,
    pub(super) reply_delay_ms: u64,
    /// How many jobs were accepted.
    pub(super) jobs: u64,
    /// How many of them ended otherwise than sent.
    pub(super) not_sent: u64,
    pub(super) accept_time: Duration,
    pub(super) send_time: Option<Duration>,
    /// From each call to its answer.
    pub(super) submit: Spans,
    /// From each call until the watch told that the mail was sent.
    pub(super) sent: Spans,
    /// What was used until all jobs were accepted, and until all mails were sent.
    pub(super) accept_cpu: Usage,
    pub(super) cpu: Usage,
    pub(super) memory: Option<Memory>,
    pub(super) sink: Option<SinkStats>,
}

/// Processor time of a part of the measurement; nothing where it is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) node: Option<Duration>,
    pub(super) sink: Option<Duration>,
    /// The load generator: this process without its sink.
    pub(super) load: Option<Duration>,
    /// Everything else on the machine: a server of a database, other people's work.
    pub(super) others: Option<Duration>,
}

/// Spans of time, the shortest first.
pub(super) struct Spans(Vec<Duration>);

impl Spans {
    pub(super) fn new(mut spans: Vec<Duration>) -> Self {
        spans.sort_unstable();
        Self(spans)
    }

    /// The span that `percent` of all do not exceed (nearest rank).
    pub(super) fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 mails")]
pub(super) fn rate(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 mails")]
pub(super) fn each(total: f64, count: u64) -> f64 {
    total / count.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 mails")]
fn round_trips(sink: SinkStats) -> f64 {
    each(sink.round_trips as f64, sink.mails)
}

pub(super) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

const PERCENTILES: [(usize, &str); 4] = [(50, "p50"), (90, "p90"), (99, "p99"), (100, "max")];

impl Report {
    pub(super) fn tell(&self, out: &mut Output) -> Result<(), Failure> {
        match out.format() {
            Format::Json => out.value(&self.json())?,
            Format::Table => out.table(&self.table())?,
        }
        Ok(())
    }

    /// Flat, so that any program can read it.
    fn json(&self) -> Value {
        let mut values = Map::new();
        let mut put = |name: &str, value: Value| drop(values.insert(name.to_owned(), value));
        put("mode", json!(self.mode.name()));
        put("size_bytes", json!(self.size));
        put("concurrency", json!(self.concurrency));
        put("connections", json!(self.connections));
        put("reply_delay_ms", json!(self.reply_delay_ms));
        put("jobs", json!(self.jobs));
        put("not_sent", json!(self.not_sent));
        put("accept_s", json!(self.accept_time.as_secs_f64()));
        put("accept_per_s", json!(rate(self.jobs, self.accept_time)));
        if let Some(time) = self.send_time {
            put("send_s", json!(time.as_secs_f64()));
            put("sent_per_s", json!(rate(self.jobs - self.not_sent, time)));
        }
        for (name, spans) in [("submit", &self.submit), ("sent", &self.sent)] {
            for (percent, percent_name) in PERCENTILES {
                if let Some(span) = spans.percentile(percent) {
                    put(&format!("{name}_{percent_name}_ms"), json!(millis(span)));
                }
            }
        }
        let parts = [
            ("accept_cpu_ms_per_job", self.accept_cpu.node),
            ("cpu_ms_per_mail", self.cpu.node),
            ("sink_cpu_ms_per_mail", self.cpu.sink),
            ("load_cpu_ms_per_job", self.cpu.load),
            ("others_cpu_ms_per_mail", self.cpu.others),
        ];
        for (name, cpu) in parts {
            if let Some(cpu) = cpu {
                put(name, json!(each(millis(cpu), self.jobs)));
            }
        }
        if let Some(memory) = self.memory {
            put("resident_mib", json!(memory.now));
            put("resident_max_mib", json!(memory.max));
        }
        if let Some(sink) = self.sink {
            put("sink_mails", json!(sink.mails));
            put("sink_repeated", json!(sink.repeated));
            put("token_requests", json!(sink.token_requests));
            put("connections_max", json!(sink.connections_max));
            put("round_trips_per_mail", json!(round_trips(sink)));
        }
        Value::Object(values)
    }

    fn table(&self) -> Table {
        let mut table = Table::list();
        let load = format!(
            "{} jobs of {} bytes, {} calls at once",
            self.jobs, self.size, self.concurrency
        );
        table.value(self.mode.name(), load);
        let accepted = format!("{:.0}/s", rate(self.jobs, self.accept_time));
        table.value("accepted, durable", Cell::toned(Tone::Strong, accepted));
        if let Some(time) = self.send_time {
            let sent = format!("{:.0}/s", rate(self.jobs - self.not_sent, time));
            table.value("sent", Cell::toned(Tone::Strong, sent));
        }
        if 0 < self.not_sent {
            table.value("not sent", Cell::toned(Tone::Bad, self.not_sent.to_string()));
        }
        table.value("time to accept", self.submit.told());
        table.value("time until SENT is told", self.sent.told());
        table.value("CPU for each job", self.cpu_told());
        if let Some(Memory { now, max }) = self.memory {
            let text = format!("{now:.0} MiB, at most {max:.0} MiB");
            table.value("memory of the node", text);
        }
        if let Some(sink) = self.sink {
            let text = format!("{} mails, {} of them repeated", sink.mails, sink.repeated);
            table.value("sink", text);
            table.value("connections", format!("at most {}", sink.connections_max));
            table.value("round trips", format!("{:.2} a mail", round_trips(sink)));
            table.value("token requests", sink.token_requests.to_string());
        }
        table
    }
}

impl Report {
    /// Who used how much for each job; empty where nothing is known.
    fn cpu_told(&self) -> String {
        let parts = [
            ("node", self.cpu.node),
            ("sink", self.cpu.sink),
            ("load generator", self.cpu.load),
            ("others", self.cpu.others),
        ];
        let told = parts.into_iter().filter_map(|(name, cpu)| {
            Some(format!("{name} {:.3} ms", each(millis(cpu?), self.jobs)))
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

impl Spans {
    /// All percentiles in a line; empty where there are none.
    pub(super) fn told(&self) -> String {
        let told = PERCENTILES.iter().filter_map(|(percent, name)| {
            let span = self.percentile(*percent)?;
            Some(format!("{name} {:.1} ms", millis(span)))
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests;
