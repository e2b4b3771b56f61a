//! The limits of each mailbox: connections at once, messages a minute, recipients a day.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

const MINUTE: Duration = Duration::from_mins(1);

const DAY: Duration = Duration::from_hours(24);

/// The use that mailboxes make of their limits.
pub(crate) struct MailboxLimits {
    limits: Limits,
    minute: Duration,
    day: Duration,
    usage: Mutex<HashMap<String, Usage>>,
}

#[derive(Default)]
struct Usage {
    submitting: u32,
    /// When the messages of the last minute were accepted, oldest first.
    messages: VecDeque<Instant>,
    /// When the recipients of the last day were accepted, and how many, oldest first.
    recipients: VecDeque<(Instant, u64)>,
    recipients_sum: u64,
}

/// A limit that a message would exceed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exceeded {
    /// There is room again after this time.
    Rate {
        wait: Duration,
    },
    RecipientsPerDay,
}

impl MailboxLimits {
    pub(crate) fn new(limits: Limits) -> Self {
        // Not below a thousandth, so that a zero in a script stops no time.
        let scale = if limits.time_scale.is_finite() { limits.time_scale.max(0.001) } else { 1.0 };
        Self {
            minute: MINUTE.div_f64(scale),
            day: DAY.div_f64(scale),
            limits,
            usage: Mutex::default(),
        }
    }

    /// One more connection submits; true if that is within the limit. Every call needs one of `leave`.
    pub(crate) fn enter(&self, mailbox: &str) -> bool {
        self.with(mailbox, |usage| {
            usage.submitting += 1;
            usage.submitting <= self.limits.connections
        })
    }

    pub(crate) fn leave(&self, mailbox: &str) {
        self.with(mailbox, |usage| usage.submitting -= 1);
    }

    /// Books a message with so many recipients, if no limit is against it.
    pub(crate) fn admit(
        &self,
        mailbox: &str,
        recipients: u64,
        now: Instant,
    ) -> Result<(), Exceeded> {
        self.with(mailbox, |usage| {
            usage.forget(now, self.minute, self.day);
            let per_day = self.limits.recipients_per_day;
            if per_day.saturating_sub(usage.recipients_sum) < recipients {
                return Err(Exceeded::RecipientsPerDay);
            }
            let per_minute = self.limits.messages_per_minute as usize;
            if per_minute <= usage.messages.len() {
                let wait = usage
                    .messages
                    .front()
                    .map_or(self.minute, |oldest| *oldest + self.minute - now);
                return Err(Exceeded::Rate { wait });
            }
            // An absent limit keeps no record, which would grow with the load.
            if self.limits.messages_per_minute != u32::MAX {
                usage.messages.push_back(now);
            }
            if per_day != u64::MAX {
                usage.recipients.push_back((now, recipients));
                usage.recipients_sum += recipients;
            }
            Ok(())
        })
    }

    fn with<T>(&self, mailbox: &str, change: impl FnOnce(&mut Usage) -> T) -> T {
        let mut usage = self.usage.lock().expect("no code under this lock panics");
        if !usage.contains_key(mailbox) {
            usage.insert(mailbox.to_owned(), Usage::default());
        }
        change(usage.get_mut(mailbox).expect("it was inserted above"))
    }
}

impl Usage {
    fn forget(&mut self, now: Instant, minute: Duration, day: Duration) {
        while self.messages.front().is_some_and(|at| *at + minute <= now) {
            self.messages.pop_front();
        }
        while let Some((at, count)) = self.recipients.front().copied()
            && at + day <= now
        {
            self.recipients.pop_front();
            self.recipients_sum -= count;
        }
    }
}

#[cfg(test)]
mod tests;
