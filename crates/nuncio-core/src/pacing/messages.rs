//! Messages a minute.

use std::collections::VecDeque;
use std::time::Duration;

/// The period over which a provider counts messages.
const PERIOD: Duration = Duration::from_mins(1);

/// A sliding window: at most so many messages in any minute.
///
/// A message counts from the moment it starts until a minute after it *ended*, because nobody here knows
/// at which moment between the two the provider counts it. `now` is monotonic, since any fixed moment.
#[derive(Clone, Debug)]
pub struct MessageWindow {
    messages_max: u32,
    in_flight: u32,
    /// When the messages that have ended count no more, earliest first.
    free_at: VecDeque<Duration>,
}

impl MessageWindow {
    pub fn new(messages_max: u32) -> Self {
        Self { messages_max, in_flight: 0, free_at: VecDeque::new() }
    }

    /// A new limit; what was sent still counts.
    pub fn set_messages_max(&mut self, messages_max: u32) {
        self.messages_max = messages_max;
    }

    /// Counts messages that ended so long ago, before all that are counted already: those of an earlier life
    /// of the node, the newest first.
    pub fn restore(&mut self, now: Duration, ended_ago: Duration, messages: u32) {
        if let Some(rest) = PERIOD.checked_sub(ended_ago) {
            for _message in 0..messages {
                self.free_at.push_front(now + rest);
            }
        }
    }

    /// How many messages may start now.
    pub fn free(&mut self, now: Duration) -> u32 {
        while self.free_at.front().is_some_and(|free_at| *free_at <= now) {
            self.free_at.pop_front();
        }
        let ended = u32::try_from(self.free_at.len()).unwrap_or(u32::MAX);
        self.messages_max.saturating_sub(self.in_flight.saturating_add(ended))
    }

    /// When the next message may start at the latest; nothing if that depends on those in flight.
    pub fn next_free_at(&self) -> Option<Duration> {
        self.free_at.front().copied()
    }

    pub fn start(&mut self) {
        self.in_flight += 1;
    }

    /// A started message has ended; `reached_provider` is false if it certainly was not counted there.
    pub fn end(&mut self, now: Duration, reached_provider: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if reached_provider {
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

        window.end(s(5), true);

        assert_eq!(window.free(s(64)), 0);
        assert_eq!(window.next_free_at(), Some(s(65)));
        assert_eq!(window.free(s(65)), 1);
    }

    #[test]
    fn a_message_that_never_reached_the_provider_costs_nothing() {
        let mut window = MessageWindow::new(1);
        window.start();

        window.end(s(1), false);

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
            window.end(s(0), true);
        }

        window.set_messages_max(2);

        assert_eq!(window.free(s(1)), 0);
    }
}
