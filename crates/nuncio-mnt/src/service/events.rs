//! Raises and clears, one by one and as a stream.

use nuncio_api::convert::alarm::{clear_draft, raise_draft};
use nuncio_api::v1;
use nuncio_core::alarm::arrival::{Event, Outcome};
use nuncio_core::alarm::settings::AlarmRules;
use nuncio_core::job::CallerId;
use nuncio_core::trace::TraceParent;
use nuncio_core::violation::{Violation, Violations};
use prost::Message as _;
use tonic::Status;

use crate::errors::not_taken;
use crate::intake::{AlarmIntake, Incoming, IncomingRequest, Taken};
use crate::rules::KnownRules;

/// The most events of a batch.
pub(super) const EVENTS_MAX: usize = 500;

/// Reads a raise, or notes everything that is wrong.
pub(super) fn read_raise(
    violations: &mut Violations,
    alarm: v1::NewAlarm,
    rules: &AlarmRules,
    (by, now): (&CallerId, jiff::Timestamp),
) -> Option<Incoming> {
    // A raise that is repeated is the same, whatever trace the repetition is a part of.
    let (request_id, traceparent) = (String::new(), String::new());
    let content = v1::NewAlarm { request_id, traceparent, ..alarm.clone() };
    let trace = alarm.traceparent.parse().ok();
    let request = request(by, &alarm.request_id, &content.encode_to_vec());
    let event = raise_draft(violations, alarm).check(violations, rules, now)?;
    Some(Incoming { event: Event::Raise(event), request, trace })
}

/// Reads the end of an alarm, or notes everything that is wrong.
pub(super) fn read_clear(
    violations: &mut Violations,
    end: v1::AlarmEnd,
    (by, now): (&CallerId, jiff::Timestamp),
) -> Option<Incoming> {
    let content = v1::AlarmEnd { request_id: String::new(), ..end.clone() };
    let request = request(by, &end.request_id, &content.encode_to_vec());
    let event = clear_draft(violations, end).check(violations, now)?;
    Some(Incoming { event: Event::Clear(event), request, trace: None })
}

fn request(by: &CallerId, id: &str, content: &[u8]) -> Option<IncomingRequest> {
    // Maps are encoded in the order of their keys, so equal events have equal bytes.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    let digest = digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        write!(text, "{byte:02x}").expect("a text takes all");
        text
    });
    (!id.is_empty()).then(|| IncomingRequest { caller: by.clone(), id: id.to_owned(), digest })
}

/// Takes a batch: what is not valid is told, and keeps nothing else back.
pub(crate) async fn take_batch(
    alarms: &AlarmIntake,
    batch: v1::RaiseAlarmsRequest,
    rules: &KnownRules,
    (by, now): (&CallerId, jiff::Timestamp),
    trace: Option<&TraceParent>,
) -> Result<v1::RaiseAlarmsResponse, Status> {
    if EVENTS_MAX < batch.events.len() {
        let mut violations = Violations::default();
        let problem = format!("{} events; at most {EVENTS_MAX} in a batch", batch.events.len());
        violations.add("events", problem);
        return Err(crate::errors::invalid_alarm(violations));
    }
    let mut results = Vec::with_capacity(batch.events.len());
    let mut incoming = Vec::new();
    for event in batch.events {
        let mut violations = Violations::default();
        let read = match event.event {
            Some(v1::alarm_event::Event::Raise(alarm)) => {
                read_raise(&mut violations, alarm, &rules.rules, (by, now))
            }
            Some(v1::alarm_event::Event::Clear(end)) => read_clear(&mut violations, end, (by, now)),
            None => {
                violations.add("event", "is missing; give `raise` or `clear`");
                None
            }
        };
        match read.filter(|_| violations.is_empty()) {
            Some(mut one) => {
                one.trace = one.trace.or_else(|| trace.cloned());
                incoming.push(one);
                results.push(None);
            }
            None => results.push(Some(refused(violations))),
        }
    }
    let mut taken = if incoming.is_empty() {
        Vec::new().into_iter()
    } else {
        alarms.take(incoming).await.map_err(|error| not_taken(&error))?.into_iter()
    };
    let results = results.into_iter().map(|result| {
        result.unwrap_or_else(|| taken.next().map_or_else(v1::AlarmResult::default, told))
    });
    Ok(v1::RaiseAlarmsResponse { results: results.collect() })
}

fn refused(violations: Violations) -> v1::AlarmResult {
    let violation =
        |Violation { field, fault: _, problem }| v1::AlarmViolation { field, description: problem };
    v1::AlarmResult {
        outcome: v1::AlarmOutcome::Invalid.into(),
        alarm: String::new(),
        violations: violations.into_iter().map(violation).collect(),
    }
}

fn told(taken: Taken) -> v1::AlarmResult {
    match taken {
        Taken::Done { outcome, fingerprint, .. } => v1::AlarmResult {
            outcome: outcome_of(outcome).into(),
            alarm: fingerprint.to_string(),
            violations: Vec::new(),
        },
        Taken::RequestIdReused { alarm } => {
            let mut violations = Violations::default();
            let problem = format!("was used for another event, of `alarms/{alarm}`");
            violations.add("request_id", problem);
            refused(violations)
        }
    }
}

pub(super) fn outcome_of(outcome: Outcome) -> v1::AlarmOutcome {
    outcome.into()
}
