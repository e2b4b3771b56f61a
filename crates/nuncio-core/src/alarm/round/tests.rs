use super::*;
use crate::alarm::AlarmIdentity;
use crate::alarm::RaisedAlarm;
use crate::alarm::arrival::{Arrival, Clear, Event, GroupWrite, Outcome, Raise};
use crate::alarm::group::GroupClaim;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// An alarm and its group, and what happens to them.
struct Story {
    rules: AlarmRules,
    muting: Muting,
    alarm: Option<StandingAlarm>,
    group: Option<Group>,
}

impl Story {
    fn new() -> Self {
        let (rules, muting) = (AlarmRules::default(), Muting::default());
        Self { rules, muting, alarm: None, group: None }
    }

    fn happen(&mut self, event: Event, now: Timestamp) -> (Outcome, GroupWrite) {
        let (alarm, group) = (self.alarm.take(), self.group.take());
        let done = Arrival::new(&self.rules, &self.muting, now, event, alarm, group).run();
        self.alarm = done.alarm;
        self.group = done.group;
        (done.outcome.unwrap(), done.group_write)
    }

    fn raise(&mut self, severity: Option<Severity>, now: Timestamp) -> (Outcome, GroupWrite) {
        let alarm = RaisedAlarm {
            identity: identity(),
            severity,
            description: "down".to_owned(),
            details: String::new(),
            raised_at: now,
        };
        self.happen(Event::Raise(Raise { alarm, value: None, is_dated: false }), now)
    }

    fn clear(&mut self, now: Timestamp) -> (Outcome, GroupWrite) {
        let clear = Clear { identity: identity(), cleared_at: now, is_dated: false };
        self.happen(Event::Clear(clear), now)
    }

    fn claim(&mut self, now: Timestamp) {
        let claim = GroupClaim { token: "me".to_owned(), until: now + Duration::from_mins(1) };
        self.group.as_mut().unwrap().claim(claim);
    }

    /// Looks at the alarm in a round that was claimed, and ends it; what it says.
    fn finish(&mut self, now: Timestamp) -> Option<Say> {
        let kind = self.rules.find("process-down").unwrap();
        let mut round = Round {
            group: self.group.take().unwrap(),
            kind: &kind,
            rules: &self.rules,
            muting: &self.muting,
            now,
            seen: Seen::default(),
        };
        if let Some(alarm) = self.alarm.clone().filter(StandingAlarm::is_member) {
            match round.look(alarm) {
                Look::Keep => {}
                Look::Write(changed) | Look::Release(changed) => self.alarm = Some(*changed),
            }
        }
        let say = round.say();
        round.end(say, &[]);
        self.group = Some(round.group);
        say
    }

    fn round(&mut self, now: Timestamp) -> Option<Say> {
        self.claim(now);
        self.finish(now)
    }
}

fn identity() -> AlarmIdentity {
    AlarmIdentity {
        alarm_type: "process-down".to_owned(),
        node: "node-1".to_owned(),
        labels: BTreeMap::new(),
    }
}

#[test]
fn only_what_turns_writes_the_group() {
    let mut story = Story::new();

    assert_eq!(story.raise(None, at(0)), (Outcome::Firing, GroupWrite::Put));
    assert_eq!(story.raise(None, at(1)), (Outcome::Counted, GroupWrite::None));
    assert_eq!(story.clear(at(2)), (Outcome::Resolved, GroupWrite::None), "nobody was told");
    assert_eq!(story.raise(None, at(3)), (Outcome::Firing, GroupWrite::Require));
    assert_eq!(story.alarm.unwrap().count, 1, "it has begun anew");
}

#[test]
fn a_claim_that_is_held_comes_due_later_and_one_that_was_lost_is_not_held() {
    let mut story = Story::new();
    story.raise(None, at(0));
    story.claim(at(30));
    let mut group = story.group.unwrap();

    assert!(group.hold("me", at(200)));
    assert_eq!(group.due_at, at(200));
    let taken_over = GroupClaim { token: "another".to_owned(), until: at(300) };
    group.claim(taken_over);
    assert!(!group.hold("me", at(400)));
    assert_eq!(group.due_at, at(300));
}

#[test]
fn what_comes_during_a_round_is_told_in_the_next() {
    let mut story = Story::new();
    story.raise(None, at(0));
    story.alarm = None;
    story.claim(at(30));
    assert_eq!(story.raise(None, at(31)), (Outcome::Firing, GroupWrite::Put));

    assert_eq!(story.finish(at(32)), None, "it came after the round began");
    let due = story.group.as_ref().unwrap().due_at;
    assert_eq!(due, at(32) + story.rules.settings.group_interval);
    assert_eq!(story.round(due), Some(Say::News));
}

#[test]
fn a_round_that_nobody_ended_is_made_again() {
    let mut story = Story::new();
    story.raise(None, at(0));
    story.claim(at(30));
    assert_eq!(story.group.as_ref().unwrap().due_at, at(90), "so long others leave it alone");

    assert_eq!(story.round(at(90)), Some(Say::News));
    assert_eq!(story.round(at(400)), None, "it was told");
}

#[test]
fn an_end_during_a_round_is_told_in_the_next() {
    let mut story = Story::new();
    story.raise(None, at(0));
    story.claim(at(30));
    story.clear(at(31));

    assert_eq!(story.finish(at(32)), None);
    assert_eq!(story.round(at(332)), Some(Say::Resolved), "whoever was told must be told");
    assert_eq!(story.round(at(700)), None);
    assert!(story.group.as_ref().unwrap().is_empty, "nothing is left in it");
    assert!(!story.alarm.unwrap().owes_resolved);
}

#[test]
fn what_comes_back_before_its_end_was_told_is_not_told_again() {
    let mut story = Story::new();
    story.raise(None, at(0));
    assert_eq!(story.round(at(30)), Some(Say::News));
    story.clear(at(40));
    story.raise(None, at(50));

    assert_eq!(story.round(at(330)), None, "people still believe that it fires, and are right");
    story.clear(at(400));
    assert_eq!(story.round(at(700)), Some(Say::Resolved));
}

#[test]
fn an_alarm_that_becomes_worse_is_news() {
    let mut story = Story::new();
    story.raise(Some(Severity::Warning), at(0));
    story.round(at(30));
    assert_eq!(story.raise(Some(Severity::Info), at(40)).0, Outcome::Counted);
    assert_eq!(story.round(at(330)), None, "better is no news");

    story.raise(Some(Severity::Critical), at(340));

    assert_eq!(story.round(at(700)), Some(Say::News));
    story.clear(at(800));
    assert_eq!(story.round(at(1100)), Some(Say::Resolved));
}

#[test]
fn the_decisions_that_are_kept_are_bounded() {
    let mut story = Story::new();
    story.raise(None, at(0));
    let mut now = at(30);
    for _round in 0..100 {
        assert!(story.round(now).is_some());
        now = story.group.as_ref().unwrap().due_at;
    }

    let decisions = &story.group.unwrap().decisions;
    assert_eq!(decisions.len(), crate::alarm::group::DECISIONS_MAX);
    assert_eq!(decisions.last().unwrap().code, "NO_RECIPIENT");
}

#[test]
fn an_alarm_that_begins_anew_while_muted_is_told_when_it_is_not_muted_any_more() {
    let mut story = Story::new();
    story.raise(None, at(0));
    story.clear(at(10));
    assert_eq!(story.round(at(30)), None);
    let matcher = crate::alarm::silence::Matcher { node: "*".to_owned(), ..Default::default() };
    story.muting.silences = vec![crate::alarm::silence::Silence {
        id: "one".to_owned(),
        matcher,
        starts_at: at(0),
        ends_at: at(1000),
        comment: String::new(),
        created_by: String::new(),
    }];
    story.raise(None, at(100));
    assert_eq!(story.round(at(400)), None, "it is silenced");

    assert_eq!(story.round(at(1000)), Some(Say::News), "nobody has been told of it yet");
}
