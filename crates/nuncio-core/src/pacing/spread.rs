//! Even spreading of what can wait.

use std::time::Duration;

/// The period of the limit.
const PERIOD: Duration = Duration::from_mins(1);

/// Lets patient mails go evenly through the minute, in place of all at its beginning.
///
/// A burst of bulk mails would use up the minute's budget at once, and a password that somebody waits for
/// would wait for the rest of the minute. Spread evenly, the same number goes out, and the next mail that is
/// more urgent waits no longer than until the next one is due. `now` is monotonic, since any fixed moment.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The time between two messages; zero means no limit.
    interval: Duration,
    /// When the next one is due.
    next_at: Duration,
}

impl Spread {
    /// None means that there is no limit.
    pub fn new(messages_per_minute_max: Option<u32>) -> Self {
        Self { interval: interval(messages_per_minute_max), next_at: Duration::ZERO }
    }

    /// A new limit; what is due stays due.
    pub fn set_messages_max(&mut self, messages_per_minute_max: Option<u32>) {
        self.interval = interval(messages_per_minute_max);
    }

    /// How many may start now: never more than the share of one second, but at least one when it is due.
    pub fn due(&self, now: Duration) -> u32 {
        if self.interval.is_zero() {
            return u32::MAX;
        }
        match now.checked_sub(self.next_at) {
            None => 0,
            Some(late) => 1 + share(late.min(Duration::from_secs(1)), self.interval),
        }
    }

    /// When the next one may start.
    pub fn next_at(&self) -> Duration {
        self.next_at
    }

    /// A message starts, patient or not: an urgent one takes the place of a patient one.
    pub fn start(&mut self, now: Duration) {
        // What was not used within a second is lost, or there would be a burst after each pause.
        self.next_at = self.next_at.max(now.saturating_sub(Duration::from_secs(1)));
        self.next_at += self.interval;
    }
}

fn interval(messages_per_minute_max: Option<u32>) -> Duration {
    messages_per_minute_max.map_or(Duration::ZERO, |max| PERIOD / max.max(1))
}

fn share(time: Duration, interval: Duration) -> u32 {
    u32::try_from(time.as_nanos() / interval.as_nanos()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn messages_go_evenly_through_the_minute() {
        let mut spread = Spread::new(Some(30));
        spread.start(ms(0));

        assert_eq!((spread.due(ms(1_999)), spread.next_at()), (0, ms(2_000)));
        assert_eq!(spread.due(ms(2_000)), 1);
    }

    #[test]
    fn a_late_message_does_not_delay_the_next_one() {
        let mut spread = Spread::new(Some(30));
        spread.start(ms(0));

        spread.start(ms(2_300));

        assert_eq!(spread.next_at(), ms(4_000));
    }

    #[test]
    fn a_pause_saves_up_no_more_than_a_second() {
        let mut spread = Spread::new(Some(600));
        spread.start(ms(0));

        assert_eq!(spread.due(ms(60_000)), 11);
        spread.start(ms(60_000));
        assert_eq!(spread.due(ms(60_000)), 10);
    }

    #[test]
    fn without_a_limit_everything_is_due() {
        let mut spread = Spread::new(None);
        spread.start(ms(5));

        assert_eq!(spread.due(ms(5)), u32::MAX);
    }
}
