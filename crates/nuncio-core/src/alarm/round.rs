//! A round of mails about a group: look at its alarms, then decide what is said to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::alarm::Severity;
use crate::alarm::group::{Epoch, Group, GroupDecision, TOLD_MAX, repeats_at, worse};
use crate::alarm::kind::AlarmType;
use crate::alarm::mute::{MuteQuestion, Muting, is_urgent, muted};
use crate::alarm::recipient::{Admission, Lane, MailSummary};
use crate::alarm::settings::AlarmRules;
use crate::alarm::standing::{Phase, StandingAlarm};
use crate::trace::TraceParent;

/// How many alarms a mail shows; it counts the others.
pub const SHOWN_MAX: usize = 20;
/// How long a group is kept in which no alarm is left: its decisions can be seen so long.
pub const EMPTY_KEPT: Duration = Duration::from_hours(7 * 24);
/// How long a group waits that waits for nothing.
const IDLE: Duration = Duration::from_hours(24);

/// A round of mails about a claimed group.
#[derive(Debug)]
pub struct Round<'a> {
    pub group: Group,
    pub kind: &'a AlarmType,
    pub rules: &'a AlarmRules,
    pub muting: &'a Muting,
    pub now: Timestamp,
    pub seen: Seen,
}

/// What was seen of a group's alarms. It stays small, however many there are.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// All that are left in the group.
    pub members: u64,
    /// Those that fire and are not muted.
    pub firing: u64,
    /// Of these, those with news.
    pub news: u64,
    /// Those that are over, told and not muted.
    pub resolved: u64,
    pub muted: BTreeMap<&'static str, u64>,
    pub worst: Option<Severity>,
    pub worst_news: Option<Severity>,
    /// How often all that fire were raised.
    pub raises: u64,
    pub first_raised_at: Option<Timestamp>,
    /// Those with news first, the worst of them first; at most [`SHOWN_MAX`].
    pub shown: Vec<StandingAlarm>,
    /// The ends, at most [`SHOWN_MAX`].
    pub shown_resolved: Vec<StandingAlarm>,
    /// When the first mute may have ended.
    pub recheck_at: Option<Timestamp>,
}

/// What is to be done with an alarm that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    Keep,
    /// It has changed, and stays in the group.
    Write(Box<StandingAlarm>),
    /// Nothing more is owed: it leaves the group.
    Release(Box<StandingAlarm>),
}

/// Somebody who gets the mails of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressee {
    pub address: String,
    pub locale: String,
}

/// What a round says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Say {
    /// Alarms with news, and perhaps ends of others.
    News,
    /// Alarms stand that were told before.
    Repeat,
    /// Only ends.
    Resolved,
}

/// A mail before it is written: to all of one language who are told the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedMail {
    pub say: Say,
    /// Whether it tells what fires.
    pub tells_firing: bool,
    /// Whether it tells what is over.
    pub tells_resolved: bool,
    pub locale: String,
    pub addresses: Vec<String>,
    pub lane: Lane,
}

impl Round<'_> {
    /// Looks at an alarm of the group.
    pub fn look(&mut self, mut alarm: StandingAlarm) -> Look {
        if self.group.epoch <= alarm.news && alarm.is_member() {
            // It came after this round began: the next one tells it.
            self.seen.members += 1;
            return Look::Keep;
        }
        if !alarm.is_member() {
            return Look::Release(Box::new(alarm));
        }
        let told = alarm.news < self.group.told;
        let was_muted = alarm.mute.is_some();
        if alarm.phase == Phase::Resolved && told && !was_muted {
            alarm.owes_resolved = false;
            return Look::Release(Box::new(alarm));
        }
        let question =
            MuteQuestion { rules: self.rules, kind: self.kind, muting: self.muting, now: self.now };
        let mute = muted(&alarm, question);
        self.seen.members += 1;
        let changed = mute != alarm.mute;
        if let Some(mute) = mute {
            self.see_muted(mute.code(), mute.ends_at());
            if !was_muted {
                alarm.was_told |= told;
            }
            alarm.mute = Some(mute);
        } else {
            if was_muted && (!alarm.was_told || alarm.phase == Phase::Resolved) {
                // Nobody knows yet: it is news of this round.
                alarm.news = Epoch(self.group.epoch.0 - 1);
            }
            alarm.mute = None;
            self.see(&alarm);
        }
        if changed { Look::Write(Box::new(alarm)) } else { Look::Keep }
    }

    fn see_muted(&mut self, code: &'static str, ends_at: Option<Timestamp>) {
        *self.seen.muted.entry(code).or_default() += 1;
        // A silence may be deleted and a cause may end: that is seen within the interval.
        let recheck = self.now + self.rules.settings.group_interval;
        let at = ends_at.map_or(recheck, |end| end.clamp(self.now, recheck));
        self.seen.recheck_at = Some(self.seen.recheck_at.map_or(at, |known| known.min(at)));
    }

    fn see(&mut self, alarm: &StandingAlarm) {
        let seen = &mut self.seen;
        if alarm.phase == Phase::Resolved {
            seen.resolved += 1;
            if seen.shown_resolved.len() < SHOWN_MAX {
                seen.shown_resolved.push(alarm.clone());
            }
            return;
        }
        seen.firing += 1;
        seen.raises = seen.raises.saturating_add(alarm.count);
        seen.worst = Some(worse(seen.worst, alarm.severity));
        let first = seen.first_raised_at;
        seen.first_raised_at =
            Some(first.map_or(alarm.first_raised_at, |at| at.min(alarm.first_raised_at)));
        let told = self.group.told;
        let is_news = |one: &StandingAlarm| told <= one.news;
        if is_news(alarm) {
            seen.news += 1;
            seen.worst_news = Some(worse(seen.worst_news, alarm.severity));
        }
        let rank = |one: &StandingAlarm| (is_news(one), one.severity);
        if seen.shown.len() < SHOWN_MAX {
            seen.shown.push(alarm.clone());
        } else if let Some(least) = seen.shown.iter_mut().min_by_key(|one| rank(one))
            && rank(least) < rank(alarm)
        {
            *least = alarm.clone();
        }
    }

    /// The traces of the alarms that its mails show: of those with news first, so that the first one is what the round is
    /// a part of.
    pub fn traces(&self) -> Vec<TraceParent> {
        let (news, told): (Vec<_>, Vec<_>) =
            self.seen.shown.iter().partition(|alarm| self.group.told <= alarm.news);
        let all = news.into_iter().chain(told).chain(&self.seen.shown_resolved);
        let mut traces: Vec<TraceParent> = Vec::new();
        for trace in all.filter_map(|alarm| alarm.trace.as_ref()) {
            if !traces.contains(trace) {
                traces.push(trace.clone());
            }
        }
        traces
    }

    /// What is said now; none if there is nothing to say.
    pub fn say(&self) -> Option<Say> {
        if 0 < self.seen.news {
            return Some(Say::News);
        }
        if 0 < self.seen.resolved {
            return Some(Say::Resolved);
        }
        let repeats_at = repeats_at(&self.group, self.rules, self.kind)?;
        (0 < self.seen.firing && repeats_at <= self.now).then_some(Say::Repeat)
    }

    /// The mails to be written, before anybody's limit is asked: an end is only told to who was told the beginning.
    pub fn plan(&self, say: Say, addressees: &[Addressee]) -> Vec<PlannedMail> {
        let tells_firing = say != Say::Resolved;
        let has_resolved = 0 < self.seen.resolved;
        let lane = self.lane(say);
        let mut mails: BTreeMap<(&str, bool, bool), Vec<String>> = BTreeMap::new();
        let known: BTreeSet<&str> = addressees.iter().map(|one| one.address.as_str()).collect();
        for one in addressees {
            let tells_resolved = has_resolved && self.group.told_to.contains(&one.address);
            if tells_firing || tells_resolved {
                let key = (one.locale.as_str(), tells_firing, tells_resolved);
                mails.entry(key).or_default().push(one.address.clone());
            }
        }
        let former = self.group.told_to.iter().filter(|one| !known.contains(one.as_str()));
        for address in former.filter(|_| has_resolved) {
            let locale = self.rules.settings.locale.as_str();
            mails.entry((locale, false, true)).or_default().push(address.clone());
        }
        let mails = mails.into_iter();
        let mails = mails.map(|((locale, tells_firing, tells_resolved), addresses)| PlannedMail {
            say: if tells_firing { say } else { Say::Resolved },
            tells_firing,
            tells_resolved,
            locale: locale.to_owned(),
            addresses,
            lane: if tells_firing { lane } else { Lane::Normal },
        });
        mails.collect()
    }

    fn lane(&self, say: Say) -> Lane {
        let severity = match say {
            Say::News => self.seen.worst_news,
            Say::Repeat => self.seen.worst,
            Say::Resolved => None,
        };
        if severity.is_some_and(is_urgent) { Lane::Critical } else { Lane::Normal }
    }

    /// What a mail says, for a digest that replaces it.
    pub fn summary(&self, mail: &PlannedMail) -> MailSummary {
        let alarms = match mail.say {
            Say::News => self.seen.news,
            Say::Repeat => self.seen.firing,
            Say::Resolved => 0,
        };
        MailSummary {
            alarm_type: self.kind.id.clone(),
            alarms,
            resolved: if mail.tells_resolved { self.seen.resolved } else { 0 },
            lane: mail.lane,
            locale: mail.locale.clone(),
        }
    }

    /// Ends the round: notes who was told what, and when the group is looked at next.
    pub fn end(&mut self, say: Option<Say>, results: &[RoundResult]) {
        let (now, epoch) = (self.now, self.group.epoch);
        if let Some(say) = say {
            for result in results.iter().filter(|one| one.tells_firing) {
                if self.group.told_to.len() < TOLD_MAX {
                    self.group.told_to.insert(result.address.clone());
                }
            }
            self.group.last_mail_at = Some(now);
            self.group.note(self.decision(say, results));
        } else if !self.seen.muted.is_empty() {
            self.note_muted();
        }
        self.group.told = epoch;
        self.group.claim = None;
        self.group.is_empty = self.seen.members == 0 && !self.group.is_dirty;
        self.group.due_at = self.next_due(say);
    }

    fn decision(&self, say: Say, results: &[RoundResult]) -> GroupDecision {
        let limited = results.iter().filter(|one| one.admission != Admission::Mail).count();
        let mailed = results.len() - limited;
        let mail_jobs: BTreeSet<String> =
            results.iter().filter_map(|one| one.mail_job.clone()).collect();
        let code = match say {
            Say::News | Say::Repeat if results.is_empty() => "NO_RECIPIENT",
            Say::News | Say::Repeat | Say::Resolved if mailed == 0 && 0 < limited => "LIMITED",
            Say::News => "TOLD",
            Say::Repeat => "REPEATED",
            Say::Resolved => "RESOLVED_TOLD",
        };
        let mut message = if results.is_empty() {
            "nobody gets mails of this type; name recipients".to_owned()
        } else {
            format!("told to {mailed} recipients")
        };
        if 0 < limited {
            let number = results.iter().find_map(|one| match one.admission {
                Admission::Digest(number) => Some(number),
                Admission::Mail => None,
            });
            let number = number.unwrap_or_default();
            message = format!(
                "{message}; {limited} over their limit: counted in a digest (number {number})"
            );
        }
        for (code, count) in &self.seen.muted {
            message = format!("{message}; {count} {code}");
        }
        let alarms = match say {
            Say::News => self.seen.news,
            Say::Repeat => self.seen.firing,
            Say::Resolved => self.seen.resolved,
        };
        GroupDecision {
            at: self.now,
            epoch: self.group.epoch,
            code: code.to_owned(),
            message,
            mail_jobs: mail_jobs.into_iter().collect(),
            alarms,
        }
    }

    /// Notes why nothing was said, unless that was the last thing noted.
    fn note_muted(&mut self) {
        let (code, _count) = self.seen.muted.iter().next().expect("the caller has looked");
        let parts = self.seen.muted.iter().map(|(code, count)| format!("{count} {code}"));
        let message = format!("nothing to tell: {}", parts.collect::<Vec<_>>().join(", "));
        let last = self.group.decisions.last();
        if last.is_some_and(|last| last.message == message) {
            return;
        }
        let decision = GroupDecision {
            at: self.now,
            epoch: self.group.epoch,
            code: (*code).to_owned(),
            message,
            mail_jobs: Vec::new(),
            alarms: self.seen.muted.values().sum(),
        };
        self.group.note(decision);
    }

    fn next_due(&self, say: Option<Say>) -> Timestamp {
        let now = self.now;
        if self.group.is_empty {
            return now + EMPTY_KEPT;
        }
        let interval = self.rules.settings.group_interval;
        let mut due = now + IDLE;
        if self.group.is_dirty || say.is_some() && 0 < self.seen.resolved {
            due = due.min(now + interval);
        }
        if let Some(at) = self.seen.recheck_at {
            due = due.min(at.max(now + RECHECK_MIN));
        }
        if 0 < self.seen.firing
            && let Some(at) = repeats_at(&self.group, self.rules, self.kind)
        {
            due = due.min(at.max(now + RECHECK_MIN));
        }
        due
    }
}

/// The least time between two rounds of a group.
const RECHECK_MIN: Duration = Duration::from_secs(1);

/// What became of a mail for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundResult {
    pub address: String,
    pub tells_firing: bool,
    pub admission: Admission,
    /// The name of the mail job, where one was made.
    pub mail_job: Option<String>,
}

#[cfg(test)]
mod tests;
