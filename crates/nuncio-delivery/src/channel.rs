//! The way of one mailbox to the provider as seen from one node: open, paused or closed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::job::Reason;
use nuncio_core::outcome::SendOutcome;

/// The first and the longest pause while the provider or the network is in trouble.
const UNAVAILABLE_PAUSE: Backoff =
    Backoff { min: Duration::from_secs(1), max: Duration::from_mins(1) };
/// The first and the longest pause when the mailbox sends too fast.
const THROTTLED_PAUSE: Backoff =
    Backoff { min: Duration::from_secs(2), max: Duration::from_mins(2) };
/// The first and the longest time between two probes of a closed channel. Exchange Online throttles
/// mailboxes that go on erring (continuous-error throttling), so the probes get rare.
const CLOSED_PAUSE: Backoff =
    Backoff { min: Duration::from_secs(30), max: Duration::from_mins(10) };
/// The longest pause that a provider's hint may ask for.
const HINT_MAX: Duration = Duration::from_hours(6);

#[derive(Clone, Copy)]
struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    fn pause(self, failures: u32, jitter: f64) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
        self.min.saturating_mul(factor).min(self.max).mul_f64(1.0 + jitter / 4.0)
    }
}

/// What an attempt says about the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The provider answered.
    Healthy,
    Throttled {
        reason: Reason,
        retry_after: Option<Duration>,
    },
    Unavailable {
        reason: Reason,
        retry_after: Option<Duration>,
    },
    Closed {
        reason: Reason,
    },
    /// Nothing was learnt.
    None,
}

impl Effect {
    pub fn of(outcome: &SendOutcome) -> Self {
        match outcome.clone() {
            SendOutcome::Judged(_) | SendOutcome::SenderRefused { .. } => Self::Healthy,
            SendOutcome::Unknown { reason, .. } => Self::Unavailable { reason, retry_after: None },
            SendOutcome::Throttled { reason, retry_after } => {
                Self::Throttled { reason, retry_after }
            }
            SendOutcome::Unavailable { reason, retry_after } => {
                Self::Unavailable { reason, retry_after }
            }
            SendOutcome::Closed { reason } => Self::Closed { reason },
            SendOutcome::Abandoned => Self::None,
        }
    }
}

/// How many mails may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// As many as the mailbox's budget has.
    All,
    /// One, and only if no other is under way: its outcome opens the channel or keeps it shut.
    Probe,
    /// None until then.
    NoneUntil(Duration),
}

/// The state of the channel. `now` is monotonic, since any fixed moment.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    trouble: Option<Trouble>,
    failures: u32,
}

#[derive(Clone, Debug)]
struct Trouble {
    kind: TroubleKind,
    reason: Reason,
    until: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TroubleKind {
    Paused,
    Closed,
}

impl Channel {
    pub fn permit(&self, now: Duration) -> Permit {
        match &self.trouble {
            None => Permit::All,
            Some(trouble) if now < trouble.until => Permit::NoneUntil(trouble.until),
            Some(_) => Permit::Probe,
        }
    }

    /// Learns from an attempt. Returns true if the channel has opened by it.
    pub fn observe(&mut self, effect: Effect, now: Duration, jitter: f64) -> bool {
        let (kind, backoff, reason, hint) = match effect {
            Effect::None => return false,
            Effect::Healthy => return self.recover(now),
            Effect::Throttled { reason, retry_after } => {
                (TroubleKind::Paused, THROTTLED_PAUSE, reason, retry_after)
            }
            Effect::Unavailable { reason, retry_after } => {
                (TroubleKind::Paused, UNAVAILABLE_PAUSE, reason, retry_after)
            }
            Effect::Closed { reason } => (TroubleKind::Closed, CLOSED_PAUSE, reason, None),
        };
        // Mails that were under way together fail together: that is one failure, not several.
        let known = self.trouble.as_ref().is_some_and(|one| now < one.until && kind <= one.kind);
        if known && hint.is_none() {
            return false;
        }
        if !known {
            self.failures += 1;
        }
        let pause =
            backoff.pause(self.failures, jitter).max(hint.unwrap_or_default().min(HINT_MAX));
        let before = self.trouble.as_ref().map_or(now, |trouble| trouble.until);
        let until = (now + pause).max(if known { before } else { now });
        self.trouble = Some(Trouble { kind, reason, until });
        false
    }

    /// New settings: whatever was wrong may be right now.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The state for people; `wall_now` is the wall-clock time at `now`.
    pub fn status(&self, now: Duration, wall_now: Timestamp) -> ChannelStatus {
        let Some(trouble) = &self.trouble else { return ChannelStatus::Open };
        let retry_at = wall_now + trouble.until.saturating_sub(now);
        let reason = trouble.reason.clone();
        match trouble.kind {
            TroubleKind::Paused => ChannelStatus::Paused { reason, retry_at },
            TroubleKind::Closed => ChannelStatus::Closed { reason, retry_at },
        }
    }

    /// A success before the end of a pause is a late answer from before the trouble: it opens nothing.
    fn recover(&mut self, now: Duration) -> bool {
        let probed = self.trouble.as_ref().is_some_and(|trouble| trouble.until <= now);
        if probed {
            self.reset();
        }
        probed
    }
}

/// The state of the channel for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelStatus {
    /// There are no SMTP settings yet.
    NotConfigured,
    /// Another node sends for the mailbox.
    Standby,
    Open,
    /// The provider or the network is in trouble; tried again at `retry_at`.
    Paused {
        reason: Reason,
        retry_at: Timestamp,
    },
    /// Somebody must act; probed at `retry_at`.
    Closed {
        reason: Reason,
        retry_at: Timestamp,
    },
}

/// The ways of all mailboxes of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channels(pub BTreeMap<EmailAddress, ChannelStatus>);

impl Channels {
    /// The best of them: while one mailbox sends, mails go out.
    pub fn overall(&self) -> ChannelStatus {
        let rank = |status: &ChannelStatus| match status {
            ChannelStatus::Open => (0, None),
            ChannelStatus::Paused { retry_at, .. } => (1, Some(*retry_at)),
            ChannelStatus::Closed { retry_at, .. } => (2, Some(*retry_at)),
            ChannelStatus::Standby => (3, None),
            ChannelStatus::NotConfigured => (4, None),
        };
        self.0.values().min_by_key(|one| rank(one)).cloned().unwrap_or(ChannelStatus::NotConfigured)
    }
}

#[cfg(test)]
mod tests;
