//! Types of alarms, and the settings of their notification.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use nuncio_core::address::EmailAddress;
use nuncio_core::alarm::Severity;
use nuncio_core::alarm::kind::{
    AlarmType, CUSTOM_TEXT_CHARS_MAX, Category, Condition, DISPLAY_NAME_CHARS_MAX, Measure,
    Operator, RECIPIENTS_MAX, TYPE_TEXT_CHARS_MAX, TypeStatus, WINDOW_MAX, is_type_id,
};
use nuncio_core::alarm::settings::{
    AlarmRules, AlarmSettings, Flapping, GROUP_BY_MAX, GROUPS_MAX, INHIBITIONS_MAX, Inhibition,
    Limit,
};
use nuncio_core::violation::Violations;

use crate::convert::enums::known;
use crate::convert::time::{duration, duration_from};
use crate::v1;

/// What stands before the id of a type in its name.
pub const TYPE_NAME_PREFIX: &str = "alarmTypes/";

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(366 * 24);
/// The longest retention of resolved alarms: ten years.
const RETENTION_MAX: Duration = Duration::from_hours(3650 * 24);
const BURST_MAX: u32 = 1000;
const MAILS_PER_HOUR_MAX: u32 = 3600;
const FLAP_CHANGES_MAX: u32 = 100;
const NAME_CHARS_MAX: usize = 64;
/// The longest language tag (RFC 5646, section 4.4.1).
const LOCALE_CHARS_MAX: usize = 35;

/// Reads a type, or notes everything that is wrong with it.
pub fn alarm_type(
    violations: &mut Violations,
    given: v1::AlarmType,
    rules: &AlarmRules,
) -> Option<AlarmType> {
    let mut found = Violations::default();
    let field = |name: &str| format!("alarm_type.{name}");
    let id = given.name.strip_prefix(TYPE_NAME_PREFIX).unwrap_or_default().to_owned();
    if !is_type_id(&id) {
        let problem =
            "must be `alarmTypes/` and an id of 1 to 64 lower-case letters, digits and `-`";
        found.add(field("name"), problem);
    }
    check_line(&mut found, &field("display_name"), &given.display_name, DISPLAY_NAME_CHARS_MAX);
    if given.display_name.is_empty() {
        found.add(field("display_name"), "is missing; it stands in the subject of mails");
    }
    for (name, text, chars_max) in [
        ("description", &given.description, TYPE_TEXT_CHARS_MAX),
        ("suggested_action", &given.suggested_action, TYPE_TEXT_CHARS_MAX),
        ("custom_text", &given.custom_text, CUSTOM_TEXT_CHARS_MAX),
    ] {
        check_text(&mut found, &field(name), text, chars_max);
    }
    let category =
        known::<v1::AlarmCategory, Category>(&mut found, &field("category"), given.category);
    let severity =
        known::<v1::AlarmSeverity, Severity>(&mut found, &field("severity"), given.severity);
    if severity.is_none() {
        found.add(field("severity"), "is missing; it is that of alarms which name none");
    }
    let status =
        known::<v1::AlarmTypeStatus, TypeStatus>(&mut found, &field("status"), given.status);
    let condition = given.condition.and_then(|given| condition(&mut found, given));
    let recipients = addresses(&mut found, &field("recipients"), &given.recipients);
    for (index, name) in given.recipient_groups.iter().enumerate() {
        if !rules.settings.recipient_groups.contains_key(name) {
            let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
            let problem = format!("`{shown}` is no group of the alarm settings");
            found.add(format!("alarm_type.recipient_groups[{index}]"), problem);
        }
    }
    let from = optional_address(&mut found, &field("from_address"), &given.from_address);
    let repeat_interval =
        duration_from(&mut found, &field("repeat_interval"), given.repeat_interval);
    check_span(&mut found, &field("repeat_interval"), repeat_interval, Duration::ZERO, YEAR);
    if !found.is_empty() {
        violations.append(found);
        return None;
    }
    Some(AlarmType {
        is_mail_path: given.mail_path,
        id,
        display_name: given.display_name,
        category: category.unwrap_or(Category::Other),
        severity: severity?,
        status: status.unwrap_or(TypeStatus::Enabled),
        description: given.description,
        suggested_action: given.suggested_action,
        condition,
        recipients,
        recipient_groups: given.recipient_groups,
        from,
        custom_text: given.custom_text,
        repeat_interval,
    })
}

fn condition(violations: &mut Violations, given: v1::AlarmCondition) -> Option<Condition> {
    let field = |name: &str| format!("alarm_type.condition.{name}");
    let measure = known::<v1::AlarmMeasure, Measure>(violations, &field("measure"), given.measure)
        .unwrap_or(Measure::Occurrences);
    let operator =
        known::<v1::AlarmOperator, Operator>(violations, &field("operator"), given.operator)
            .unwrap_or(Operator::GreaterOrEqual);
    match (measure, operator) {
        (Measure::Occurrences, Operator::LessOrEqual | Operator::Less) => {
            let problem = "occurrences can only be compared with `>=` and `>`";
            violations.add(field("operator"), problem);
        }
        (Measure::Occurrences | Measure::Value, _) => {}
    }
    if !given.value.is_finite() {
        violations.add(field("value"), "must be a finite number");
    }
    let window = duration_from(violations, &field("window"), given.window);
    if window.is_none() {
        violations.add(field("window"), "is missing; say how far back to look");
    }
    check_span(violations, &field("window"), window, Duration::from_secs(1), WINDOW_MAX);
    Some(Condition { measure, operator, value: given.value, window: window? })
}

/// Reads settings, or tells everything that is wrong with them.
pub fn alarm_settings(
    given: v1::AlarmSettings,
    rules: &AlarmRules,
) -> Result<AlarmSettings, Violations> {
    let mut violations = Violations::default();
    let v = &mut violations;
    let field = |name: &str| format!("alarm_settings.{name}");
    let from = optional_address(v, &field("from_address"), &given.from_address);
    let recipients = addresses(v, &field("recipients"), &given.recipients);
    let recipient_groups = groups(v, given.recipient_groups);
    if LOCALE_CHARS_MAX < given.locale.len()
        || !given.locale.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        v.add(field("locale"), "is no language tag; give one such as `en` or `de-CH` (BCP 47)");
    }
    let time_zone = if given.time_zone.is_empty() { "UTC" } else { given.time_zone.as_str() };
    let problem = "is no time zone; give one such as `Europe/Berlin` (IANA)";
    let time_zone = v.check(field("time_zone"), TimeZone::get(time_zone).map_err(|_| problem));
    check_group_by(v, &given.group_by);
    let mut span = |name: &str, given, min, max| {
        let span = duration_from(v, &field(name), given);
        if span.is_none() {
            v.add(field(name), "is missing");
        }
        check_span(v, &field(name), span, min, max);
        span.unwrap_or(min)
    };
    let group_wait = span("group_wait", given.group_wait, Duration::ZERO, HOUR);
    let group_interval = span("group_interval", given.group_interval, Duration::from_secs(10), DAY);
    let repeat_interval = span("repeat_interval", given.repeat_interval, Duration::ZERO, YEAR);
    let digest_interval = span("digest_interval", given.digest_interval, Duration::ZERO, DAY);
    let retention = span("retention", given.retention, DAY, RETENTION_MAX);
    if !repeat_interval.is_zero() && repeat_interval < group_interval {
        v.add(field("repeat_interval"), "must be 0 (never) or at least the group interval");
    }
    let limit = read_limit(v, &field("limit"), given.limit);
    let critical_limit = read_limit(v, &field("critical_limit"), given.critical_limit);
    let flapping = read_flapping(v, given.flapping);
    let inhibitions = read_inhibitions(v, given.inhibitions, rules);
    check_groups_used(v, &recipient_groups, rules);
    violations.none_or(|| AlarmSettings {
        is_enabled: given.enabled,
        from,
        recipients,
        recipient_groups,
        include_administrators: given.include_administrators,
        locale: given.locale,
        time_zone: time_zone.unwrap_or(TimeZone::UTC),
        group_by: given.group_by,
        group_wait,
        group_interval,
        repeat_interval,
        sends_resolved: given.send_resolved,
        limit,
        critical_limit,
        digest_interval,
        flapping,
        inhibitions,
        retention,
    })
}

/// No type may name a group that is not there.
fn check_groups_used(
    violations: &mut Violations,
    groups: &BTreeMap<String, Vec<EmailAddress>>,
    rules: &AlarmRules,
) {
    for one in rules.own_types.values() {
        let missing = one.recipient_groups.iter().filter(|group| !groups.contains_key(*group));
        for group in missing {
            let problem = format!("`{group}` is missing, but alarmTypes/{} names it", one.id);
            violations.add("alarm_settings.recipient_groups", problem);
        }
    }
}

fn check_group_by(violations: &mut Violations, labels: &[String]) {
    if GROUP_BY_MAX < labels.len() {
        let problem = format!("{} labels; at most {GROUP_BY_MAX}", labels.len());
        violations.add("alarm_settings.group_by", problem);
    }
    for (index, label) in labels.iter().enumerate().take(GROUP_BY_MAX) {
        check_name(violations, &format!("alarm_settings.group_by[{index}]"), label);
    }
}

fn groups(
    violations: &mut Violations,
    given: Vec<v1::AlarmRecipientGroup>,
) -> BTreeMap<String, Vec<EmailAddress>> {
    let field = "alarm_settings.recipient_groups";
    if GROUPS_MAX < given.len() {
        violations.add(field, format!("{} groups; at most {GROUPS_MAX}", given.len()));
    }
    let mut groups = BTreeMap::new();
    for (index, group) in given.into_iter().enumerate().take(GROUPS_MAX) {
        let field = format!("{field}[{index}]");
        check_name(violations, &format!("{field}.display_name"), &group.display_name);
        let addresses = addresses(violations, &format!("{field}.addresses"), &group.addresses);
        if groups.insert(group.display_name, addresses).is_some() {
            violations.add(format!("{field}.display_name"), "stands twice");
        }
    }
    groups
}

fn read_limit(violations: &mut Violations, field: &str, given: Option<v1::AlarmLimit>) -> Limit {
    let v1::AlarmLimit { burst, mails_per_hour } = given.unwrap_or_default();
    let mut read = |name: &str, given: i32, max: u32| {
        let value = u32::try_from(given).ok().filter(|value| (1..=max).contains(value));
        let problem = format!("must be 1 to {max}");
        violations.check(format!("{field}.{name}"), value.ok_or(problem)).unwrap_or(1)
    };
    Limit {
        burst: read("burst", burst, BURST_MAX),
        mails_per_hour: read("mails_per_hour", mails_per_hour, MAILS_PER_HOUR_MAX),
    }
}

fn read_flapping(violations: &mut Violations, given: Option<v1::AlarmFlapping>) -> Flapping {
    let v1::AlarmFlapping { changes, window, hold } = given.unwrap_or_default();
    let field = |name: &str| format!("alarm_settings.flapping.{name}");
    let changes = u32::try_from(changes).ok();
    let changes =
        changes.filter(|changes| *changes == 0 || (2..=FLAP_CHANGES_MAX).contains(changes));
    let problem = format!("must be 2 to {FLAP_CHANGES_MAX}, or 0 to hold nothing back");
    let changes = violations.check(field("changes"), changes.ok_or(problem)).unwrap_or_default();
    let mut span = |name: &str, given| {
        let span = duration_from(violations, &field(name), given);
        check_span(violations, &field(name), span, Duration::ZERO, DAY);
        span.unwrap_or_default()
    };
    let (window, hold) = (span("window", window), span("hold", hold));
    Flapping { changes, window, hold }
}

fn read_inhibitions(
    violations: &mut Violations,
    given: Vec<v1::AlarmInhibition>,
    rules: &AlarmRules,
) -> Vec<Inhibition> {
    let field = "alarm_settings.inhibitions";
    if INHIBITIONS_MAX < given.len() {
        violations.add(field, format!("{} of them; at most {INHIBITIONS_MAX}", given.len()));
    }
    let mut read = |(index, one): (usize, v1::AlarmInhibition)| {
        let field = format!("{field}[{index}]");
        let mut check_type = |name: &str, id: &str| {
            if rules.find(id).is_none() {
                let shown: String = id.chars().take(NAME_CHARS_MAX).collect();
                violations.add(format!("{field}.{name}"), format!("`{shown}` is no alarm type"));
            }
        };
        check_type("source_type", &one.source_type);
        for target in one.target_types.iter().take(INHIBITIONS_MAX) {
            check_type("target_types", target);
        }
        if one.target_types.is_empty() || INHIBITIONS_MAX < one.target_types.len() {
            let problem = format!("must be 1 to {INHIBITIONS_MAX} types");
            violations.add(format!("{field}.target_types"), problem);
        }
        if GROUP_BY_MAX < one.equal.len() {
            violations.add(format!("{field}.equal"), format!("at most {GROUP_BY_MAX} labels"));
        }
        for label in one.equal.iter().take(GROUP_BY_MAX) {
            check_name(violations, &format!("{field}.equal"), label);
        }
        Inhibition {
            source_type: one.source_type,
            target_types: one.target_types,
            equal: one.equal,
        }
    };
    given.into_iter().take(INHIBITIONS_MAX).enumerate().map(&mut read).collect()
}

fn addresses(violations: &mut Violations, field: &str, texts: &[String]) -> Vec<EmailAddress> {
    if RECIPIENTS_MAX < texts.len() {
        violations.add(field, format!("{} addresses; at most {RECIPIENTS_MAX}", texts.len()));
    }
    let texts = texts.iter().enumerate().take(RECIPIENTS_MAX);
    texts
        .filter_map(|(index, text)| violations.check(format!("{field}[{index}]"), text.parse()))
        .collect()
}

fn optional_address(violations: &mut Violations, field: &str, text: &str) -> Option<EmailAddress> {
    if text.is_empty() { None } else { violations.check(field, text.parse()) }
}

fn check_span(
    violations: &mut Violations,
    field: &str,
    span: Option<Duration>,
    min: Duration,
    max: Duration,
) {
    if span.is_some_and(|span| span < min || max < span) {
        violations.add(field, format!("must be {} s to {} s", min.as_secs(), max.as_secs()));
    }
}

fn check_name(violations: &mut Violations, field: &str, name: &str) {
    if name.is_empty() {
        violations.add(field, "is empty");
    }
    check_line(violations, field, name, NAME_CHARS_MAX);
}

fn check_line(violations: &mut Violations, field: &str, text: &str, chars_max: usize) {
    if chars_max < text.chars().count() || text.chars().any(char::is_control) {
        let problem = format!("must have at most {chars_max} characters and no line break");
        violations.add(field, problem);
    }
}

fn check_text(violations: &mut Violations, field: &str, text: &str, chars_max: usize) {
    let wrong = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if chars_max < text.chars().count() || text.chars().any(wrong) {
        let problem = format!("must have at most {chars_max} characters and no control character");
        violations.add(field, problem);
    }
}

impl From<AlarmType> for v1::AlarmType {
    fn from(one: AlarmType) -> Self {
        Self {
            name: format!("{TYPE_NAME_PREFIX}{}", one.id),
            display_name: one.display_name,
            category: v1::AlarmCategory::from(one.category).into(),
            severity: v1::AlarmSeverity::from(one.severity).into(),
            status: v1::AlarmTypeStatus::from(one.status).into(),
            description: one.description,
            suggested_action: one.suggested_action,
            user_defined: false,
            mail_path: one.is_mail_path,
            condition: one.condition.map(v1::AlarmCondition::from),
            recipients: texts(&one.recipients),
            recipient_groups: one.recipient_groups,
            from_address: one.from.map(|from| from.to_string()).unwrap_or_default(),
            custom_text: one.custom_text,
            repeat_interval: one.repeat_interval.map(duration),
            etag: String::new(),
            changed: false,
        }
    }
}

impl From<Condition> for v1::AlarmCondition {
    fn from(condition: Condition) -> Self {
        let Condition { measure, operator, value, window } = condition;
        Self {
            measure: v1::AlarmMeasure::from(measure).into(),
            operator: v1::AlarmOperator::from(operator).into(),
            value,
            window: Some(duration(window)),
        }
    }
}

impl From<&AlarmSettings> for v1::AlarmSettings {
    fn from(settings: &AlarmSettings) -> Self {
        let limit = |limit: Limit| v1::AlarmLimit {
            burst: count(limit.burst),
            mails_per_hour: count(limit.mails_per_hour),
        };
        let flapping = settings.flapping;
        let groups = settings.recipient_groups.iter();
        let inhibitions = settings.inhibitions.iter().cloned();
        Self {
            enabled: settings.is_enabled,
            from_address: settings.from.as_ref().map(ToString::to_string).unwrap_or_default(),
            recipients: texts(&settings.recipients),
            recipient_groups: groups
                .map(|(name, addresses)| v1::AlarmRecipientGroup {
                    display_name: name.clone(),
                    addresses: texts(addresses),
                })
                .collect(),
            include_administrators: settings.include_administrators,
            locale: settings.locale.clone(),
            time_zone: settings.time_zone.iana_name().unwrap_or("UTC").to_owned(),
            group_by: settings.group_by.clone(),
            group_wait: Some(duration(settings.group_wait)),
            group_interval: Some(duration(settings.group_interval)),
            repeat_interval: Some(duration(settings.repeat_interval)),
            send_resolved: settings.sends_resolved,
            limit: Some(limit(settings.limit)),
            critical_limit: Some(limit(settings.critical_limit)),
            digest_interval: Some(duration(settings.digest_interval)),
            flapping: Some(v1::AlarmFlapping {
                changes: count(flapping.changes),
                window: Some(duration(flapping.window)),
                hold: Some(duration(flapping.hold)),
            }),
            inhibitions: inhibitions
                .map(|one| v1::AlarmInhibition {
                    source_type: one.source_type,
                    target_types: one.target_types,
                    equal: one.equal,
                })
                .collect(),
            retention: Some(duration(settings.retention)),
            etag: String::new(),
        }
    }
}

fn texts(addresses: &[EmailAddress]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

fn count(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
