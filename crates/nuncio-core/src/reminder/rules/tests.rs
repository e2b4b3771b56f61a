use super::*;

fn rule(stages: &[u64]) -> Rule {
    let stages = stages.iter().map(|hours| Stage::at(Duration::from_hours(*hours))).collect();
    Rule { is_enabled: true, stages, copy_to_sponsor: false }
}

#[test]
fn nobody_is_reminded_until_somebody_switches_it_on() {
    let settings = ReminderSettings::default().check().unwrap();

    assert!(settings.rules().all(|(_, rule)| !rule.is_enabled));
    assert!(settings.rules().all(|(_, rule)| rule.stages == [Stage::at(STAGE_DEFAULT)]));
}

#[test]
fn a_guest_type_has_its_own_rule_or_that_of_all_guests() {
    let guest_types = BTreeMap::from([("daily".to_owned(), rule(&[2]))]);
    let settings = ReminderSettings { guests: rule(&[72]), guest_types, ..Default::default() };
    let group = |guest_type: &str| Group::Guest { guest_type: guest_type.to_owned() };

    assert_eq!(settings.rule(&group("daily")), &rule(&[2]));
    assert_eq!(settings.rule(&group("weekly")), &rule(&[72]));
}

#[test]
fn stages_are_put_in_order() {
    let settings = ReminderSettings { guests: rule(&[2, 168, 24]), ..Default::default() };

    assert_eq!(settings.check().unwrap().guests, rule(&[168, 24, 2]));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut bad = rule(&[1, 1, 0]);
    bad.stages[0].portal = Some("no portal/at all".to_owned());
    let users = Rule { copy_to_sponsor: true, ..rule(&[9000]) };
    let guest_types = BTreeMap::from([("a\nb".to_owned(), rule(&[]))]);
    let settings =
        ReminderSettings { guests: bad, guest_types, network_users: users, ..Default::default() };

    let violations = settings.check().unwrap_err();

    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "reminder_settings.guests.stages[0].portal",
            "reminder_settings.guests.stages[1].before",
            "reminder_settings.guests.stages[2].before",
            "reminder_settings.guest_types[\"a\\nb\"]",
            "reminder_settings.guest_types[\"a\\nb\"].stages",
            "reminder_settings.network_users.stages[0].before",
            "reminder_settings.network_users.copy_to_sponsor",
        ]
    );
}

#[test]
fn a_rule_is_told_in_a_line() {
    let mut told = rule(&[168, 36]);
    told.copy_to_sponsor = true;
    told.stages[1].portal = Some("last".to_owned());

    assert_eq!(told.to_string(), "on, 7d 36h (texts of `last`), copy to sponsor");
    assert_eq!(Rule::default().to_string(), "off, 3d");
}
