use jiff::civil::date;

use super::*;

fn one_secret(last_day: Option<Date>) -> SecretDates {
    SecretDates { first: last_day, last: last_day, ..SecretDates::default() }
}

/// A first secret until 10 June and a next one until 10 December.
const TWO: SecretDates = SecretDates {
    first: Some(date(2026, 6, 10)),
    has_next: true,
    next: Some(date(2026, 12, 10)),
    last: Some(date(2026, 12, 10)),
};

fn told(answer: &EndpointAnswer, now: &str) -> Vec<(&'static str, String)> {
    let alarms = alarms(one_secret(Some(date(2026, 6, 10))), answer, now.parse().unwrap());
    alarms.into_iter().map(|one| (one.alarm_type, one.stage)).collect()
}

#[test]
fn each_stage_makes_an_alarm_of_its_own() {
    for (now, stage) in [
        ("2026-04-10T23:59:59Z", None),
        ("2026-04-11T00:00:00Z", Some("2026-06-10/60")),
        ("2026-05-10T12:00:00Z", Some("2026-06-10/60")),
        ("2026-05-11T00:00:00Z", Some("2026-06-10/30")),
        ("2026-05-27T00:00:00Z", Some("2026-06-10/14")),
        ("2026-06-03T00:00:00Z", Some("2026-06-10/7")),
        ("2026-06-07T00:00:00Z", Some("2026-06-10/3")),
        ("2026-06-09T00:00:00Z", Some("2026-06-10/1")),
        ("2026-06-10T23:59:59Z", Some("2026-06-10/1")),
    ] {
        let expected: Vec<_> =
            stage.into_iter().map(|stage| (SECRET_ABOUT_TO_EXPIRE, stage.to_owned())).collect();
        for answer in [EndpointAnswer::None, EndpointAnswer::Works] {
            assert_eq!(told(&answer, now), expected, "{now} {answer:?}");
        }
    }
}

#[test]
fn behind_its_last_day_the_secret_has_expired_unless_the_endpoint_gives_tokens() {
    let expired = (SECRET_EXPIRED, String::new());
    let differs = (SECRET_DATE_DIFFERS, "2026-06-10".to_owned());

    assert_eq!(told(&EndpointAnswer::None, "2026-06-11T00:00:00Z"), [expired]);
    assert_eq!(told(&EndpointAnswer::Works, "2026-06-11T00:00:00Z"), [differs]);
}

#[test]
fn the_endpoint_overrides_the_date() {
    let words = EndpointAnswer::Expired("AADSTS7000222".to_owned());
    let expired = (SECRET_EXPIRED, String::new());
    let differs = (SECRET_DATE_DIFFERS, "2026-06-10".to_owned());

    assert_eq!(told(&words, "2026-01-01T00:00:00Z"), [expired.clone(), differs]);
    assert_eq!(told(&words, "2026-06-11T00:00:00Z"), [expired]);
    let alarms = alarms(one_secret(None), &words, "2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0].details, "AADSTS7000222");
}

#[test]
fn without_a_date_and_a_refusal_there_is_no_alarm() {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    assert!(alarms(one_secret(None), &EndpointAnswer::Works, now).is_empty());
}

#[test]
fn a_secret_that_is_followed_by_another_ends_without_an_alarm() {
    for (now, answer, stage) in [
        ("2026-06-09T00:00:00Z", EndpointAnswer::Works, None),
        ("2026-06-20T00:00:00Z", EndpointAnswer::None, None),
        ("2026-12-09T00:00:00Z", EndpointAnswer::None, Some("2026-12-10/1")),
    ] {
        let alarms = alarms(TWO, &answer, now.parse().unwrap());
        let stages: Vec<_> = alarms.iter().map(|one| one.stage.as_str()).collect();
        assert_eq!(stages, stage.into_iter().collect::<Vec<_>>(), "{now}");
    }
}

#[test]
fn a_next_secret_in_use_is_told_as_a_warning_with_what_to_do() {
    let words = "AADSTS7000222".to_owned();
    let answer = EndpointAnswer::NextWorks { words, is_expired: true };
    let on_time = "2026-06-11T00:00:00Z".parse().unwrap();

    let told = alarms(TWO, &answer, on_time);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].alarm_type, told[0].severity), (SECRET_EXPIRED, Some(Severity::Warning)));
    assert!(told[0].details.starts_with("AADSTS7000222\nlet the next client secret take"));
    let known = status(TWO, &answer, on_time);
    assert_eq!((known.usage, known.disagreement), (SecretUse::Next, None));

    let early = "2026-01-01T00:00:00Z".parse().unwrap();
    let told = alarms(TWO, &answer, early);
    assert_eq!(told.last().unwrap().alarm_type, SECRET_DATE_DIFFERS);
    assert!(status(TWO, &answer, early).disagreement.unwrap().contains("good until 2026-06-10"));
}

#[test]
fn the_end_of_the_next_secret_is_told_while_it_is_in_use() {
    let answer = EndpointAnswer::NextWorks { words: "no".to_owned(), is_expired: false };
    let told = alarms(TWO, &answer, "2026-12-08T00:00:00Z".parse().unwrap());
    let types: Vec<_> = told.iter().map(|one| one.alarm_type).collect();
    assert_eq!(types, [SECRET_EXPIRED, SECRET_ABOUT_TO_EXPIRE]);
}

#[test]
fn a_secret_that_is_wrong_is_known_as_no_good() {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let known = status(TWO, &EndpointAnswer::Wrong("AADSTS7000215".to_owned()), now);
    assert_eq!((known.usage, known.refusal.as_deref()), (SecretUse::None, Some("AADSTS7000215")));
}
