//! Why an alarm is in no mail: a list of stages, each of which may keep it back.

use jiff::Timestamp;

use crate::alarm::kind::{AlarmType, TypeStatus};
use crate::alarm::settings::{AlarmRules, NODE_LABEL};
use crate::alarm::silence::Silence;
use crate::alarm::standing::{Phase, StandingAlarm};
use crate::alarm::{AlarmIdentity, Severity};

/// Why an alarm is in no mail at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mute {
    /// Its type is suppressed.
    Suppressed,
    /// It changes too often; quiet until then, it is told again.
    Flapping { until: Timestamp },
    /// Its cause stands: a type, and the node where it stands.
    Inhibited { by: String },
    /// By the silence with this id.
    Silenced { by: String, until: Timestamp },
    /// Somebody looks after it.
    Acknowledged { by: String },
}

impl Mute {
    /// A stable name in upper case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Suppressed => "SUPPRESSED",
            Self::Flapping { .. } => "FLAPPING",
            Self::Inhibited { .. } => "INHIBITED",
            Self::Silenced { .. } => "SILENCED",
            Self::Acknowledged { .. } => "ACKNOWLEDGED",
        }
    }

    /// For a person.
    pub fn message(&self) -> String {
        match self {
            Self::Suppressed => "its type is suppressed".to_owned(),
            Self::Flapping { until } => {
                format!("it changes too often; told again if quiet until {until}")
            }
            Self::Inhibited { by } => format!("its cause stands: {by}"),
            Self::Silenced { by, until } => format!("silences/{by} lasts until {until}"),
            Self::Acknowledged { by } => format!("{by} looks after it"),
        }
    }

    /// When it may have ended by itself; none if somebody must do something, which wakes the group.
    pub fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::Flapping { until } | Self::Silenced { until, .. } => Some(*until),
            Self::Suppressed | Self::Inhibited { .. } | Self::Acknowledged { .. } => None,
        }
    }
}

/// What mutes alarms at a moment, beside what is in themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Muting {
    pub silences: Vec<Silence>,
    /// The firing alarms of types that inhibit others.
    pub causes: Vec<AlarmIdentity>,
}

/// A question to ask about an alarm.
#[derive(Clone, Copy)]
pub struct MuteQuestion<'a> {
    pub rules: &'a AlarmRules,
    pub kind: &'a AlarmType,
    pub muting: &'a Muting,
    pub now: Timestamp,
}

/// A stage that may mute.
pub type MuteStage = fn(&StandingAlarm, MuteQuestion<'_>) -> Option<Mute>;

/// The stages in their order, with their names: the first that mutes gives the reason.
pub const MUTE_STAGES: [(&str, MuteStage); 5] = [
    ("TYPE", suppressed),
    ("FLAP", flapping),
    ("INHIBIT", inhibited),
    ("SILENCE", silenced),
    ("ACKNOWLEDGE", acknowledged),
];

/// Why the alarm is in no mail at present.
pub fn muted(alarm: &StandingAlarm, question: MuteQuestion<'_>) -> Option<Mute> {
    MUTE_STAGES.iter().find_map(|(_name, stage)| stage(alarm, question))
}

fn suppressed(_alarm: &StandingAlarm, question: MuteQuestion<'_>) -> Option<Mute> {
    match question.kind.status {
        TypeStatus::Suppressed => Some(Mute::Suppressed),
        TypeStatus::Enabled | TypeStatus::Disabled => None,
    }
}

fn flapping(alarm: &StandingAlarm, question: MuteQuestion<'_>) -> Option<Mute> {
    let limits = question.rules.settings.flapping;
    let until = alarm.flaps.held_until(limits)?;
    (question.now < until).then_some(Mute::Flapping { until })
}

fn inhibited(alarm: &StandingAlarm, question: MuteQuestion<'_>) -> Option<Mute> {
    let target = &alarm.identity;
    let rules = question.rules.settings.inhibitions.iter();
    let mut rules = rules.filter(|rule| rule.target_types.contains(&target.alarm_type));
    rules.find_map(|rule| {
        let mut causes = question.muting.causes.iter();
        let cause = causes.find(|cause| {
            cause.alarm_type == rule.source_type
                && *cause != target
                && rule.equal.iter().all(|label| label_of(cause, label) == label_of(target, label))
        })?;
        let by = if cause.node.is_empty() {
            cause.alarm_type.clone()
        } else {
            format!("{} at {}", cause.alarm_type, cause.node)
        };
        Some(Mute::Inhibited { by })
    })
}

fn silenced(alarm: &StandingAlarm, question: MuteQuestion<'_>) -> Option<Mute> {
    let silences = question.muting.silences.iter();
    let fitting = silences
        .filter(|one| one.is_active(question.now) && one.matcher.fits(&alarm.identity))
        .max_by_key(|one| one.ends_at)?;
    Some(Mute::Silenced { by: fitting.id.clone(), until: fitting.ends_at })
}

fn acknowledged(alarm: &StandingAlarm, _question: MuteQuestion<'_>) -> Option<Mute> {
    match alarm.phase {
        Phase::Firing => {
            let by = alarm.acknowledgement.as_ref()?.by.clone();
            Some(Mute::Acknowledged { by })
        }
        // Who looks after it wants to know that it is over.
        Phase::BelowThreshold | Phase::Resolved => None,
    }
}

/// The value of a label, or the node; what is not there is empty.
pub fn label_of<'a>(alarm: &'a AlarmIdentity, label: &str) -> &'a str {
    if label == NODE_LABEL && !alarm.labels.contains_key(NODE_LABEL) {
        return &alarm.node;
    }
    alarm.labels.get(label).map_or("", String::as_str)
}

/// Whether mails about alarms of this severity have a lane of their own.
pub fn is_urgent(severity: Severity) -> bool {
    match severity {
        Severity::Critical => true,
        Severity::Info | Severity::Warning => false,
    }
}
