//! What is to be done for a subject now, and when to look again.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::ledger::LedgerKey;
use super::rules::{ReminderSettings, Rule, Stage};
use super::{Channel, Standing, Subject, WhyNot};

/// What is to be done for a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// At most one for each channel: the most urgent stage.
    pub send: Vec<Due>,
    /// Stages that were missed, or that were due together with a more urgent one.
    pub supersede: Vec<Due>,
    /// The guest's access is over: its state becomes `EXPIRED`.
    pub expire: bool,
    /// None means: not before the subject or the settings change.
    pub next_look: Option<Timestamp>,
}

impl Decision {
    /// Whether nothing is to be done now.
    pub fn is_idle(&self) -> bool {
        self.send.is_empty() && self.supersede.is_empty() && !self.expire
    }
}

/// A reminder that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub key: LedgerKey,
    pub stage: Stage,
    /// When it became due: so late it is now.
    pub since: Timestamp,
}

/// Decides for a subject. `ledger` holds the places that are taken, at least those of [`places`].
///
/// A stage is due from its moment until the expiry, so that a downtime is caught up. Of all that is due
/// only the most urgent stage is sent, and no stage that is longer than one that was dealt with. In quiet hours nothing
/// is sent if they end before the expiry; otherwise it is sent at once: a mail at night is better than none.
pub fn decide(
    subject: &Subject,
    settings: &ReminderSettings,
    ledger: &BTreeSet<LedgerKey>,
    now: Timestamp,
) -> Decision {
    let end = subject.expires_at.filter(|_| subject.ends);
    if end.is_some_and(|end| end <= now) {
        return Decision { expire: true, ..Decision::default() };
    }
    let nothing = Decision { next_look: end, ..Decision::default() };
    let Some(expires_at) = open_until(subject).filter(|at| now < *at) else { return nothing };
    let rule = settings.rule(&subject.group);
    if !rule.is_enabled {
        return nothing;
    }
    let coming = moments(subject, rule).map(|(_, moment)| moment).filter(|moment| now < *moment);
    let coming = coming.map(|moment| put_off(subject, settings, moment, expires_at)).min();
    let mut decision = Decision { next_look: earlier(coming, end), ..Decision::default() };
    for channel in channels(rule).filter(|channel| subject.address(*channel).is_some()) {
        decide_channel(&mut decision, subject, rule, ledger, channel, now);
    }
    let wait = put_off(subject, settings, now, expires_at);
    if !decision.send.is_empty() && now < wait {
        return Decision {
            next_look: earlier(Some(wait), decision.next_look),
            ..Decision::default()
        };
    }
    decision
}

/// When to look at a subject first, whatever stands in the ledger: never too late, perhaps too early.
pub fn first_look(subject: &Subject, settings: &ReminderSettings) -> Option<Timestamp> {
    let end = subject.expires_at.filter(|_| subject.ends);
    let Some(expires_at) = open_until(subject) else { return end };
    let rule = settings.rule(&subject.group);
    if !rule.is_enabled {
        return end;
    }
    let moments = moments(subject, rule);
    let first = moments.map(|(_, moment)| put_off(subject, settings, moment, expires_at)).min();
    earlier(first, end)
}

/// The places in the ledger that a decision of this moment has to know.
pub fn places(subject: &Subject, settings: &ReminderSettings, now: Timestamp) -> Vec<LedgerKey> {
    if subject.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Vec::new();
    }
    places_until(subject, settings, now)
}

/// Every place in the ledger that a subject can have by these settings: what a [`forecast`] has to know.
pub fn all_places(subject: &Subject, settings: &ReminderSettings) -> Vec<LedgerKey> {
    places_until(subject, settings, Timestamp::MAX)
}

fn places_until(
    subject: &Subject,
    settings: &ReminderSettings,
    until: Timestamp,
) -> Vec<LedgerKey> {
    let Some(expires_at) = open_until(subject) else { return Vec::new() };
    let rule = settings.rule(&subject.group);
    if !rule.is_enabled {
        return Vec::new();
    }
    let due = moments(subject, rule).filter(|(_, moment)| *moment <= until);
    let places = due.flat_map(|(stage, _)| {
        channels(rule).map(move |channel| key(subject, expires_at, stage, channel))
    });
    places.collect()
}

/// Every reminder that is still to come, one after the other, as if nothing changed and nuncio never stood still.
pub fn forecast(
    subject: &Subject,
    settings: &ReminderSettings,
    ledger: &BTreeSet<LedgerKey>,
    now: Timestamp,
    until: Timestamp,
) -> Vec<(Timestamp, Due)> {
    let (mut ledger, mut at) = (ledger.clone(), now);
    let mut coming = Vec::new();
    loop {
        let decision = decide(subject, settings, &ledger, at);
        for due in decision.send {
            ledger.insert(due.key.clone());
            coming.push((at, due));
        }
        ledger.extend(decision.supersede.into_iter().map(|due| due.key));
        match decision.next_look.filter(|next| at < *next && *next < until) {
            Some(next) => at = next,
            None => return coming,
        }
    }
}

/// Why a subject gets nothing by this channel, where a [`forecast`] from `now` has nothing for it.
pub fn why_not(
    subject: &Subject,
    settings: &ReminderSettings,
    ledger: &BTreeSet<LedgerKey>,
    channel: Channel,
    now: Timestamp,
) -> WhyNot {
    let expires_at = match (subject.standing, subject.expires_at) {
        (Standing::Closed(why), _) => return why,
        (Standing::Open, None) => return WhyNot::ExpiryUnknown,
        (Standing::Open, Some(at)) => at,
    };
    let rule = settings.rule(&subject.group);
    if expires_at <= now {
        WhyNot::Expired
    } else if !rule.is_enabled {
        WhyNot::SwitchedOff
    } else if subject.address(channel).is_none() {
        match channel {
            Channel::Subject => WhyNot::NoAddress,
            Channel::Sponsor => WhyNot::NoSponsor,
        }
    } else if moments(subject, rule).next().is_none() {
        WhyNot::TooShort
    } else if forecast(subject, settings, ledger, now, Timestamp::MAX)
        .iter()
        .any(|(_, due)| due.key.channel == channel)
    {
        WhyNot::Later
    } else {
        WhyNot::AlreadySent
    }
}

/// To whom reminders of a rule go.
pub fn channels(rule: &Rule) -> impl Iterator<Item = Channel> {
    let copy = rule.copy_to_sponsor;
    Channel::ALL.into_iter().filter(move |channel| match channel {
        Channel::Subject => true,
        Channel::Sponsor => copy,
    })
}

fn decide_channel(
    decision: &mut Decision,
    subject: &Subject,
    rule: &Rule,
    ledger: &BTreeSet<LedgerKey>,
    channel: Channel,
    now: Timestamp,
) {
    let Some(expires_at) = subject.expires_at else { return };
    let due: Vec<_> = moments(subject, rule).filter(|(_, moment)| *moment <= now).collect();
    // The last one is the most urgent.
    for (index, (stage, since)) in due.iter().enumerate() {
        let key = key(subject, expires_at, stage, channel);
        if ledger.contains(&key) {
            continue;
        }
        let one = Due { key, stage: (*stage).clone(), since: *since };
        if index + 1 == due.len() {
            decision.send.push(one);
        } else {
            decision.supersede.push(one);
        }
    }
}

/// When it expires, if it can be reminded of that.
fn open_until(subject: &Subject) -> Option<Timestamp> {
    match subject.standing {
        Standing::Open => subject.expires_at,
        Standing::Closed(_) => None,
    }
}

/// The stages that count for a subject with their moments, the earliest first.
fn moments<'a>(
    subject: &'a Subject,
    rule: &'a Rule,
) -> impl Iterator<Item = (&'a Stage, Timestamp)> + 'a {
    rule.stages.iter().filter_map(|stage| Some((stage, subject.moment(stage.before)?)))
}

/// The moment, or the end of its quiet hours if that comes before the expiry.
fn put_off(
    subject: &Subject,
    settings: &ReminderSettings,
    moment: Timestamp,
    expires_at: Timestamp,
) -> Timestamp {
    let quiet = settings.quiet_hours;
    let end = quiet.and_then(|quiet| quiet.end_after(moment, &subject.time_zone));
    end.filter(|end| *end < expires_at).unwrap_or(moment)
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

fn key(subject: &Subject, expires_at: Timestamp, stage: &Stage, channel: Channel) -> LedgerKey {
    LedgerKey { subject: subject.name.clone(), expires_at, before: stage.before, channel }
}

#[cfg(test)]
mod tests;
