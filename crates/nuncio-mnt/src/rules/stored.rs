//! The document as JSON. What is not there is as by default, so that older documents can be read.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use nuncio_core::address::EmailAddress;
use nuncio_core::alarm::kind::{AlarmType, Category, Condition, Measure, Operator, TypeStatus};
use nuncio_core::alarm::settings::{AlarmRules, AlarmSettings, Flapping, Inhibition, Limit};
use nuncio_core::alarm::{Severity, catalogue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::records::alarm::{severity_from, severity_to};
use crate::records::{encode, names};

names!(category_to, category_from, Category:
    Category::Audit = "audit",
    Category::Services = "services",
    Category::SystemHealth = "system-health",
    Category::Licensing = "licensing",
    Category::SystemError = "system-error",
    Category::TrustSec = "trustsec",
    Category::MailPath = "mail-path",
    Category::Other = "other",
);

names!(status_to, status_from, TypeStatus:
    TypeStatus::Enabled = "enabled",
    TypeStatus::Disabled = "disabled",
    TypeStatus::Suppressed = "suppressed",
);

names!(measure_to, measure_from, Measure:
    Measure::Occurrences = "occurrences",
    Measure::Value = "value",
);

names!(operator_to, operator_from, Operator:
    Operator::GreaterOrEqual = ">=",
    Operator::Greater = ">",
    Operator::LessOrEqual = "<=",
    Operator::Less = "<",
);

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct StoredRules {
    enabled: bool,
    from: Option<String>,
    recipients: Vec<String>,
    groups: BTreeMap<String, Vec<String>>,
    include_administrators: bool,
    locale: String,
    time_zone: String,
    group_by: Vec<String>,
    group_wait_ms: u64,
    group_interval_ms: u64,
    repeat_interval_ms: u64,
    sends_resolved: bool,
    limit: (u32, u32),
    critical_limit: (u32, u32),
    digest_interval_ms: u64,
    flapping: (u32, u64, u64),
    inhibitions: Vec<StoredInhibition>,
    retention_ms: u64,
    types: BTreeMap<String, StoredType>,
    /// What others keep in this document.
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct StoredInhibition {
    source: String,
    targets: Vec<String>,
    equal: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredType {
    display_name: String,
    category: String,
    severity: String,
    status: String,
    description: String,
    suggested_action: String,
    mail_path: bool,
    condition: Option<(String, String, f64, u64)>,
    recipients: Vec<String>,
    groups: Vec<String>,
    from: Option<String>,
    custom_text: String,
    repeat_interval_ms: Option<u64>,
}

impl Default for StoredRules {
    fn default() -> Self {
        stored(&AlarmRules::default(), Map::new())
    }
}

/// The document with what others keep in it.
pub(super) fn write(rules: &AlarmRules, other: &Map<String, Value>) -> String {
    encode(&stored(rules, other.clone()))
}

/// The rules, and what others keep in the document. An address or zone that this version cannot read is left out.
pub(super) fn read(json: &str) -> Result<(AlarmRules, Map<String, Value>), serde_json::Error> {
    let stored: StoredRules = serde_json::from_str(json)?;
    let (changes, window, hold) = stored.flapping;
    let limit = |(burst, mails_per_hour)| Limit { burst, mails_per_hour };
    let settings = AlarmSettings {
        is_enabled: stored.enabled,
        from: stored.from.and_then(|from| from.parse().ok()),
        recipients: addresses(&stored.recipients),
        recipient_groups: stored
            .groups
            .into_iter()
            .map(|(name, group)| (name, addresses(&group)))
            .collect(),
        include_administrators: stored.include_administrators,
        locale: stored.locale,
        time_zone: TimeZone::get(&stored.time_zone).unwrap_or(TimeZone::UTC),
        group_by: stored.group_by,
        group_wait: Duration::from_millis(stored.group_wait_ms),
        group_interval: Duration::from_millis(stored.group_interval_ms),
        repeat_interval: Duration::from_millis(stored.repeat_interval_ms),
        sends_resolved: stored.sends_resolved,
        limit: limit(stored.limit),
        critical_limit: limit(stored.critical_limit),
        digest_interval: Duration::from_millis(stored.digest_interval_ms),
        flapping: Flapping {
            changes,
            window: Duration::from_millis(window),
            hold: Duration::from_millis(hold),
        },
        inhibitions: stored
            .inhibitions
            .into_iter()
            .map(|one| Inhibition {
                source_type: one.source,
                target_types: one.targets,
                equal: one.equal,
            })
            .collect(),
        retention: Duration::from_millis(stored.retention_ms),
    };
    let types = stored.types.into_iter();
    let own_types = types.map(|(id, one)| (id.clone(), read_type(id, one))).collect();
    Ok((AlarmRules { settings, own_types }, stored.other))
}

fn stored(rules: &AlarmRules, other: Map<String, Value>) -> StoredRules {
    let AlarmRules { settings, own_types } = rules;
    let limit = |limit: Limit| (limit.burst, limit.mails_per_hour);
    let flapping = settings.flapping;
    StoredRules {
        enabled: settings.is_enabled,
        from: settings.from.as_ref().map(ToString::to_string),
        recipients: texts(&settings.recipients),
        groups: settings
            .recipient_groups
            .iter()
            .map(|(name, group)| (name.clone(), texts(group)))
            .collect(),
        include_administrators: settings.include_administrators,
        locale: settings.locale.clone(),
        time_zone: settings.time_zone.iana_name().unwrap_or("UTC").to_owned(),
        group_by: settings.group_by.clone(),
        group_wait_ms: millis(settings.group_wait),
        group_interval_ms: millis(settings.group_interval),
        repeat_interval_ms: millis(settings.repeat_interval),
        sends_resolved: settings.sends_resolved,
        limit: limit(settings.limit),
        critical_limit: limit(settings.critical_limit),
        digest_interval_ms: millis(settings.digest_interval),
        flapping: (flapping.changes, millis(flapping.window), millis(flapping.hold)),
        inhibitions: settings
            .inhibitions
            .iter()
            .map(|one| StoredInhibition {
                source: one.source_type.clone(),
                targets: one.target_types.clone(),
                equal: one.equal.clone(),
            })
            .collect(),
        retention_ms: millis(settings.retention),
        types: own_types.iter().map(|(id, one)| (id.clone(), stored_type(one))).collect(),
        other,
    }
}

fn stored_type(one: &AlarmType) -> StoredType {
    StoredType {
        display_name: one.display_name.clone(),
        category: category_to(one.category).to_owned(),
        severity: severity_to(one.severity).to_owned(),
        status: status_to(one.status).to_owned(),
        description: one.description.clone(),
        suggested_action: one.suggested_action.clone(),
        mail_path: one.is_mail_path,
        condition: one.condition.map(|condition| {
            let measure = measure_to(condition.measure).to_owned();
            let operator = operator_to(condition.operator).to_owned();
            (measure, operator, condition.value, millis(condition.window))
        }),
        recipients: texts(&one.recipients),
        groups: one.recipient_groups.clone(),
        from: one.from.as_ref().map(ToString::to_string),
        custom_text: one.custom_text.clone(),
        repeat_interval_ms: one.repeat_interval.map(millis),
    }
}

fn read_type(id: String, stored: StoredType) -> AlarmType {
    let shipped = catalogue::find(&id);
    let condition = stored.condition.and_then(|(measure, operator, value, window)| {
        Some(Condition {
            measure: measure_from(&measure)?,
            operator: operator_from(&operator)?,
            value,
            window: Duration::from_millis(window),
        })
    });
    AlarmType {
        id,
        display_name: stored.display_name,
        category: category_from(&stored.category).unwrap_or(Category::Other),
        severity: severity_from(&stored.severity).unwrap_or(Severity::Critical),
        status: status_from(&stored.status).unwrap_or(TypeStatus::Enabled),
        description: stored.description,
        suggested_action: stored.suggested_action,
        is_mail_path: shipped.map_or(stored.mail_path, |shipped| shipped.is_mail_path),
        condition,
        recipients: addresses(&stored.recipients),
        recipient_groups: stored.groups,
        from: stored.from.and_then(|from| from.parse().ok()),
        custom_text: stored.custom_text,
        repeat_interval: stored.repeat_interval_ms.map(Duration::from_millis),
    }
}

fn addresses(texts: &[String]) -> Vec<EmailAddress> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn texts(addresses: &[EmailAddress]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
