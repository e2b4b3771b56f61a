//! Recipients a day.

use std::collections::VecDeque;
use std::time::Duration;

/// The period over which a provider counts recipients (Exchange Online limits, "Recipient rate limit").
const PERIOD: Duration = Duration::from_hours(24);
/// How exactly the end of a message is remembered. It counts up to so much longer than a day.
const STEP: Duration = Duration::from_mins(5);

/// How much of the day is kept for mails that somebody waits for. Of Exchange Online's 10,000 recipients these are
/// 1,000 passwords, approvals and critical alarms: without them a newsletter could make a guest wait for a day.
const KEPT_FOR_URGENT_PERCENT: u32 = 10;

/// A sliding window: at most so many recipients in any 24 hours, and a little less for mails of patient classes.
///
/// The recipients of a message count from the moment it starts until a day after it *ended*, rounded up to
/// five minutes, so that a day takes no more than 290 numbers. `now` is monotonic, since any fixed moment.
#[derive(Clone, Debug)]
pub struct RecipientWindow {
    recipients_max: u32,
    in_flight: u32,
    /// How many recipients count no more from which moment, earliest first.
    leaving: VecDeque<(Duration, u32)>,
}

impl RecipientWindow {
    pub fn new(recipients_max: u32) -> Self {
        Self { recipients_max, in_flight: 0, leaving: VecDeque::new() }
    }

    /// A new limit; what was sent still counts.
    pub fn set_recipients_max(&mut self, recipients_max: u32) {
        self.recipients_max = recipients_max;
    }

    /// Counts recipients of messages that ended so long ago, before all that are counted already: those of an
    /// earlier life of the node, the newest first.
    pub fn restore(&mut self, now: Duration, ended_ago: Duration, recipients: u32) {
        if let Some(rest) = PERIOD.checked_sub(ended_ago) {
            self.leaving.push_front((now + rest, recipients));
        }
    }

    /// How many recipients may start now.
    pub fn free(&mut self, now: Duration) -> u32 {
        self.recipients_max.saturating_sub(self.used(now))
    }

    /// How many recipients count now.
    pub fn used(&mut self, now: Duration) -> u32 {
        while self.leaving.front().is_some_and(|(at, _)| *at <= now) {
            self.leaving.pop_front();
        }
        let ended = self.leaving.iter().fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
        self.in_flight.saturating_add(ended)
    }

    /// How many may count at once.
    pub fn recipients_max(&self) -> u32 {
        self.recipients_max
    }

    /// Whether a message to so many recipients may start.
    pub fn fits(&mut self, recipients: u32, is_patient: bool, now: Duration) -> bool {
        self.needed(recipients, is_patient) <= self.free(now)
    }

    /// When such a message may start at the latest, if no others do before; nothing if that depends on those in
    /// flight, or if its recipients are more than the limit.
    pub fn fits_at(
        &mut self,
        recipients: u32,
        is_patient: bool,
        now: Duration,
    ) -> Option<Duration> {
        let needed = self.needed(recipients, is_patient);
        let mut free = self.free(now);
        if needed <= free {
            return Some(now);
        }
        self.leaving.iter().find_map(|(at, count)| {
            free = free.saturating_add(*count);
            (needed <= free).then_some(*at)
        })
    }

    /// How much must be free for such a message. One that is larger than all that is patient may have goes when
    /// the whole day has room for it, or it would never go.
    fn needed(&self, recipients: u32, is_patient: bool) -> u32 {
        let kept = self.recipients_max / 100 * KEPT_FOR_URGENT_PERCENT
            + self.recipients_max % 100 * KEPT_FOR_URGENT_PERCENT / 100;
        let leaves_some = is_patient && recipients <= self.recipients_max - kept;
        if leaves_some { recipients.saturating_add(kept) } else { recipients }
    }

    pub fn start(&mut self, recipients: u32) {
        self.in_flight = self.in_flight.saturating_add(recipients);
    }

    /// So many recipients of a started message were left for another one: they do not count.
    pub fn leave_out(&mut self, recipients: u32) {
        self.in_flight = self.in_flight.saturating_sub(recipients);
    }

    /// A started message has ended; `reached_provider` is false if it certainly was not counted there.
    pub fn end(&mut self, now: Duration, recipients: u32, reached_provider: bool) {
        self.in_flight = self.in_flight.saturating_sub(recipients);
        if reached_provider {
            self.leave(now + PERIOD, recipients);
        }
    }

    fn leave(&mut self, at: Duration, recipients: u32) {
        let steps = at.as_secs().div_ceil(STEP.as_secs());
        let at = Duration::from_secs(steps * STEP.as_secs());
        match self.leaving.back_mut() {
            Some((last, count)) if at <= *last => *count = count.saturating_add(recipients),
            Some(_) | None => self.leaving.push_back((at, recipients)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn h(hours: u64) -> Duration {
        Duration::from_hours(hours)
    }

    #[test]
    fn recipients_count_for_a_day_after_the_end_of_their_message() {
        let mut window = RecipientWindow::new(10);
        window.start(8);
        assert_eq!(window.free(h(0)), 2);

        window.end(h(1), 8, true);

        assert_eq!(window.free(Duration::from_secs(25 * 3600 - 1)), 2);
        assert_eq!(window.free(h(25)), 10);
    }

    #[test]
    fn a_message_that_never_reached_the_provider_costs_nothing() {
        let mut window = RecipientWindow::new(10);
        window.start(8);

        window.end(h(1), 8, false);

        assert_eq!(window.free(h(1)), 10);
    }

    #[test]
    fn it_tells_when_a_large_message_fits() {
        let mut window = RecipientWindow::new(10);
        for hour in 1..=3 {
            window.start(3);
            window.end(h(hour), 3, true);
        }

        assert_eq!(window.fits_at(1, false, h(4)), Some(h(4)));
        assert_eq!(window.fits_at(1, true, h(4)), Some(h(25)), "the last one is kept");
        assert_eq!(window.fits_at(7, false, h(4)), Some(h(26)));
        assert_eq!(window.fits_at(11, false, h(4)), None, "it never fits");
    }

    #[test]
    fn a_tenth_of_the_day_is_kept_for_what_is_urgent() {
        let mut window = RecipientWindow::new(10_000);
        window.start(8_999);

        assert!(window.fits(1, true, h(0)) && !window.fits(2, true, h(0)));
        assert!(window.fits(1_001, false, h(0)) && !window.fits(1_002, false, h(0)));
    }

    #[test]
    fn a_patient_message_that_is_larger_than_its_share_goes_when_the_day_is_empty() {
        let mut window = RecipientWindow::new(100);
        assert!(window.fits(95, true, h(0)) && window.fits(100, true, h(0)));

        window.start(6);

        assert!(!window.fits(95, true, h(0)) && window.fits(84, true, h(0)));
    }

    #[test]
    fn of_a_small_limit_nothing_is_kept() {
        assert!(RecipientWindow::new(9).fits(9, true, h(0)));
    }

    #[test]
    fn without_a_limit_everything_fits() {
        let mut window = RecipientWindow::new(u32::MAX);
        window.start(1_000_000);

        assert!(window.fits(1_000_000, true, h(0)));
    }

    #[test]
    fn what_was_sent_before_a_restart_still_counts() {
        let mut window = RecipientWindow::new(10);

        window.restore(h(0), h(2), 3);
        window.restore(h(0), h(23), 4);
        window.restore(h(0), h(30), 5);

        assert_eq!(window.free(h(0)), 3);
        assert_eq!(window.free(h(1)), 7);
    }

    #[test]
    fn a_day_of_single_messages_is_kept_in_a_bounded_space() {
        let mut window = RecipientWindow::new(u32::MAX);
        for second in 0..100_000 {
            window.start(1);
            window.end(Duration::from_secs(second), 1, true);
            window.free(Duration::from_secs(second));
        }

        assert!(window.leaving.len() <= 290, "{} numbers", window.leaving.len());
    }
}
