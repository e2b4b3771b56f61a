//! How often denied calls are told in the log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many lines there are in a minute for one caller, or for one address of those who do not say who they are.
const LINES_PER_MINUTE: u32 = 10;
const MINUTE: Duration = Duration::from_mins(1);
/// How many are told apart; all others are one.
const WHO_MAX: usize = 1000;

/// Who was told of in this minute.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<HashMap<String, Window>>);

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Told {
    /// Whether there shall be a line about `who` now, and how many were left out before it.
    pub(super) fn line(&self, who: &str) -> Option<u64> {
        let now = Instant::now();
        // Nothing that holds this lock can leave its value half changed.
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if WHO_MAX <= windows.len() && !windows.contains_key(who) {
            windows.retain(|_, window| now.duration_since(window.since) < MINUTE);
        }
        let who = if WHO_MAX <= windows.len() && !windows.contains_key(who) { "" } else { who };
        let new = || Window { since: now, lines: 0, left_out: 0 };
        let window = windows.entry(who.to_owned()).or_insert_with(new);
        let mut left_out = 0;
        if MINUTE <= now.duration_since(window.since) {
            left_out = window.left_out;
            *window = new();
        }
        if window.lines == LINES_PER_MINUTE {
            window.left_out += 1;
            return None;
        }
        window.lines += 1;
        Some(left_out)
    }
}

#[cfg(test)]
mod tests;
