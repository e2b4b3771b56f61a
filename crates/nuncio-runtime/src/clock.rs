//! Wall-clock time and chance, real and for tests.

use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use nuncio_core::ports::clock::{Clock, Entropy};
use tokio::time::Instant;

/// The clock of the machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The machine's randomness.
#[derive(Clone, Copy, Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn id_bytes(&self) -> [u8; 10] {
        rand::random()
    }

    fn jitter(&self) -> f64 {
        rand::random()
    }
}

/// A clock that starts at a given moment and moves with Tokio's time.
///
/// Under `#[tokio::test(start_paused = true)]` one virtual time drives this clock and every
/// `tokio::time::sleep`: a six-hour backoff takes no time to test and always ends the same way.
#[derive(Clone, Copy, Debug)]
pub struct TestClock {
    started_at: Timestamp,
    started: Instant, // tokio's
}

impl TestClock {
    pub fn starting_at(started_at: Timestamp) -> Self {
        Self { started_at, started: Instant::now() }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.started_at + self.started.elapsed()
    }
}

/// Counts where others roll dice: every id is another one, and nothing is out of step.
#[derive(Debug, Default)]
pub struct TestEntropy(AtomicU32);

impl Entropy for TestEntropy {
    fn id_bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[6..].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        bytes
    }

    fn jitter(&self) -> f64 {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::ToSpan;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_test_clock_moves_with_sleep() {
        let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let clock = TestClock::starting_at(noon);

        tokio::time::sleep(Duration::from_hours(6)).await;

        assert_eq!(clock.now(), noon + 6.hours());
    }

    #[test]
    fn ids_do_not_repeat() {
        assert_ne!(SystemEntropy.id_bytes(), SystemEntropy.id_bytes());
    }
}
