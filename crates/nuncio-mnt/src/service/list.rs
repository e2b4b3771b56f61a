//! Which alarms to list.

use std::collections::BTreeMap;

use jiff::Timestamp;
use nuncio_api::convert::enums::known_all;
use nuncio_api::convert::time::timestamp_from;
use nuncio_api::v1;
use nuncio_core::alarm::Severity;
use nuncio_core::alarm::standing::{Phase, StandingAlarm};
use nuncio_core::job::LABELS_MAX;
use nuncio_core::violation::Violations;

/// The most alarms that one call looks at to find those that fit its filter.
pub(super) const EXAMINED_MAX: u32 = 10_000;
/// The longest text to look for, in characters.
const TEXT_CHARS_MAX: usize = 256;
/// The most values of a filter.
const VALUES_MAX: usize = 100;

pub(super) struct AlarmFilter {
    phases: Vec<Phase>,
    severities: Vec<Severity>,
    alarm_type: String,
    node: String,
    labels: BTreeMap<String, String>,
    text: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl AlarmFilter {
    pub(super) fn read(request: &v1::ListAlarmsRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let v = &mut violations;
        for (field, count) in
            [("states", request.states.len()), ("severities", request.severities.len())]
        {
            if VALUES_MAX < count {
                v.add(field, format!("{count} values; at most {VALUES_MAX}"));
            }
        }
        if LABELS_MAX < request.labels.len() {
            v.add("labels", format!("{} labels; at most {LABELS_MAX}", request.labels.len()));
        }
        if TEXT_CHARS_MAX < request.text.chars().count() {
            v.add("text", format!("is longer than {TEXT_CHARS_MAX} characters"));
        }
        let phases = known_all::<v1::AlarmState, Phase>(v, "states", &request.states);
        let severities =
            known_all::<v1::AlarmSeverity, Severity>(v, "severities", &request.severities);
        let since = timestamp_from(v, "since_time", request.since_time);
        let until = timestamp_from(v, "until_time", request.until_time);
        violations.none_or(|| Self {
            phases,
            severities,
            alarm_type: request.r#type.clone(),
            node: request.node.clone(),
            labels: request.labels.clone(),
            text: request.text.to_lowercase(),
            since,
            until,
        })
    }

    pub(super) fn fits(&self, alarm: &StandingAlarm) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.text);
        let identity = &alarm.identity;
        (self.phases.is_empty() || self.phases.contains(&alarm.phase))
            && (self.severities.is_empty() || self.severities.contains(&alarm.severity))
            && (self.alarm_type.is_empty() || self.alarm_type == identity.alarm_type)
            && (self.node.is_empty() || self.node == identity.node)
            && self.labels.iter().all(|(key, value)| identity.labels.get(key) == Some(value))
            && (self.text.is_empty() || has(&alarm.description) || has(&alarm.details))
            && self.since.is_none_or(|since| since <= alarm.last_raised_at)
            && self.until.is_none_or(|until| alarm.first_raised_at < until)
    }
}
