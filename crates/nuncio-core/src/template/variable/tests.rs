use super::*;

#[track_caller]
fn check_shown_as_given(kind: VariableKind, given: &str) {
    assert_eq!(kind.read(given), Ok(Given::Text(given.to_owned())), "{given}");
}

#[track_caller]
fn check_moment(given: &str, expect: &str) {
    let Ok(Given::Moment(moment)) = VariableKind::DateTime.read(given) else {
        panic!("{given} is no moment")
    };
    assert_eq!((moment.timestamp().to_string() + &moment.offset().to_string()), expect, "{given}");
}

#[test]
fn a_moment_has_a_time_zone() {
    check_moment("2026-07-01T10:25:00+02:00[Europe/Berlin]", "2026-07-01T08:25:00Z+02");
    check_moment("2026-07-01T10:25:00Z[UTC]", "2026-07-01T10:25:00Z+00");
}

#[test]
fn a_time_zone_that_is_not_known_here_leaves_its_offset() {
    check_moment("2026-07-01T10:25:00-03:30[Mars/Olympus]", "2026-07-01T13:55:00Z-03:30");
    check_moment("2026-07-01T10:25:00.5+01:00[Mars/Olympus]", "2026-07-01T09:25:00.5Z+01");
}

#[test]
fn what_is_no_moment_or_length_of_time_is_shown_as_given() {
    for given in
        ["2026-11-23 08:00", "tomorrow [at noon]", "2026-07-01T10:25:00Z", "", "[", "99[x]"]
    {
        check_shown_as_given(VariableKind::DateTime, given);
    }
    for given in ["for ever", "", "P1Y", "3 dayss"] {
        check_shown_as_given(VariableKind::Duration, given);
    }
}

#[test]
fn a_length_of_time_may_be_written_in_several_ways() {
    for given in ["P3D", "PT72H", "3 days", "72h", "3d"] {
        let read = VariableKind::Duration.read(given);
        assert_eq!(read, Ok(Given::Duration(SignedDuration::from_hours(72))), "{given}");
    }
}

#[test]
fn only_addresses_of_the_web_are_links() {
    for given in
        ["javascript:alert(1)", "https://", "https://a b", "https://a\"b", "ftp://x", "//x"]
    {
        assert!(VariableKind::Url.read(given).is_err(), "{given}");
    }
    check_shown_as_given(VariableKind::Url, "https://guest.example.com/a?t=x_y-z&b=1");
    check_shown_as_given(VariableKind::Url, "");
}

#[test]
fn a_number_is_whole() {
    assert_eq!(VariableKind::Number.read("-12"), Ok(Given::Number(-12)));
    check_shown_as_given(VariableKind::Number, "");
    for given in ["1.5", "x", "99999999999999999999"] {
        assert!(VariableKind::Number.read(given).is_err(), "{given}");
    }
}

#[test]
fn text_of_several_lines_may_be_longer() {
    let long = "x".repeat(LINES_CHARS_MAX);

    assert!(VariableKind::Lines.read(&long).is_ok());
    assert!(VariableKind::Lines.read(&(long.clone() + "y")).is_err());
    assert!(VariableKind::Text.read(&long).is_err());
}
