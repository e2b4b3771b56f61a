//! Alarms and silences.

use nuncio_core::alarm::arrival::Outcome;
use nuncio_core::alarm::draft::{ClearDraft, RaiseDraft};
use nuncio_core::alarm::group::GroupDecision;
use nuncio_core::alarm::kind::AlarmType;
use nuncio_core::alarm::silence::{Matcher, Silence, SilenceDraft};
use nuncio_core::alarm::standing::StandingAlarm;
use nuncio_core::alarm::{AlarmIdentity, Severity};
use nuncio_core::violation::Violations;

use crate::convert::enums::known;
use crate::convert::time::{timestamp, timestamp_from};
use crate::v1;

/// What stands before the fingerprint of an alarm in its name.
pub const ALARM_NAME_PREFIX: &str = "alarms/";
/// What stands before the id of a silence in its name.
pub const SILENCE_NAME_PREFIX: &str = "silences/";

/// An alarm to be raised, as a caller gives it.
pub fn raise_draft(violations: &mut Violations, alarm: v1::NewAlarm) -> RaiseDraft {
    RaiseDraft {
        identity: identity_from(alarm.identity),
        severity: known::<v1::AlarmSeverity, Severity>(violations, "severity", alarm.severity),
        description: alarm.description,
        details: alarm.details,
        value: alarm.value,
        raised_at: timestamp_from(violations, "raise_time", alarm.raise_time),
        request_id: alarm.request_id,
    }
}

/// The end of an alarm, as a caller gives it.
pub fn clear_draft(violations: &mut Violations, end: v1::AlarmEnd) -> ClearDraft {
    ClearDraft {
        identity: identity_from(end.identity),
        cleared_at: timestamp_from(violations, "clear_time", end.clear_time),
        request_id: end.request_id,
    }
}

/// A silence, as a caller gives it.
pub fn silence_draft(violations: &mut Violations, silence: v1::Silence) -> SilenceDraft {
    SilenceDraft {
        matcher: Matcher { alarm_type: silence.r#type, node: silence.node, labels: silence.labels },
        starts_at: timestamp_from(violations, "silence.start_time", silence.start_time),
        ends_at: timestamp_from(violations, "silence.end_time", silence.end_time),
        comment: silence.comment,
    }
}

fn identity_from(identity: Option<v1::AlarmIdentity>) -> AlarmIdentity {
    let v1::AlarmIdentity { r#type, node, labels } = identity.unwrap_or_default();
    AlarmIdentity { alarm_type: r#type, node, labels }
}

/// An alarm as the API tells it; its type may have been removed.
pub fn alarm(one: StandingAlarm, kind: Option<&AlarmType>) -> v1::Alarm {
    let mute = one.mute.as_ref();
    v1::Alarm {
        name: one.identity.fingerprint().to_string(),
        display_name: kind
            .map_or_else(|| one.identity.alarm_type.clone(), |kind| kind.display_name.clone()),
        severity: v1::AlarmSeverity::from(one.severity).into(),
        state: v1::AlarmState::from(one.phase).into(),
        description: one.description,
        details: one.details,
        suggested_action: kind.map(|kind| kind.suggested_action.clone()).unwrap_or_default(),
        count: i64::try_from(one.count).unwrap_or(i64::MAX),
        first_raise_time: Some(timestamp(one.first_raised_at)),
        last_raise_time: Some(timestamp(one.last_raised_at)),
        clear_time: one.resolved_at.map(timestamp),
        acknowledgement: one.acknowledgement.map(|one| v1::AlarmAcknowledgement {
            acknowledged_by: one.by,
            acknowledge_time: Some(timestamp(one.at)),
            comment: one.comment,
        }),
        mute_reason: mute.map(|mute| mute.code().to_owned()).unwrap_or_default(),
        mute_message: mute.map(nuncio_core::alarm::mute::Mute::message).unwrap_or_default(),
        group: one.group.0,
        identity: Some(one.identity.into()),
    }
}

/// A silence as the API tells it.
pub fn silence(one: Silence, is_active: bool) -> v1::Silence {
    v1::Silence {
        name: format!("{SILENCE_NAME_PREFIX}{}", one.id),
        r#type: one.matcher.alarm_type,
        node: one.matcher.node,
        labels: one.matcher.labels,
        start_time: Some(timestamp(one.starts_at)),
        end_time: Some(timestamp(one.ends_at)),
        comment: one.comment,
        created_by: one.created_by,
        active: is_active,
    }
}

impl From<AlarmIdentity> for v1::AlarmIdentity {
    fn from(identity: AlarmIdentity) -> Self {
        let AlarmIdentity { alarm_type, node, labels } = identity;
        Self { r#type: alarm_type, node, labels }
    }
}

impl From<GroupDecision> for v1::AlarmDecision {
    fn from(decision: GroupDecision) -> Self {
        Self {
            decide_time: Some(timestamp(decision.at)),
            code: decision.code,
            message: decision.message,
            mail_jobs: decision.mail_jobs,
            alarm_count: i64::try_from(decision.alarms).unwrap_or(i64::MAX),
        }
    }
}

impl From<Outcome> for v1::AlarmOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Firing => Self::Firing,
            Outcome::Counted => Self::Counted,
            Outcome::BelowThreshold => Self::BelowThreshold,
            Outcome::Resolved => Self::Resolved,
            Outcome::NotRaised => Self::NotRaised,
            Outcome::Disabled => Self::Disabled,
            Outcome::Repeated => Self::Repeated,
            Outcome::Stale => Self::Stale,
        }
    }
}
