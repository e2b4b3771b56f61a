//! What was seen, by keys such as `drain.sent_per_s`: the part of a run, and what it told.

use std::collections::BTreeMap;

use crate::failure::{Failure, Result};

/// All values by key, in the order in which they were seen.
#[derive(Default)]
pub(super) struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    pub(super) fn put(&mut self, part: &str, key: &str, value: f64) {
        self.0.entry(format!("{part}.{key}")).or_default().push(value);
    }

    /// Everything that `nuncio bench` has told.
    pub(super) fn put_all(&mut self, part: &str, json: &str) {
        for (key, value) in numbers(json) {
            self.put(part, key, value);
        }
    }

    pub(super) fn median(&self, key: &str) -> Option<f64> {
        let sorted = self.sorted(key);
        sorted.get(sorted.len() / 2).copied()
    }

    pub(super) fn lowest(&self, key: &str) -> Option<f64> {
        self.sorted(key).first().copied()
    }

    pub(super) fn highest(&self, key: &str) -> Option<f64> {
        self.sorted(key).last().copied()
    }

    fn sorted(&self, key: &str) -> Vec<f64> {
        let mut values = self.0.get(key).cloned().unwrap_or_default();
        values.sort_by(f64::total_cmp);
        values
    }
}

/// The number at `key` in JSON that has no other such key before it.
pub(super) fn number(json: &str, key: &str) -> Result<f64> {
    let found = numbers(json).find(|(name, _value)| *name == key);
    let missing = || Failure::new(format!("no number `{key}` in {json}"));
    found.map(|(_name, value)| value).ok_or_else(missing)
}

/// Each key in JSON with a number behind it.
fn numbers(json: &str) -> impl Iterator<Item = (&str, f64)> {
    // `"key": 1.5,`: what stands before a `":` up to the quote before is a key.
    let pieces = json.match_indices("\":");
    pieces.filter_map(|(at, colon)| {
        let key = json[..at].rsplit('"').next()?;
        let rest = json[at + colon.len()..].trim_start();
        let end = rest.find([',', '}', '\n', ' ']).unwrap_or(rest.len());
        Some((key, rest[..end].parse().ok()?))
    })
}

#[cfg(test)]
mod tests;
