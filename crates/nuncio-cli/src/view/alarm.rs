//! Alarms, silences, types and settings as tables.

use nuncio_api::v1::{
    Alarm, AlarmDecision, AlarmRecipientResult, AlarmSettings, AlarmStageResult, AlarmType, Silence,
};

use crate::names;
use crate::output::{Cell, Table, Tone};
use crate::time::{moment, span};

pub(crate) fn alarms(alarms: &[Alarm]) -> Table {
    let head = ["ALARM", "STATE", "SEVERITY", "TYPE", "NODE", "COUNT", "SINCE", "MUTED"];
    let mut table = Table::with_head(head);
    for alarm in alarms {
        let identity = alarm.identity.clone().unwrap_or_default();
        table.row([
            Cell::from(&alarm.name),
            Cell::from(names::alarm_state(alarm.state())),
            Cell::toned(names::severity_tone(alarm.severity()), names::severity(alarm.severity())),
            Cell::from(identity.r#type),
            Cell::from(identity.node),
            Cell::from(alarm.count.to_string()),
            Cell::from(moment(alarm.first_raise_time.as_ref())),
            Cell::from(&alarm.mute_reason),
        ]);
    }
    table
}

pub(crate) fn head(alarm: &Alarm) -> Table {
    let mut table = Table::list();
    let identity = alarm.identity.clone().unwrap_or_default();
    table.value("name", &alarm.name);
    table.value("type", format!("{} ({})", alarm.display_name, identity.r#type));
    table.value("node", identity.node);
    let labels: Vec<String> =
        identity.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    table.value("labels", labels.join(" "));
    table.value("state", names::alarm_state(alarm.state()));
    let severity = alarm.severity();
    table.value("severity", Cell::toned(names::severity_tone(severity), names::severity(severity)));
    table.value("description", &alarm.description);
    table.value("details", &alarm.details);
    table.value("what to do", &alarm.suggested_action);
    table.value("count", alarm.count.to_string());
    table.value("since", moment(alarm.first_raise_time.as_ref()));
    table.value("last", moment(alarm.last_raise_time.as_ref()));
    if alarm.clear_time.is_some() {
        table.value("over", moment(alarm.clear_time.as_ref()));
    }
    if let Some(one) = &alarm.acknowledgement {
        table.value("looked after", format!("by {}: {}", one.acknowledged_by, one.comment));
    }
    table.value("muted", Cell::toned(Tone::Warning, &alarm.mute_reason));
    table.value("", &alarm.mute_message);
    table.value("group", &alarm.group);
    table
}

pub(crate) fn decisions(decisions: &[AlarmDecision]) -> Table {
    let mut table = Table::with_head(["DECIDED", "DECISION", "ALARMS", "MESSAGE", "MAILS"]);
    for one in decisions {
        table.row([
            Cell::from(moment(one.decide_time.as_ref())),
            Cell::from(&one.code),
            Cell::from(one.alarm_count.to_string()),
            Cell::from(&one.message),
            Cell::from(one.mail_jobs.join(" ")),
        ]);
    }
    table
}

pub(crate) fn silences(silences: &[Silence]) -> Table {
    let head = ["SILENCE", "ACTIVE", "TYPE", "NODE", "LABELS", "UNTIL", "COMMENT"];
    let mut table = Table::with_head(head);
    for one in silences {
        let labels: Vec<String> =
            one.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        table.row([
            Cell::from(&one.name),
            Cell::from(if one.active { "yes" } else { "no" }),
            Cell::from(&one.r#type),
            Cell::from(&one.node),
            Cell::from(labels.join(" ")),
            Cell::from(moment(one.end_time.as_ref())),
            Cell::from(&one.comment),
        ]);
    }
    table
}

pub(crate) fn types(types: &[AlarmType]) -> Table {
    let head = ["TYPE", "NAME", "SEVERITY", "STATUS", "CATEGORY", "ORIGIN"];
    let mut table = Table::with_head(head);
    for one in types {
        let origin = match (one.user_defined, one.changed) {
            (true, _) => "own",
            (false, true) => "changed",
            (false, false) => "shipped",
        };
        table.row([
            Cell::from(&one.name),
            Cell::from(&one.display_name),
            Cell::toned(names::severity_tone(one.severity()), names::severity(one.severity())),
            Cell::from(names::alarm_type_status(one.status())),
            Cell::from(names::alarm_category(one.category())),
            Cell::from(origin),
        ]);
    }
    table
}

pub(crate) fn settings(settings: &AlarmSettings) -> Table {
    let mut table = Table::list();
    let yes = |value: bool| if value { "yes" } else { "no" };
    table.value("mails", yes(settings.enabled));
    table.value("sender", &settings.from_address);
    table.value("recipients", settings.recipients.join(", "));
    for group in &settings.recipient_groups {
        let members = group.addresses.join(", ");
        table.value("group", format!("{}: {members}", group.display_name));
    }
    table.value("administrators", yes(settings.include_administrators));
    table.value("language", &settings.locale);
    table.value("time zone", &settings.time_zone);
    table.value("grouped by", settings.group_by.join(", "));
    table.value("first mail after", span(settings.group_wait.as_ref()));
    table.value("next mail after", span(settings.group_interval.as_ref()));
    table.value("repeats after", span(settings.repeat_interval.as_ref()));
    table.value("tells ends", yes(settings.send_resolved));
    for (name, limit) in [("limit", settings.limit), ("critical limit", settings.critical_limit)] {
        let limit = limit.unwrap_or_default();
        table.value(name, format!("{} at once, {} an hour", limit.burst, limit.mails_per_hour));
    }
    table.value("digest after", span(settings.digest_interval.as_ref()));
    for one in &settings.inhibitions {
        let targets = one.target_types.join(", ");
        table.value("inhibition", format!("{} mutes {targets}", one.source_type));
    }
    table.value("kept", span(settings.retention.as_ref()));
    table.value("etag", &settings.etag);
    table
}

pub(crate) fn stages(stages: &[AlarmStageResult]) -> Table {
    let mut table = Table::with_head(["STAGE", "PASSES", "WHY"]);
    for one in stages {
        let (tone, passes) = if one.passed { (Tone::Good, "yes") } else { (Tone::Warning, "no") };
        table.row([Cell::from(&one.stage), Cell::toned(tone, passes), Cell::from(&one.message)]);
    }
    table
}

pub(crate) fn routes(recipients: &[AlarmRecipientResult]) -> Table {
    let mut table = Table::with_head(["RECIPIENT", "BECAUSE OF", "GETS", "WHY"]);
    for one in recipients {
        table.row([
            Cell::from(&one.address),
            Cell::from(&one.source),
            Cell::from(&one.code),
            Cell::from(&one.message),
        ]);
    }
    table
}
