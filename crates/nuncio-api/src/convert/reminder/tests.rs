use super::*;

fn stage(seconds: i64) -> v1::ReminderStage {
    let before = Some(prost_types::Duration { seconds, nanos: 0 });
    v1::ReminderStage { before, portal: String::new() }
}

fn rule(stages: Vec<v1::ReminderStage>) -> v1::ReminderRule {
    v1::ReminderRule { enabled: true, stages, copy_to_sponsor: false }
}

#[test]
fn settings_come_back_as_they_were_given() {
    let quiet_hours = Some(v1::QuietHours { start: "21:00:00".into(), end: "07:30:00".into() });
    let given = v1::ReminderSettings {
        guests: Some(rule(vec![stage(259_200), stage(7200)])),
        guest_types: BTreeMap::from([("daily".to_owned(), rule(vec![stage(3600)]))]),
        administrators: Some(rule(vec![stage(2_592_000)])),
        network_users: Some((&Rule::default()).into()),
        quiet_hours,
        ..Default::default()
    };

    let read = reminder_settings(given.clone()).unwrap();

    assert_eq!(v1::ReminderSettings::from(&read), given);
}

#[test]
fn a_rule_that_is_left_out_is_off() {
    assert_eq!(
        reminder_settings(v1::ReminderSettings::default()).unwrap(),
        ReminderSettings::default()
    );
}

#[test]
fn everything_that_cannot_be_read_is_told_at_once() {
    let bare = v1::ReminderStage::default();
    let given = v1::ReminderSettings {
        guests: Some(rule(vec![bare, stage(-1), stage(3600)])),
        quiet_hours: Some(v1::QuietHours { start: "late".into(), end: "25:00".into() }),
        administrators: Some(rule(vec![stage(1)])),
        ..Default::default()
    };

    let violations = reminder_settings(given).unwrap_err();

    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "reminder_settings.guests.stages[0].before",
            "reminder_settings.guests.stages[1].before",
            "reminder_settings.quiet_hours.start",
            "reminder_settings.quiet_hours.end",
            "reminder_settings.administrators.stages[0].before",
        ]
    );
}
