use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn draft() -> RaiseDraft {
    RaiseDraft {
        identity: AlarmIdentity {
            alarm_type: "process-down".to_owned(),
            node: "node-1".to_owned(),
            labels: std::collections::BTreeMap::new(),
        },
        severity: None,
        description: "radius is down".to_owned(),
        details: String::new(),
        value: None,
        raised_at: None,
        request_id: String::new(),
    }
}

fn check(draft: RaiseDraft) -> Result<Raise, Vec<String>> {
    let mut violations = Violations::default();
    let read = draft.check(&mut violations, &AlarmRules::default(), now());
    read.ok_or_else(|| violations.iter().map(|one| one.field.clone()).collect())
}

#[test]
fn a_raise_without_a_time_is_of_now_and_none_is_ahead() {
    assert_eq!(check(draft()).unwrap().alarm.raised_at, now());
    let ahead = now() + std::time::Duration::from_hours(1);
    let raise = check(RaiseDraft { raised_at: Some(ahead), ..draft() }).unwrap();
    assert_eq!(raise.alarm.raised_at, now());
}

#[test]
fn texts_of_several_lines_are_fine_and_names_of_several_are_not() {
    let mut lines = RaiseDraft { description: "one\ntwo".to_owned(), ..draft() };
    assert!(check(lines.clone()).is_ok());
    lines.identity.node = "one\ntwo".to_owned();
    lines.identity.labels.insert("a".to_owned(), "b\rc".to_owned());

    assert_eq!(check(lines).unwrap_err(), ["identity.node", "identity.labels.a"]);
}

#[test]
fn a_condition_on_a_value_needs_one() {
    let mut rules = AlarmRules::default();
    let mut kind = rules.find("process-down").unwrap();
    kind.condition = Some(crate::alarm::kind::Condition {
        measure: Measure::Value,
        operator: crate::alarm::kind::Operator::Greater,
        value: 1.0,
        window: std::time::Duration::from_mins(1),
    });
    rules.own_types.insert(kind.id.clone(), kind);
    let mut violations = Violations::default();

    assert_eq!(draft().check(&mut violations, &rules, now()), None);
    assert_eq!(violations.iter().next().unwrap().field, "value");
}
