//! What was seen, and its medians.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::failure::{Failure, Result};

/// A row of the table: its key, its name, and how many times better than Postfix it is meant to be.
type Row = (&'static str, &'static str, Better, Option<f64>);

#[derive(Clone, Copy)]
enum Better {
    Higher,
    Lower,
    /// Not compared.
    Alone,
}

/// The targets of the design: ratios to Postfix in the same run.
const ROWS: &[Row] = &[
    ("accept_per_s", "accept, durable, a second", Better::Higher, Some(10.0)),
    ("end_to_end_per_s", "end to end, a second", Better::Higher, Some(10.0)),
    ("drain_per_s", "drain a full queue, a second", Better::Higher, Some(8.0)),
    ("slow_per_s", "3 connections at 30 ms a reply, a second", Better::Higher, None),
    ("cpu_ms_per_mail", "CPU a mail, end to end, ms", Better::Lower, Some(12.0)),
    ("accept_cpu_ms", "CPU a job, accept only, ms", Better::Alone, None),
    ("accept_p99_ms", "accept, p99, 64 callers, ms", Better::Alone, None),
    ("memory_mib", "memory at most, MiB", Better::Alone, None),
    ("round_trips", "round trips a mail", Better::Alone, None),
    ("token_requests", "token requests", Better::Alone, None),
];

/// All values by key, in the order in which they were seen.
#[derive(Default)]
pub(super) struct Figures {
    nuncio: BTreeMap<&'static str, Vec<f64>>,
    peer: BTreeMap<&'static str, Vec<f64>>,
}

impl Figures {
    pub(super) fn nuncio(&mut self, key: &'static str, value: f64) {
        self.nuncio.entry(key).or_default().push(value);
    }

    pub(super) fn peer(&mut self, key: &'static str, value: f64) {
        self.peer.entry(key).or_default().push(value);
    }

    /// The medians in Markdown.
    pub(super) fn table(&self) -> String {
        let mut table =
            "| | Postfix | nuncio | ratio | target |\n|---|---|---|---|---|\n".to_owned();
        for (key, name, better, target) in ROWS {
            let (peer, own) = (median(self.peer.get(key)), median(self.nuncio.get(key)));
            let ratio = peer.zip(own).and_then(|(peer, own)| match better {
                Better::Higher => Some(own / peer),
                Better::Lower => Some(peer / own),
                Better::Alone => None,
            });
            let times =
                |ratio: Option<f64>| ratio.map_or("–".to_owned(), |one| format!("{one:.1} ×"));
            writeln!(
                table,
                "| {name} | {} | {} | {} | {} |",
                shown(peer),
                shown(own),
                times(ratio),
                times(*target)
            )
            .expect("a string takes everything");
        }
        table
    }
}

fn median(values: Option<&Vec<f64>>) -> Option<f64> {
    let mut values = values?.clone();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn shown(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.0}"),
    }
}

/// The number at `key` in JSON that has no other such key.
pub(super) fn number(json: &str, key: &str) -> Result<f64> {
    let missing = || Failure::new(format!("no number `{key}` in {json}"));
    let (_before, rest) = json.split_once(&format!("\"{key}\":")).ok_or_else(missing)?;
    let rest = rest.trim_start();
    let end = rest.find([',', '}', '\n', ' ']).unwrap_or(rest.len());
    rest[..end].parse().map_err(|_| missing())
}

#[cfg(test)]
mod tests;
