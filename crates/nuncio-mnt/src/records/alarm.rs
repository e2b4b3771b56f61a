//! Alarms.

use std::collections::BTreeMap;

use jiff::Timestamp;
use nuncio_core::alarm::group::{Epoch, GroupKey};
use nuncio_core::alarm::mute::Mute;
use nuncio_core::alarm::standing::{Acknowledgement, Flaps, Phase, StandingAlarm};
use nuncio_core::alarm::window::{Part, Window};
use nuncio_core::alarm::{AlarmIdentity, Severity};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Expected, Record, RecordKey, Write};
use serde::{Deserialize, Serialize};

use crate::records::{ALARM, decode, encode, names};
use nuncio_core::alarm::settings::AlarmRules;

names!(severity_to, severity_from, Severity:
    Severity::Info = "info",
    Severity::Warning = "warning",
    Severity::Critical = "critical",
);

names!(phase_to, phase_from, Phase:
    Phase::BelowThreshold = "below-threshold",
    Phase::Firing = "firing",
    Phase::Resolved = "resolved",
);

#[derive(Serialize, Deserialize)]
struct StoredAlarm {
    #[serde(rename = "type")]
    alarm_type: String,
    node: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    severity: String,
    phase: String,
    description: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    details: String,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolved: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cleared_by_clock: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acknowledged: Option<StoredAcknowledgement>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mute: Option<StoredMute>,
    group: String,
    began: u64,
    news: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    was_told: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    owes_resolved: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    window: Vec<(i64, u64, f64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    flaps: Vec<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredAcknowledgement {
    by: String,
    at: Timestamp,
    #[serde(default)]
    comment: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
enum StoredMute {
    Suppressed,
    Flapping { until: Timestamp },
    Inhibited { by: String },
    Silenced { by: String, until: Timestamp },
    Acknowledged { by: String },
}

/// Puts an alarm, as a member of its group where it is one.
pub(crate) fn write(alarm: &StandingAlarm, rules: &AlarmRules, expected: Expected) -> Write {
    let kind = rules.find(&alarm.identity.alarm_type);
    let window = kind.and_then(|kind| kind.condition).map(|condition| condition.window);
    Write::Put {
        key: RecordKey::new(ALARM, alarm.identity.fingerprint().as_str()),
        expected,
        owner: alarm.is_member().then(|| alarm.group.0.clone()),
        due_at: alarm.due_at(window, rules.settings.retention),
        content: content(alarm),
    }
}

/// The alarm as JSON.
pub(crate) fn content(alarm: &StandingAlarm) -> String {
    let StandingAlarm { identity, window, flaps, .. } = alarm;
    encode(&StoredAlarm {
        alarm_type: identity.alarm_type.clone(),
        node: identity.node.clone(),
        labels: identity.labels.clone(),
        severity: severity_to(alarm.severity).to_owned(),
        phase: phase_to(alarm.phase).to_owned(),
        description: alarm.description.clone(),
        details: alarm.details.clone(),
        count: alarm.count,
        first: alarm.first_raised_at,
        last: alarm.last_raised_at,
        resolved: alarm.resolved_at,
        cleared_by_clock: alarm.cleared_by_clock_at,
        acknowledged: alarm.acknowledgement.clone().map(|one| StoredAcknowledgement {
            by: one.by,
            at: one.at,
            comment: one.comment,
        }),
        mute: alarm.mute.clone().map(StoredMute::from),
        group: alarm.group.0.clone(),
        began: alarm.began.0,
        news: alarm.news.0,
        was_told: alarm.was_told,
        owes_resolved: alarm.owes_resolved,
        window: window.parts.iter().map(|part| (part.number, part.count, part.sum)).collect(),
        flaps: flaps.0.clone(),
        trace: alarm.trace.as_ref().map(|trace| trace.as_str().to_owned()),
    })
}

pub(crate) fn read(record: &Record) -> Result<StandingAlarm, StoreError> {
    let stored: StoredAlarm = decode(record)?;
    let part = |(number, count, sum)| Part { number, count, sum };
    Ok(StandingAlarm {
        identity: AlarmIdentity {
            alarm_type: stored.alarm_type,
            node: stored.node,
            labels: stored.labels,
        },
        // What a newer version may have written is taken for the worst that this one knows.
        severity: severity_from(&stored.severity).unwrap_or(Severity::Critical),
        phase: phase_from(&stored.phase).unwrap_or(Phase::Firing),
        description: stored.description,
        details: stored.details,
        count: stored.count,
        first_raised_at: stored.first,
        last_raised_at: stored.last,
        resolved_at: stored.resolved,
        cleared_by_clock_at: stored.cleared_by_clock,
        acknowledgement: stored.acknowledged.map(|one| Acknowledgement {
            by: one.by,
            at: one.at,
            comment: one.comment,
        }),
        mute: stored.mute.map(Mute::from),
        group: GroupKey(stored.group),
        began: Epoch(stored.began),
        news: Epoch(stored.news),
        was_told: stored.was_told,
        owes_resolved: stored.owes_resolved,
        window: Window { parts: stored.window.into_iter().map(part).collect() },
        flaps: Flaps(stored.flaps),
        trace: stored.trace.and_then(|trace| trace.parse().ok()),
    })
}

impl From<Mute> for StoredMute {
    fn from(mute: Mute) -> Self {
        match mute {
            Mute::Suppressed => Self::Suppressed,
            Mute::Flapping { until } => Self::Flapping { until },
            Mute::Inhibited { by } => Self::Inhibited { by },
            Mute::Silenced { by, until } => Self::Silenced { by, until },
            Mute::Acknowledged { by } => Self::Acknowledged { by },
        }
    }
}

impl From<StoredMute> for Mute {
    fn from(mute: StoredMute) -> Self {
        match mute {
            StoredMute::Suppressed => Self::Suppressed,
            StoredMute::Flapping { until } => Self::Flapping { until },
            StoredMute::Inhibited { by } => Self::Inhibited { by },
            StoredMute::Silenced { by, until } => Self::Silenced { by, until },
            StoredMute::Acknowledged { by } => Self::Acknowledged { by },
        }
    }
}
