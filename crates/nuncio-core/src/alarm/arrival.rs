//! What happens when an alarm is raised or cleared: a list of stages over one explicit state.

use jiff::Timestamp;

use crate::alarm::group::{Epoch, Group, GroupKey};
use crate::alarm::kind::{AlarmType, Measure, TypeStatus};
use crate::alarm::mute::{MuteQuestion, Muting, muted};
use crate::alarm::settings::AlarmRules;
use crate::alarm::standing::{Flaps, Phase, StandingAlarm};
use crate::alarm::window::Window;
use crate::alarm::{AlarmIdentity, RaisedAlarm};

/// Something that happens to an alarm. Every value of this type is valid.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Raise(Raise),
    Clear(Clear),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Raise {
    pub alarm: RaisedAlarm,
    pub value: Option<f64>,
    /// Whether the moment is by the clock of who raised it.
    pub is_dated: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Clear {
    pub identity: AlarmIdentity,
    pub cleared_at: Timestamp,
    /// Whether the moment is by the clock of who cleared it.
    pub is_dated: bool,
}

impl Event {
    pub fn identity(&self) -> &AlarmIdentity {
        match self {
            Self::Raise(raise) => &raise.alarm.identity,
            Self::Clear(clear) => &clear.identity,
        }
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The alarm fires since this event.
    Firing,
    /// It stood already, and was counted.
    Counted,
    BelowThreshold,
    /// It is over since this event.
    Resolved,
    /// There was nothing to clear.
    NotRaised,
    /// Its type is disabled.
    Disabled,
    /// Its request id was taken already.
    Repeated,
    /// The alarm has changed later than this event.
    Stale,
}

/// What must be written beside the alarm so that nothing is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupWrite {
    /// The group does not matter.
    None,
    /// The group has changed.
    Put,
    /// The group is right as it is, and must be so when the alarm is written.
    Require,
}

/// Why the second route has to tell an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    Raised,
    Resolved,
}

/// The state that the stages work on: what is known, and what came of it.
#[derive(Debug)]
pub struct Arrival<'a> {
    pub rules: &'a AlarmRules,
    pub muting: &'a Muting,
    pub now: Timestamp,
    pub event: Event,
    /// As it stands in the store; then as it will.
    pub alarm: Option<StandingAlarm>,
    pub group: Option<Group>,
    /// What came of it; none until a stage knows.
    pub outcome: Option<Outcome>,
    pub alarm_changed: bool,
    pub group_write: GroupWrite,
    pub notice: Option<NoticeKind>,
    kind: Option<AlarmType>,
    turn: Turn,
}

/// How an alarm has changed, so that people may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    None,
    Began,
    Ended,
    Worse,
}

/// Whether the next stage is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Next,
    End,
}

pub type Stage = fn(&mut Arrival<'_>) -> Flow;

/// The stages in their order, with their names.
pub const STAGES: [(&str, Stage); 6] = [
    ("TYPE", known_type),
    ("DEDUPLICATE", deduplicate),
    ("THRESHOLD", threshold),
    ("GROUP", group),
    ("MUTE", mute),
    ("NOTIFY", notify),
];

impl<'a> Arrival<'a> {
    pub fn new(
        rules: &'a AlarmRules,
        muting: &'a Muting,
        now: Timestamp,
        event: Event,
        alarm: Option<StandingAlarm>,
        group: Option<Group>,
    ) -> Self {
        Self {
            rules,
            muting,
            now,
            event,
            alarm,
            group,
            outcome: None,
            alarm_changed: false,
            group_write: GroupWrite::None,
            notice: None,
            kind: None,
            turn: Turn::None,
        }
    }

    /// Asks the stages, until one ends it.
    #[must_use]
    pub fn run(mut self) -> Self {
        for (_name, stage) in STAGES {
            if stage(&mut self) == Flow::End {
                break;
            }
        }
        self
    }

    fn end(&mut self, outcome: Outcome) -> Flow {
        self.outcome = Some(outcome);
        Flow::End
    }

    fn kind(&self) -> &AlarmType {
        self.kind.as_ref().expect("the first stage has found it, or ended")
    }
}

fn known_type(arrival: &mut Arrival<'_>) -> Flow {
    let found = arrival.rules.find(&arrival.event.identity().alarm_type);
    let Some(kind) = found else {
        // It may have been removed while its alarm stood.
        return match (&arrival.event, &arrival.alarm) {
            (Event::Clear(_), Some(_)) => {
                arrival.kind = Some(gone_type(arrival.event.identity()));
                Flow::Next
            }
            (Event::Clear(_), None) => arrival.end(Outcome::NotRaised),
            (Event::Raise(_), _) => arrival.end(Outcome::Disabled),
        };
    };
    let disabled = kind.status == TypeStatus::Disabled;
    arrival.kind = Some(kind);
    match arrival.event {
        Event::Raise(_) if disabled => arrival.end(Outcome::Disabled),
        Event::Raise(_) | Event::Clear(_) => Flow::Next,
    }
}

fn deduplicate(arrival: &mut Arrival<'_>) -> Flow {
    match arrival.event.clone() {
        Event::Raise(raise) => take_raise(arrival, &raise),
        Event::Clear(clear) => take_clear(arrival, &clear),
    }
}

fn take_raise(arrival: &mut Arrival<'_>, raise: &Raise) -> Flow {
    let told = &raise.alarm;
    let severity = told.severity.unwrap_or(arrival.kind().severity);
    let is_late = |alarm: &StandingAlarm| {
        raise.is_dated
            && alarm.phase == Phase::Resolved
            && alarm.cleared_by_clock_at.is_some_and(|cleared| told.raised_at <= cleared)
    };
    if arrival.alarm.as_ref().is_some_and(is_late) {
        return arrival.end(Outcome::Stale);
    }
    let known = arrival.alarm.take();
    let mut alarm = known.unwrap_or_else(|| StandingAlarm {
        identity: told.identity.clone(),
        severity,
        phase: Phase::Resolved,
        description: String::new(),
        details: String::new(),
        count: 0,
        first_raised_at: told.raised_at,
        last_raised_at: told.raised_at,
        resolved_at: None,
        cleared_by_clock_at: None,
        acknowledgement: None,
        mute: None,
        group: GroupKey::of(&told.identity, &arrival.rules.settings),
        began: Epoch::default(),
        news: Epoch::default(),
        was_told: false,
        owes_resolved: false,
        window: Window::default(),
        flaps: Flaps::default(),
        trace: None,
    });
    if alarm.phase == Phase::Resolved && !alarm.owes_resolved {
        alarm.count = 0;
        alarm.first_raised_at = told.raised_at;
        alarm.last_raised_at = told.raised_at;
        alarm.was_told = false;
        alarm.severity = severity;
        alarm.group = GroupKey::of(&told.identity, &arrival.rules.settings);
    }
    alarm.count = alarm.count.saturating_add(1);
    alarm.first_raised_at = alarm.first_raised_at.min(told.raised_at);
    if alarm.last_raised_at <= told.raised_at {
        alarm.last_raised_at = told.raised_at;
        alarm.description.clone_from(&told.description);
        alarm.details.clone_from(&told.details);
    }
    if alarm.phase == Phase::Firing && alarm.severity < severity {
        // It has become worse: that is news, also to who looks after it.
        alarm.acknowledgement = None;
        arrival.turn = Turn::Worse;
    }
    alarm.severity = severity;
    arrival.alarm = Some(alarm);
    arrival.alarm_changed = true;
    Flow::Next
}

fn take_clear(arrival: &mut Arrival<'_>, clear: &Clear) -> Flow {
    let Some(alarm) = &mut arrival.alarm else {
        return arrival.end(Outcome::NotRaised);
    };
    if clear.is_dated && clear.cleared_at < alarm.last_raised_at {
        return arrival.end(Outcome::Stale);
    }
    if clear.is_dated {
        let last = alarm.cleared_by_clock_at;
        alarm.cleared_by_clock_at =
            Some(last.map_or(clear.cleared_at, |at| at.max(clear.cleared_at)));
        arrival.alarm_changed = true;
    }
    match alarm.phase {
        Phase::Resolved => arrival.end(Outcome::NotRaised),
        Phase::BelowThreshold => {
            end_alarm(alarm, clear.cleared_at);
            arrival.alarm_changed = true;
            arrival.end(Outcome::NotRaised)
        }
        Phase::Firing => Flow::Next,
    }
}

fn end_alarm(alarm: &mut StandingAlarm, at: Timestamp) {
    alarm.phase = Phase::Resolved;
    alarm.resolved_at = Some(at.max(alarm.first_raised_at));
    alarm.acknowledgement = None;
    alarm.window = Window::default();
}

fn threshold(arrival: &mut Arrival<'_>) -> Flow {
    let condition = arrival.kind().condition;
    let Event::Raise(raise) = &arrival.event else { return Flow::Next };
    let value = raise.value.unwrap_or_default();
    let alarm = arrival.alarm.as_mut().expect("a raise has made it");
    let Some(condition) = condition else { return Flow::Next };
    alarm.window.take(&condition, value, arrival.now);
    let holds = alarm.window.holds(&condition);
    match (alarm.phase, condition.measure) {
        (Phase::Firing, Measure::Value) if !holds => {
            // The measure is well again: who measures does not have to clear too.
            let clear = Clear {
                identity: alarm.identity.clone(),
                cleared_at: raise.alarm.raised_at,
                is_dated: raise.is_dated,
            };
            arrival.event = Event::Clear(clear);
            Flow::Next
        }
        (Phase::Firing, Measure::Value | Measure::Occurrences) => Flow::Next,
        (Phase::BelowThreshold | Phase::Resolved, Measure::Value | Measure::Occurrences) => {
            if holds {
                return Flow::Next;
            }
            if alarm.phase == Phase::Resolved && alarm.owes_resolved {
                // Its end is still to be told; the window goes on.
                return arrival.end(Outcome::BelowThreshold);
            }
            alarm.phase = Phase::BelowThreshold;
            arrival.end(Outcome::BelowThreshold)
        }
    }
}

/// Finds the group, and lets the alarm turn.
fn group(arrival: &mut Arrival<'_>) -> Flow {
    let settings = &arrival.rules.settings;
    let alarm = arrival.alarm.as_mut().expect("there is one behind the stage of duplicates");
    match &arrival.event {
        Event::Raise(_) => {
            if arrival.group.is_none() {
                arrival.group = Some(Group::new(&alarm.identity, settings, arrival.now));
                arrival.group_write = GroupWrite::Put;
            }
            if alarm.phase != Phase::Firing {
                alarm.phase = Phase::Firing;
                alarm.resolved_at = None;
                alarm.flaps.take(settings.flapping, arrival.now);
                arrival.turn = Turn::Began;
            }
        }
        Event::Clear(clear) => {
            let told = arrival.group.as_ref().is_some_and(|group| alarm.is_told(group));
            alarm.owes_resolved = told && settings.sends_resolved;
            end_alarm(alarm, clear.cleared_at);
            alarm.flaps.take(settings.flapping, arrival.now);
            arrival.turn = Turn::Ended;
            arrival.alarm_changed = true;
        }
    }
    Flow::Next
}

fn mute(arrival: &mut Arrival<'_>) -> Flow {
    let question = MuteQuestion {
        rules: arrival.rules,
        kind: arrival.kind.as_ref().expect("the first stage has found it"),
        muting: arrival.muting,
        now: arrival.now,
    };
    let alarm = arrival.alarm.as_mut().expect("there is one behind the stage of duplicates");
    let group = arrival.group.as_ref();
    // What people know does not depend on what mutes it from now on.
    alarm.was_told = match arrival.turn {
        // The next look at the group is early enough.
        Turn::None => return Flow::Next,
        // Of an older time they know that it was over, unless its end is still to be told.
        Turn::Began => alarm.owes_resolved,
        Turn::Worse | Turn::Ended => group.is_some_and(|group| alarm.is_told(group)),
    };
    alarm.mute = muted(alarm, question);
    Flow::Next
}

fn notify(arrival: &mut Arrival<'_>) -> Flow {
    let alarm = arrival.alarm.as_mut().expect("there is one behind the stage of duplicates");
    let kind = arrival.kind.as_ref().expect("the first stage has found it");
    let (outcome, notice) = match arrival.turn {
        Turn::None => return arrival.end(Outcome::Counted),
        Turn::Worse => (Outcome::Counted, NoticeKind::Raised),
        Turn::Began => (Outcome::Firing, NoticeKind::Raised),
        Turn::Ended => (Outcome::Resolved, NoticeKind::Resolved),
    };
    arrival.notice = (kind.is_mail_path && alarm.mute.is_none()).then_some(notice);
    if arrival.turn == Turn::Began && alarm.owes_resolved {
        // It came back before its end was told: people still believe that it fires.
        alarm.owes_resolved = false;
        alarm.was_told = true;
        let told = arrival.group.as_ref().map_or(0, |group| group.told.0);
        alarm.news = Epoch(told.saturating_sub(1));
        return arrival.end(outcome);
    }
    let Some(group) = arrival.group.as_mut().filter(|_| alarm.is_member()) else {
        // Nobody was told, so nobody has to be.
        return arrival.end(outcome);
    };
    alarm.news = group.epoch;
    if arrival.turn == Turn::Began {
        alarm.began = group.epoch;
    }
    let settings = &arrival.rules.settings;
    let changed = match &alarm.mute {
        Some(mute) => {
            let recheck = arrival.now + settings.group_interval;
            group.look_by(mute.ends_at().map_or(recheck, |end| end.min(recheck)))
        }
        None => group.touch(settings, arrival.now),
    };
    if arrival.group_write == GroupWrite::None {
        arrival.group_write = if changed { GroupWrite::Put } else { GroupWrite::Require };
    }
    arrival.end(outcome)
}

/// Stands for a type that was removed while its alarm stood.
fn gone_type(identity: &AlarmIdentity) -> AlarmType {
    use crate::alarm::Severity;
    use crate::alarm::kind::Category;

    AlarmType {
        id: identity.alarm_type.clone(),
        display_name: identity.alarm_type.clone(),
        category: Category::Other,
        severity: Severity::Warning,
        status: TypeStatus::Enabled,
        description: String::new(),
        suggested_action: String::new(),
        is_mail_path: false,
        condition: None,
        recipients: Vec::new(),
        recipient_groups: Vec::new(),
        from: None,
        custom_text: String::new(),
        repeat_interval: None,
    }
}
