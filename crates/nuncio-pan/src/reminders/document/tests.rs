use jiff::civil::time;

use super::*;

#[test]
fn the_settings_come_back_as_they_were_saved() {
    let rule = Rule {
        is_enabled: true,
        stages: vec![
            Stage { before: Duration::from_hours(168), portal: Some("first-warning".to_owned()) },
            Stage::at(Duration::from_hours(2)),
        ],
        copy_to_sponsor: true,
    };
    let settings = ReminderSettings {
        guest_types: BTreeMap::from([("contractor".to_owned(), rule)]),
        quiet_hours: Some(QuietHours::new(time(21, 0, 0, 0), time(7, 30, 0, 0)).unwrap()),
        ..Default::default()
    };

    assert_eq!(decode(&encode(&settings)).unwrap(), settings);
}

#[test]
fn a_document_of_another_version_is_not_guessed_at() {
    let json = encode(&ReminderSettings::default());
    let newer = json.expose().replace("\"version\":1", "\"version\":2");

    let problem = decode(&Sensitive::from(newer)).unwrap_err().to_string();

    assert!(problem.contains("version 2 of its format; 1 is known"), "{problem}");
}
