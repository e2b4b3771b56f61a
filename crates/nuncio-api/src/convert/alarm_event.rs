//! What happens to alarms, as a node tells it to the MnT.

use jiff::Timestamp;
use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm};
use nuncio_core::trace::TraceParent;

use crate::convert::time::timestamp;
use crate::v1;

/// The longest description and details of an alarm that is told, in characters; what is longer is cut.
const DESCRIPTION_CHARS_MAX: usize = 1024;
const DETAILS_CHARS_MAX: usize = 4096;

/// An alarm is raised, as a part of this trace.
pub fn raised(
    alarm: &RaisedAlarm,
    request_id: &str,
    trace: Option<&TraceParent>,
) -> v1::AlarmEvent {
    let severity = alarm.severity.map_or(v1::AlarmSeverity::Unspecified, Into::into);
    let new = v1::NewAlarm {
        identity: Some(identity(&alarm.identity)),
        severity: severity.into(),
        description: cut(&alarm.description, DESCRIPTION_CHARS_MAX),
        details: cut(&alarm.details, DETAILS_CHARS_MAX),
        value: None,
        raise_time: Some(timestamp(alarm.raised_at)),
        request_id: request_id.to_owned(),
        traceparent: trace.map_or_else(String::new, |trace| trace.as_str().to_owned()),
    };
    v1::AlarmEvent { event: Some(v1::alarm_event::Event::Raise(new)) }
}

/// What an alarm told is over.
pub fn cleared(alarm: &AlarmIdentity, at: Timestamp, request_id: &str) -> v1::AlarmEvent {
    let end = v1::AlarmEnd {
        identity: Some(identity(alarm)),
        clear_time: Some(timestamp(at)),
        request_id: request_id.to_owned(),
    };
    v1::AlarmEvent { event: Some(v1::alarm_event::Event::Clear(end)) }
}

/// Why an event is not valid; nothing if it was taken.
pub fn refusal(result: &v1::AlarmResult) -> Option<String> {
    if result.outcome() != v1::AlarmOutcome::Invalid {
        return None;
    }
    let problem = |one: &v1::AlarmViolation| format!("{}: {}", one.field, one.description);
    Some(result.violations.iter().map(problem).collect::<Vec<_>>().join(", "))
}

fn identity(alarm: &AlarmIdentity) -> v1::AlarmIdentity {
    v1::AlarmIdentity {
        r#type: alarm.alarm_type.clone(),
        node: alarm.node.clone(),
        labels: alarm.labels.clone().into_iter().collect(),
    }
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => text[..end].to_owned(),
    }
}
