use jiff::civil::date;

use super::*;

fn told(answer: &EndpointAnswer, now: &str) -> Vec<(&'static str, String)> {
    let alarms = alarms(Some(date(2026, 6, 10)), answer, now.parse().unwrap());
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
    let alarms = alarms(None, &words, "2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0].details, "AADSTS7000222");
}

#[test]
fn without_a_date_and_a_refusal_there_is_no_alarm() {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    assert!(alarms(None, &EndpointAnswer::Works, now).is_empty());
}
