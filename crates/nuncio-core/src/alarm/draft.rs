//! Checks of what callers give: all that is wrong with an alarm, at once.

use jiff::Timestamp;

use crate::alarm::arrival::{Clear, Raise};
use crate::alarm::kind::{Measure, is_type_id};
use crate::alarm::settings::AlarmRules;
use crate::alarm::{AlarmIdentity, RaisedAlarm, Severity};
use crate::job::{LABEL_KEY_CHARS_MAX, LABEL_VALUE_CHARS_MAX, LABELS_MAX, REQUEST_ID_CHARS_MAX};
use crate::violation::Violations;

/// The longest name of a node, in characters: that of a host name (RFC 1035, section 2.3.4, as text).
pub const NODE_CHARS_MAX: usize = 253;
/// The longest description of an alarm, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 1024;
/// The longest details of an alarm, in characters.
pub const DETAILS_CHARS_MAX: usize = 4096;
/// How many characters of a wrong text are shown.
const SHOWN_CHARS: usize = 64;

/// An alarm as a caller raises it.
#[derive(Clone, Debug, PartialEq)]
pub struct RaiseDraft {
    pub identity: AlarmIdentity,
    pub severity: Option<Severity>,
    pub description: String,
    pub details: String,
    pub value: Option<f64>,
    pub raised_at: Option<Timestamp>,
    pub request_id: String,
}

/// The end of an alarm as a caller tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClearDraft {
    pub identity: AlarmIdentity,
    pub cleared_at: Option<Timestamp>,
    pub request_id: String,
}

impl RaiseDraft {
    /// Makes the event, or notes everything that is wrong. Fields are named as in the API.
    pub fn check(
        self,
        violations: &mut Violations,
        rules: &AlarmRules,
        now: Timestamp,
    ) -> Option<Raise> {
        let mut found = Violations::default();
        check_identity(&mut found, &self.identity, Some(rules));
        check_text(&mut found, "description", &self.description, DESCRIPTION_CHARS_MAX);
        if self.description.trim().is_empty() {
            found.add("description", "is missing; say what happened");
        }
        check_text(&mut found, "details", &self.details, DETAILS_CHARS_MAX);
        let kind = rules.find(&self.identity.alarm_type);
        let condition = kind.and_then(|kind| kind.condition);
        if self.value.is_some_and(|value| !value.is_finite()) {
            found.add("value", "must be a finite number");
        }
        if self.value.is_none()
            && condition.is_some_and(|condition| condition.measure == Measure::Value)
        {
            found.add("value", "is missing; the condition of this type looks at it");
        }
        check_request_id(&mut found, &self.request_id);
        if !found.is_empty() {
            violations.append(found);
            return None;
        }
        Some(Raise {
            alarm: RaisedAlarm {
                identity: self.identity,
                severity: self.severity,
                description: self.description,
                details: self.details,
                raised_at: self.raised_at.map_or(now, |at| at.min(now)),
            },
            value: self.value,
            is_dated: self.raised_at.is_some(),
        })
    }
}

impl ClearDraft {
    /// Makes the event, or notes everything that is wrong. A type that is not known is none here: it may have
    /// been removed while its alarm stood.
    pub fn check(self, violations: &mut Violations, now: Timestamp) -> Option<Clear> {
        let mut found = Violations::default();
        check_identity(&mut found, &self.identity, None);
        check_request_id(&mut found, &self.request_id);
        if !found.is_empty() {
            violations.append(found);
            return None;
        }
        Some(Clear {
            identity: self.identity,
            cleared_at: self.cleared_at.map_or(now, |at| at.min(now)),
            is_dated: self.cleared_at.is_some(),
        })
    }
}

fn check_identity(
    violations: &mut Violations,
    identity: &AlarmIdentity,
    rules: Option<&AlarmRules>,
) {
    let AlarmIdentity { alarm_type, node, labels } = identity;
    if !is_type_id(alarm_type) {
        let problem = "must be the id of a type: 1 to 64 lower-case letters, digits and `-`";
        violations.add("identity.type", problem);
    } else if rules.is_some_and(|rules| rules.find(alarm_type).is_none()) {
        let problem = format!(
            "`{alarm_type}` is no alarm type; see which there are with ListAlarmTypes, or define it"
        );
        violations.add("identity.type", problem);
    }
    if NODE_CHARS_MAX < node.chars().count() || node.chars().any(char::is_control) {
        let problem = format!("must have at most {NODE_CHARS_MAX} characters and no line break");
        violations.add("identity.node", problem);
    }
    if LABELS_MAX < labels.len() {
        let problem = format!("{} labels; at most {LABELS_MAX}", labels.len());
        violations.add("identity.labels", problem);
    }
    for (key, value) in labels.iter().take(LABELS_MAX) {
        let shown: String = key.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
        if key.is_empty() || LABEL_KEY_CHARS_MAX < key.len() || !key.bytes().all(allowed) {
            let problem = format!(
                "the key must be 1 to {LABEL_KEY_CHARS_MAX} letters, digits, `-`, `_`, `.` or `/`"
            );
            violations.add(format!("identity.labels.{shown}"), problem);
        }
        if LABEL_VALUE_CHARS_MAX < value.chars().count() || value.chars().any(char::is_control) {
            let problem = format!(
                "the value must have at most {LABEL_VALUE_CHARS_MAX} characters and no line break"
            );
            violations.add(format!("identity.labels.{shown}"), problem);
        }
    }
}

/// Notes what is wrong with a text of several lines.
pub(super) fn check_text(violations: &mut Violations, field: &str, text: &str, chars_max: usize) {
    let chars = text.chars().count();
    if chars_max < chars {
        violations.add(field, format!("has {chars} characters; at most {chars_max}"));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        violations.add(field, "has a control character");
    }
}

fn check_request_id(violations: &mut Violations, id: &str) {
    if REQUEST_ID_CHARS_MAX < id.len() || !id.bytes().all(|b| b.is_ascii_graphic()) {
        let problem =
            format!("must be 1 to {REQUEST_ID_CHARS_MAX} visible ASCII characters, such as a UUID");
        violations.add("request_id", problem);
    }
}

#[cfg(test)]
mod tests;
