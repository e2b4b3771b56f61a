//! How much a caller may call.

use std::time::Duration;

/// How many calls a second a caller may make in the long run, where nothing else is said: more than a portal with a page for each guest needs.
pub const CALLS_PER_SECOND: u32 = 500;
/// The most that may be given to a caller.
pub const CALLS_PER_SECOND_MAX: u32 = 100_000;
/// How many calls of a caller may be under way at once, where nothing else is said. Each stream is one as long as it is open.
pub const CALLS_AT_ONCE: u32 = 500;
/// The most that may be given to a caller: as many as some connections may have.
pub const CALLS_AT_ONCE_MAX: u32 = 10_000;
/// How many seconds' worth of calls a caller that was silent may make in one go.
pub const BURST_SECONDS: u32 = 2;

/// The limits that somebody gave to a caller; none means what is said for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallerLimits {
    pub calls_per_second: Option<u32>,
    pub calls_at_once: Option<u32>,
}

impl CallerLimits {
    pub fn calls_per_second(self) -> u32 {
        self.calls_per_second.unwrap_or(CALLS_PER_SECOND)
    }

    pub fn calls_at_once(self) -> u32 {
        self.calls_at_once.unwrap_or(CALLS_AT_ONCE)
    }
}

/// A bucket that fills steadily and gives one token for each call. `now` is monotonic, since any fixed moment.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    tokens: f64,
    filled_at: Duration,
}

impl TokenBucket {
    /// A full one.
    pub fn full(per_second: u32, now: Duration) -> Self {
        Self { tokens: capacity(per_second), filled_at: now }
    }

    /// Takes a token, or tells how long it takes until there is one.
    pub fn take(&mut self, per_second: u32, now: Duration) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.filled_at);
        let filled = self.tokens + passed.as_secs_f64() * f64::from(per_second);
        (self.tokens, self.filled_at) = (filled.min(capacity(per_second)), now);
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / f64::from(per_second)));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

fn capacity(per_second: u32) -> f64 {
    f64::from(per_second) * f64::from(BURST_SECONDS)
}

#[cfg(test)]
mod tests;
