use proptest::prelude::*;

use super::*;

fn read(moment: prost_types::Timestamp) -> Result<Option<Timestamp>, Violations> {
    let mut violations = Violations::default();
    let read = timestamp_from(&mut violations, "time", Some(moment));
    violations.none_or(|| read)
}

fn check_invalid(seconds: i64, nanos: i32) {
    let moment = prost_types::Timestamp { seconds, nanos };
    assert!(read(moment).is_err(), "{seconds} {nanos}");
}

#[test]
fn a_moment_outside_the_calendar_is_a_violation() {
    check_invalid(i64::MAX, 0);
    check_invalid(i64::MIN, 0);
    check_invalid(0, -1);
    check_invalid(0, 1_000_000_000);
    check_invalid(YEAR_1 - 1, 999_999_999);
}

#[test]
fn a_moment_that_was_not_given_is_no_violation() {
    let mut violations = Violations::default();

    assert_eq!(timestamp_from(&mut violations, "time", None), None);
    assert_eq!(duration_from(&mut violations, "span", None), None);
    assert!(violations.is_empty());
}

#[test]
fn a_negative_span_is_a_violation() {
    for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000)] {
        let mut violations = Violations::default();
        let span = Some(prost_types::Duration { seconds, nanos });

        assert_eq!(duration_from(&mut violations, "time_to_live", span), None);
        let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["time_to_live"]);
    }
}

proptest! {
    #[test]
    fn a_moment_comes_back_as_it_went(seconds in YEAR_1..=253_000_000_000, nanos in 0..=999_999_999) {
        let moment = prost_types::Timestamp { seconds, nanos };

        let back = read(moment).unwrap().map(timestamp);

        prop_assert_eq!(back, Some(moment));
    }

    #[test]
    fn a_span_comes_back_as_it_went(seconds in 0..=u64::from(u32::MAX), nanos in 0..=999_999_999_u32) {
        let span = Duration::new(seconds, nanos);

        let back = duration_from(&mut Violations::default(), "span", Some(duration(span)));

        prop_assert_eq!(back, Some(span));
    }
}

#[test]
fn a_span_may_be_negative() {
    let told = |millis| signed_duration(millis);

    assert_eq!(told(2_500), prost_types::Duration { seconds: 2, nanos: 500_000_000 });
    assert_eq!(told(-2_500), prost_types::Duration { seconds: -2, nanos: -500_000_000 });
}
