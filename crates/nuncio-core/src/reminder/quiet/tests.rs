use jiff::civil::time;

use super::*;

fn end_after(start: Time, end: Time, zone: &str, moment: &str) -> Option<String> {
    let quiet = QuietHours::new(start, end).unwrap();
    let end = quiet.end_after(moment.parse().unwrap(), &TimeZone::get(zone).unwrap());
    end.map(|end| end.to_string())
}

#[track_caller]
fn check(start: Time, end: Time, zone: &str, moment: &str, expected: Option<&str>) {
    assert_eq!(end_after(start, end, zone, moment).as_deref(), expected, "{zone} {moment}");
}

#[test]
fn the_start_belongs_to_the_quiet_hours_and_the_end_does_not() {
    let (start, end) = (time(9, 0, 0, 0), time(17, 0, 0, 0));
    for (moment, expected) in [
        ("2026-01-15T08:59:59.999999Z", None),
        ("2026-01-15T09:00:00Z", Some("2026-01-15T17:00:00Z")),
        ("2026-01-15T16:59:59.999999Z", Some("2026-01-15T17:00:00Z")),
        ("2026-01-15T17:00:00Z", None),
    ] {
        check(start, end, "UTC", moment, expected);
    }
}

#[test]
fn they_go_over_midnight_by_the_clock_of_the_place() {
    let (start, end) = (time(21, 0, 0, 0), time(7, 0, 0, 0));
    for (zone, moment, expected) in [
        ("Europe/Berlin", "2026-01-15T20:00:00Z", Some("2026-01-16T06:00:00Z")),
        ("Europe/Berlin", "2026-01-16T05:59:59Z", Some("2026-01-16T06:00:00Z")),
        ("Europe/Berlin", "2026-01-16T06:00:00Z", None),
        ("Asia/Tokyo", "2026-01-15T20:00:00Z", Some("2026-01-15T22:00:00Z")),
        ("America/Los_Angeles", "2026-01-15T20:00:00Z", None),
    ] {
        check(start, end, zone, moment, expected);
    }
}

#[test]
fn an_end_that_the_clock_leaves_out_comes_as_much_later_as_the_gap_is_long() {
    // Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC. 02:30 is read as 03:30.
    let (start, end) = (time(22, 0, 0, 0), time(2, 30, 0, 0));
    let quiet_until = Some("2026-03-29T01:30:00Z");
    check(start, end, "Europe/Berlin", "2026-03-29T00:59:59Z", quiet_until);
    check(start, end, "Europe/Berlin", "2026-03-29T01:29:59Z", quiet_until);
    check(start, end, "Europe/Berlin", "2026-03-29T01:30:00Z", None);
}

#[test]
fn an_end_that_comes_twice_counts_when_it_comes_first() {
    // Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC.
    let (start, end) = (time(22, 0, 0, 0), time(2, 30, 0, 0));
    check(start, end, "Europe/Berlin", "2026-10-25T00:29:59Z", Some("2026-10-25T00:30:00Z"));
    check(start, end, "Europe/Berlin", "2026-10-25T00:30:00Z", None);
    check(start, end, "Europe/Berlin", "2026-10-25T01:15:00Z", None);
}

#[test]
fn a_start_that_comes_twice_counts_when_it_comes_first_too() {
    let (start, end) = (time(2, 30, 0, 0), time(6, 0, 0, 0));
    let quiet_until = Some("2026-10-25T05:00:00Z");
    check(start, end, "Europe/Berlin", "2026-10-25T00:29:59Z", None);
    check(start, end, "Europe/Berlin", "2026-10-25T00:30:00Z", quiet_until);
    check(start, end, "Europe/Berlin", "2026-10-25T01:10:00Z", quiet_until);
}

#[test]
fn hours_that_end_when_they_start_are_none() {
    let noon = time(12, 0, 0, 0);
    assert_eq!(QuietHours::new(noon, noon), Err(EmptyOrWholeDay));
}
