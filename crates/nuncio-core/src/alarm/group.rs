//! A group: the alarms of a type that share their mails, and what was said about them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::alarm::identity::digest;
use crate::alarm::mute::label_of;
use crate::alarm::settings::{AlarmRules, AlarmSettings};
use crate::alarm::{AlarmIdentity, Severity};

/// How many decisions of a group are kept.
pub const DECISIONS_MAX: usize = 20;
/// The most recipients of whom a group remembers that they were told.
pub const TOLD_MAX: usize = 2000;

/// Names a group; its type, and a digest where it is more than that.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey(pub String);

/// Counts the rounds of a group's mails. What an alarm has as news since a round is told in a later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// A group as it stands in the store.
///
/// A round of mails begins when somebody claims the group, which makes a new epoch. Alarms with news of an
/// older epoch are part of it; those that come meanwhile are part of the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub key: GroupKey,
    pub alarm_type: String,
    /// What its alarms have in common beside the type.
    pub labels: BTreeMap<String, String>,
    pub epoch: Epoch,
    /// All news of an older epoch were told, or decided not to be.
    pub told: Epoch,
    /// Who works on the present epoch.
    pub claim: Option<GroupClaim>,
    /// Whether there is news that no round has begun with.
    pub is_dirty: bool,
    /// Whether no alarm was left in it at the last look.
    pub is_empty: bool,
    pub last_mail_at: Option<Timestamp>,
    /// The mails to which the next ones refer, by language.
    pub threads: BTreeMap<String, Thread>,
    /// Who was told since it was empty.
    pub told_to: BTreeSet<String>,
    /// The last decisions, oldest first.
    pub decisions: Vec<GroupDecision>,
    /// When somebody must look at it.
    pub due_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupClaim {
    /// Whose claim it is: different for each claim ever made.
    pub token: String,
    pub until: Timestamp,
}

/// The `Message-ID`s of a group's mails in one language, with angle brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    pub first: String,
    pub last: String,
}

/// What was decided in a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDecision {
    pub at: Timestamp,
    pub epoch: Epoch,
    /// A stable name in upper case, for example `TOLD`.
    pub code: String,
    pub message: String,
    /// The names of the mail jobs that were made.
    pub mail_jobs: Vec<String>,
    pub alarms: u64,
}

impl Group {
    /// A new group with its first news.
    pub fn new(alarm: &AlarmIdentity, settings: &AlarmSettings, now: Timestamp) -> Self {
        Self {
            key: GroupKey::of(alarm, settings),
            alarm_type: alarm.alarm_type.clone(),
            labels: common_labels(alarm, settings),
            epoch: Epoch::default(),
            told: Epoch::default(),
            claim: None,
            is_dirty: true,
            is_empty: false,
            last_mail_at: None,
            threads: BTreeMap::new(),
            told_to: BTreeSet::new(),
            decisions: Vec::new(),
            due_at: now + settings.group_wait,
        }
    }

    /// Notes that there is news; whether the group has changed by it.
    pub fn touch(&mut self, settings: &AlarmSettings, now: Timestamp) -> bool {
        if self.is_dirty {
            return false;
        }
        self.is_dirty = true;
        if self.is_empty {
            // What comes now has nothing to do with what was.
            self.is_empty = false;
            self.last_mail_at = None;
            self.threads.clear();
            self.told_to.clear();
        }
        if self.claim.is_none() {
            let earliest = self.last_mail_at.map(|last| last + settings.group_interval);
            let wanted = earliest.unwrap_or(now + settings.group_wait).max(now);
            self.due_at = self.due_at.min(wanted);
        }
        true
    }

    /// Has somebody look at it at this moment at the latest; whether the group has changed by it.
    pub fn look_by(&mut self, at: Timestamp) -> bool {
        let changes = self.claim.is_none() && (at < self.due_at || self.is_empty);
        if changes {
            self.is_empty = false;
            self.due_at = self.due_at.min(at);
        }
        changes
    }

    /// Begins a round of mails.
    pub fn claim(&mut self, claim: GroupClaim) {
        self.epoch = Epoch(self.epoch.0 + 1);
        self.is_dirty = false;
        self.due_at = claim.until;
        self.claim = Some(claim);
    }

    /// Lets the claim last until this moment; false if it is not that of the present round any more.
    pub fn hold(&mut self, token: &str, until: Timestamp) -> bool {
        let Some(claim) = self.claim.as_mut().filter(|claim| claim.token == token) else {
            return false;
        };
        claim.until = until;
        self.due_at = until;
        true
    }

    /// Whether this claim is still that of the present round.
    pub fn is_claimed_by(&self, token: &str) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.token == token)
    }

    pub(super) fn note(&mut self, decision: GroupDecision) {
        self.decisions.push(decision);
        let surplus = self.decisions.len().saturating_sub(DECISIONS_MAX);
        self.decisions.drain(..surplus);
    }
}

impl GroupKey {
    pub fn of(alarm: &AlarmIdentity, settings: &AlarmSettings) -> Self {
        let labels = common_labels(alarm, settings);
        if labels.is_empty() {
            return Self(alarm.alarm_type.clone());
        }
        let parts = labels.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
        Self(format!("{}.{}", alarm.alarm_type, digest(parts)))
    }
}

fn common_labels(alarm: &AlarmIdentity, settings: &AlarmSettings) -> BTreeMap<String, String> {
    let labels = settings.group_by.iter();
    labels.map(|label| (label.clone(), label_of(alarm, label).to_owned())).collect()
}

/// How often the mails of a group repeat is told by its rules.
pub fn repeats_at(
    group: &Group,
    rules: &AlarmRules,
    kind: &crate::alarm::kind::AlarmType,
) -> Option<Timestamp> {
    let interval = rules.repeat_interval(kind)?;
    Some(group.last_mail_at? + interval)
}

/// The worse of two severities, where there are any.
pub(super) fn worse(one: Option<Severity>, other: Severity) -> Severity {
    one.map_or(other, |one| one.max(other))
}
