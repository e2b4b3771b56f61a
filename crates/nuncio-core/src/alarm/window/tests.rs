use std::time::Duration;

use super::*;
use crate::alarm::kind::Operator;

const MINUTE: Duration = Duration::from_mins(1);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Whether `condition` holds after raises at these seconds with these values.
fn check(measure: Measure, operator: Operator, value: f64, raises: &[(i64, f64)], expected: bool) {
    let condition = Condition { measure, operator, value, window: MINUTE };
    let mut window = Window::default();
    for (second, value) in raises {
        window.take(&condition, *value, at(*second));
    }
    assert_eq!(window.holds(&condition), expected, "{operator:?} {value}: {raises:?}");
}

#[test]
fn occurrences_are_counted_within_the_window_only() {
    let of_three = |raises: &[i64], expected| {
        let raises: Vec<_> = raises.iter().map(|second| (*second, 0.0)).collect();
        check(Measure::Occurrences, Operator::GreaterOrEqual, 3.0, &raises, expected);
    };
    of_three(&[0, 1], false);
    of_three(&[0, 1, 2], true);
    of_three(&[0, 1, 56], true);
    of_three(&[0, 1, 61], false);
    of_three(&[0, 30, 61, 89], true);
    of_three(&[0, 0, 0], true);
}

#[test]
fn more_than_is_not_at_least() {
    let raises = [(0, 0.0), (1, 0.0), (2, 0.0)];
    check(Measure::Occurrences, Operator::Greater, 3.0, &raises, false);
    check(Measure::Occurrences, Operator::Greater, 2.0, &raises, true);
}

#[test]
fn values_are_compared_by_their_mean_within_the_window() {
    check(Measure::Value, Operator::Greater, 80.0, &[(0, 79.0), (1, 82.0)], true);
    check(Measure::Value, Operator::Greater, 80.0, &[(0, 79.0), (1, 81.0)], false);
    check(Measure::Value, Operator::Greater, 80.0, &[(0, 10.0), (61, 81.0)], true);
    check(Measure::Value, Operator::Less, 5.0, &[(0, 4.0)], true);
    check(Measure::Value, Operator::LessOrEqual, 5.0, &[(0, 5.0)], true);
    check(Measure::Value, Operator::Less, 5.0, &[], false);
}

#[test]
fn a_window_stays_small_however_much_it_sees() {
    let condition = Condition {
        measure: Measure::Occurrences,
        operator: Operator::Greater,
        value: 0.0,
        window: MINUTE,
    };
    let mut window = Window::default();
    for second in 0..100_000 {
        window.take(&condition, 0.0, at(second / 10));
    }
    let parts = i64::try_from(window.parts.len()).unwrap();
    assert!(parts <= PARTS, "{parts}");
}
