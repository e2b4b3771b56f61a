//! Messages a minute.

use std::collections::VecDeque;
use std::time::Duration;

/// The period over which a provider counts messages.
const PERIOD: Duration = Duration::from_mins(1);

/// A sliding window: at most so many messages in any minute.
///
/// A message counts from the moment it starts until about a minute after it *ended*, because nobody here knows
/// at which moment between the two the provider counts it.
///
/// The next message in its place starts a little before that minute is over. If the provider counts at the end, it
/// counts the next one as much later as that one takes: so half of the shortest time that a message took lately is
/// no risk. If it counts at the beginning, the minute was over before. `now` is monotonic, since any fixed moment.
#[derive(Clone, Debug)]
pub struct MessageWindow {
    messages_max: u32,
    in_flight: u32,
    /// When a minute after the end of each message is over that still counts, earliest first.
    free_at: VecDeque<Duration>,
    shortest: Shortest,
}

/// The shortest time that a message took in the last one or two minutes.
#[derive(Clone, Copy, Debug, Default)]
struct Shortest {
    /// When this minute began.
    since: Duration,
    of_this_minute: Option<Duration>,
    of_the_last: Option<Duration>,
}

impl Shortest {
    fn note(&mut self, now: Duration, took: Duration) {
        self.pass(now);
        self.of_this_minute = Some(self.of_this_minute.map_or(took, |before| before.min(took)));
    }

    /// Zero if nobody knows.
    fn lately(&self) -> Duration {
        self.of_this_minute.into_iter().chain(self.of_the_last).min().unwrap_or_default()
    }

    fn pass(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since);
        if passed < PERIOD {
            return;
        }
        self.of_the_last = self.of_this_minute.filter(|_| passed < 2 * PERIOD);
        (self.since, self.of_this_minute) = (now, None);
    }
}

impl MessageWindow {
    pub fn new(messages_max: u32) -> Self {
        let (free_at, shortest) = (VecDeque::new(), Shortest::default());
        Self { messages_max, in_flight: 0, free_at, shortest }
    }

    /// A new limit; what was sent still counts.
    pub fn set_messages_max(&mut self, messages_max: u32) {
        self.messages_max = messages_max;
    }

    /// Counts messages that ended so long ago, before all that are counted already: those of an earlier life
    /// of the node, the newest first.
    pub fn restore(&mut self, now: Duration, ended_ago: Duration, messages: u32) {
        if ended_ago < PERIOD {
            // How long they took is not known.
            self.shortest.note(now, Duration::ZERO);
            for _message in 0..messages {
                self.free_at.push_front((now + PERIOD).saturating_sub(ended_ago));
            }
        }
    }

    /// How many messages may start now.
    pub fn free(&mut self, now: Duration) -> u32 {
        self.shortest.pass(now);
        while self.next_free_at().is_some_and(|free_at| free_at <= now) {
            self.free_at.pop_front();
        }
        let ended = u32::try_from(self.free_at.len()).unwrap_or(u32::MAX);
        self.messages_max.saturating_sub(self.in_flight.saturating_add(ended))
    }

    /// When the next message may start at the latest; nothing if that depends on those in flight.
    pub fn next_free_at(&self) -> Option<Duration> {
        let head_start = self.shortest.lately() / 2;
        self.free_at.front().map(|free_at| free_at.saturating_sub(head_start))
    }

    pub fn start(&mut self) {
        self.in_flight += 1;
    }

    /// A message that started so long ago has ended; `reached_provider` is false if it certainly was not counted
    /// there.
    pub fn end(&mut self, now: Duration, took: Duration, reached_provider: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if reached_provider {
            self.shortest.note(now, took);
            self.free_at.push_back(now + PERIOD);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_message_counts_until_a_minute_after_its_end() {
        let mut window = MessageWindow::new(1);
        window.start();
        assert_eq!(window.free(s(0)), 0);

        window.end(s(5), s(0), true);

        assert_eq!(window.free(s(64)), 0);
        assert_eq!(window.next_free_at(), Some(s(65)));
        assert_eq!(window.free(s(65)), 1);
    }

    #[test]
    fn the_next_message_starts_half_of_the_shortest_time_before_the_minute_is_over() {
        let mut window = MessageWindow::new(2);
        for took in [4, 2] {
            window.start();
            window.end(s(10), s(took), true);
        }

        assert_eq!((window.free(s(68)), window.next_free_at()), (0, Some(s(69))));
        assert_eq!(window.free(s(69)), 2);
    }

    #[test]
    fn how_long_messages_took_is_forgotten_after_two_minutes() {
        let mut window = MessageWindow::new(2);
        for (at, took) in [(10, 2), (80, 6), (150, 8)] {
            window.start();
            window.end(s(at), s(took), true);
            window.free(s(at));
        }

        assert_eq!(window.next_free_at(), Some(s(150 + 60 - 3)));
    }

    #[test]
    fn after_a_restart_nobody_knows_how_long_a_message_takes() {
        let mut window = MessageWindow::new(2);
        window.restore(s(0), s(10), 1);
        window.start();
        window.end(s(2), s(2), true);

        assert_eq!(window.next_free_at(), Some(s(50)));
    }

    #[test]
    fn a_message_that_never_reached_the_provider_costs_nothing() {
        let mut window = MessageWindow::new(1);
        window.start();

        window.end(s(1), s(1), false);

        assert_eq!(window.free(s(1)), 1);
    }

    #[test]
    fn what_was_sent_before_a_restart_still_counts() {
        let mut window = MessageWindow::new(3);

        for ago in [10, 50, 61] {
            window.restore(s(0), s(ago), 1);
        }

        assert_eq!(window.free(s(0)), 1);
        assert_eq!(window.next_free_at(), Some(s(10)));
        assert_eq!(window.free(s(50)), 3);
    }

    #[test]
    fn a_smaller_limit_counts_what_was_sent_before() {
        let mut window = MessageWindow::new(3);
        for _ in 0..2 {
            window.start();
            window.end(s(0), s(0), true);
        }

        window.set_messages_max(2);

        assert_eq!(window.free(s(1)), 0);
    }
}
