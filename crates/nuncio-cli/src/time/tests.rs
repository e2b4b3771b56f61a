use super::*;

fn check_span(seconds: i64, nanos: i32, expect: &str) {
    assert_eq!(span(Some(&prost_types::Duration { seconds, nanos })), expect);
}

#[test]
fn a_span_is_shown_in_its_two_largest_units() {
    check_span(0, 85_000_000, "85ms");
    check_span(1, 500_000_000, "1.5s");
    check_span(61, 0, "1m 1s");
    check_span(3 * 3600 + 120, 0, "3h 2m");
    check_span(50 * 3600, 0, "2d 2h");
    check_span(-1, 0, "-");
    assert_eq!(span(None), "-");
}

fn check_duration(text: &str, expect: Option<Duration>) {
    assert_eq!(parse_duration(text).ok(), expect, "{text}");
}

#[test]
fn a_duration_needs_a_number_and_a_unit() {
    check_duration("250ms", Some(Duration::from_millis(250)));
    check_duration("90s", Some(Duration::from_secs(90)));
    check_duration("5m", Some(Duration::from_mins(5)));
    check_duration("2h", Some(Duration::from_hours(2)));
    check_duration("7d", Some(Duration::from_hours(7 * 24)));
    check_duration("90", None);
    check_duration("s", None);
    check_duration("-1s", None);
    check_duration("1.5h", None);
    check_duration("99999999999999999999s", None);
    check_duration("9999999999999999999d", None);
}

#[test]
fn a_moment_is_given_by_the_calendar_or_from_now() {
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    let read = |text: &str| parse_moment(text, now).ok().map(|moment| moment.seconds);

    assert_eq!(read("2026-11-23T20:10:00Z"), Some(now.as_second() + 600));
    assert_eq!(read("2026-11-23T21:10:00+01:00"), Some(now.as_second() + 600));
    assert_eq!(read("+10m"), Some(now.as_second() + 600));
    assert_eq!(read("tomorrow"), None);
    assert_eq!(read("+tomorrow"), None);
    assert_eq!(read("+999999999d"), None);
}

#[test]
fn a_past_moment_is_given_by_the_calendar_or_as_a_span() {
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    let read = |text: &str| parse_past(text, now).ok().map(|moment| moment.seconds);

    assert_eq!(read("2026-11-23T20:10:00+01:00"), Some(now.as_second() - 50 * 60));
    assert_eq!(read("2h"), Some(now.as_second() - 2 * 3600));
    assert_eq!(read("yesterday"), None);
    assert_eq!(read("+2h"), None);
    assert_eq!(read("999999999d"), None);
}

#[test]
fn days_are_counted_from_today() {
    let now: Timestamp = "2026-11-23T23:59:59Z".parse().unwrap();

    assert_eq!(days_until("2026-11-23", now), Some(0));
    assert_eq!(days_until("2026-12-24", now), Some(31));
    assert_eq!(days_until("2026-11-22", now), Some(-1));
    assert_eq!(days_until("", now), None);
}
