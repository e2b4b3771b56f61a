//! The time of the database, which all its nodes have in common.
//!
//! Leases end by the clock of whoever looks: a node whose machine is some minutes ahead would take the mails that
//! others send for those of dead nodes. So the nodes of a database go by its clock. Between two looks at it, a node
//! counts on by its own steady clock, which nobody sets.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::ports::clock::Clock;
use tokio::time::Instant;

/// What the two may differ by before the node follows: so a slow answer does not move its time to and fro, and leases
/// are much longer.
const DIFFERENCE_MAX: Duration = Duration::from_secs(1);

/// Tells the database's time.
#[derive(Debug)]
pub(super) struct DatabaseClock {
    last: Mutex<Told>,
}

/// A time that the database has told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    time: Timestamp,
    at: Instant,
    /// How far it may be wrong: nobody knows when on the way of question and answer it was true.
    error_max: Duration,
}

impl Told {
    /// The database's answer to a question of this moment, which has just come.
    pub(super) fn answer(time: Timestamp, asked_at: Instant) -> Self {
        let error_max = asked_at.elapsed() / 2;
        Self { time, at: asked_at + error_max, error_max }
    }

    fn now(self) -> Timestamp {
        self.time + self.at.elapsed()
    }
}

impl DatabaseClock {
    pub(super) fn new(told: Told) -> Self {
        Self { last: Mutex::new(told) }
    }

    /// Follows the database, if its time is another one than this clock's.
    pub(super) fn learn(&self, told: Told) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = told.now().duration_since(last.now());
        if ahead.unsigned_abs() <= DIFFERENCE_MAX + told.error_max {
            return;
        }
        let seconds = ahead.as_secs();
        tracing::warn!(
            seconds,
            "the time of the database has moved by {seconds} s; this node follows"
        );
        *last = told;
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).now()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn told(time: Timestamp) -> Told {
        Told::answer(time, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_between_two_looks() {
        let clock = DatabaseClock::new(told(START));

        advance(s(3600)).await;

        assert_eq!(clock.now(), START + s(3600));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_was_true_in_the_middle_of_its_way() {
        let asked_at = Instant::now();
        advance(s(4)).await;

        let clock = DatabaseClock::new(Told::answer(START, asked_at));

        assert_eq!(clock.now(), START + s(2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_differs_by_little_moves_nothing() {
        let clock = DatabaseClock::new(told(START));
        clock.learn(told(START + s(1)));
        assert_eq!(clock.now(), START);

        let asked_at = Instant::now();
        advance(s(10)).await;
        clock.learn(Told::answer(START, asked_at));

        assert_eq!(clock.now(), START + s(10), "the answer may be that old");
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_whose_time_moves_is_followed_both_ways() {
        let clock = DatabaseClock::new(told(START));

        clock.learn(told(START + s(300)));
        assert_eq!(clock.now(), START + s(300));

        clock.learn(told(START));
        assert_eq!(clock.now(), START);
    }
}
