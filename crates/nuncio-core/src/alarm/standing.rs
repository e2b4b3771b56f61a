//! An alarm as it stands in the store.

use std::time::Duration;

use jiff::Timestamp;

use crate::alarm::group::{Epoch, Group, GroupKey};
use crate::alarm::mute::Mute;
use crate::alarm::settings::Flapping;
use crate::alarm::window::Window;
use crate::alarm::{AlarmIdentity, Severity};
use crate::trace::TraceParent;

/// An alarm as it stands in the store. It lives until it is resolved, and then as long as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StandingAlarm {
    pub identity: AlarmIdentity,
    pub severity: Severity,
    pub phase: Phase,
    /// As it was raised last.
    pub description: String,
    pub details: String,
    /// How often it was raised since it began.
    pub count: u64,
    pub first_raised_at: Timestamp,
    pub last_raised_at: Timestamp,
    pub resolved_at: Option<Timestamp>,
    /// When it was over by the clock of who told it: an older raise that comes later is known by it.
    pub cleared_by_clock_at: Option<Timestamp>,
    pub acknowledgement: Option<Acknowledgement>,
    /// Why it was in no mail when it was looked at last.
    pub mute: Option<Mute>,
    pub group: GroupKey,
    /// When it began, in the count of its group.
    pub began: Epoch,
    /// When it last had news, in the count of its group.
    pub news: Epoch,
    /// Whether people knew that it fires when it had its last news.
    pub was_told: bool,
    /// Whether people were told that it fires, and must be told that it is over.
    pub owes_resolved: bool,
    pub window: Window,
    pub flaps: Flaps,
    /// The trace in which it began to fire.
    pub trace: Option<TraceParent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Raised, but the condition of its type does not hold.
    BelowThreshold,
    Firing,
    Resolved,
}

/// Who looks after an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub by: String,
    pub at: Timestamp,
    pub comment: String,
}

/// The last changes between firing and resolved; no more of them than make an alarm flap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flaps(pub Vec<Timestamp>);

impl StandingAlarm {
    /// Whether people know that it fires, or will when the mails under way are made.
    pub fn is_told(&self, group: &Group) -> bool {
        self.was_told || (self.mute.is_none() && self.news < group.epoch)
    }

    /// Whether it belongs into the mails of its group.
    pub fn is_member(&self) -> bool {
        match self.phase {
            Phase::Firing => true,
            Phase::Resolved => self.owes_resolved,
            Phase::BelowThreshold => false,
        }
    }

    /// When somebody must look at it: to forget it, where nobody waits for it.
    pub fn due_at(&self, window: Option<Duration>, retention: Duration) -> Option<Timestamp> {
        match self.phase {
            Phase::Firing => None,
            Phase::BelowThreshold => Some(self.last_raised_at + window.unwrap_or(retention)),
            Phase::Resolved if self.owes_resolved => None,
            Phase::Resolved => Some(self.resolved_at.unwrap_or(self.last_raised_at) + retention),
        }
    }
}

impl Flaps {
    /// Takes a change, and forgets those that count no more.
    pub fn take(&mut self, limits: Flapping, now: Timestamp) {
        self.0.push(now);
        let keep = usize::try_from(limits.changes).unwrap_or(usize::MAX);
        let surplus = self.0.len().saturating_sub(keep);
        self.0.drain(..surplus);
    }

    /// Until when it is held back; none if it does not flap.
    pub fn held_until(&self, limits: Flapping) -> Option<Timestamp> {
        let changes = usize::try_from(limits.changes).unwrap_or(usize::MAX);
        if changes == 0 || self.0.len() < changes {
            return None;
        }
        let (first, last) = (self.0[self.0.len() - changes], *self.0.last()?);
        (last <= first + limits.window).then(|| last + limits.hold)
    }
}
