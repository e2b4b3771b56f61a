//! Moments and spans of time.

use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::violation::{Fault, Violations};

/// Nanoseconds in a second.
const NANOS: i128 = 1_000_000_000;
/// The first second of the year 1, the earliest that a `google.protobuf.Timestamp` may tell.
const YEAR_1: i64 = -62_135_596_800;

/// A moment, as the API tells it.
pub fn timestamp(moment: Timestamp) -> prost_types::Timestamp {
    let nanos = moment.as_nanosecond();
    prost_types::Timestamp {
        seconds: i64::try_from(nanos.div_euclid(NANOS)).expect("jiff's range fits in 64 bits"),
        nanos: i32::try_from(nanos.rem_euclid(NANOS)).expect("it is less than a second"),
    }
}

/// A span of time, as the API tells it. Spans longer than the API knows are shortened to its longest.
pub fn duration(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).expect("it is less than a second"),
    }
}

/// A span of so many milliseconds, which may be negative, as the API tells it.
pub fn signed_duration(millis: i64) -> prost_types::Duration {
    let nanos = i32::try_from(millis % 1000 * 1_000_000).expect("it is less than a second");
    prost_types::Duration { seconds: millis / 1000, nanos }
}

/// A moment that a caller gave, if it gave one.
pub fn timestamp_from(
    violations: &mut Violations,
    field: &str,
    moment: Option<prost_types::Timestamp>,
) -> Option<Timestamp> {
    let prost_types::Timestamp { seconds, nanos } = moment?;
    let in_range = YEAR_1 <= seconds && (0..=999_999_999).contains(&nanos);
    let valid = Timestamp::new(seconds, nanos).ok().filter(|_| in_range);
    let problem = "is no moment between the years 1 and 9999 with 0 to 999999999 nanoseconds";
    violations.check_as(Fault::OutOfRange, field, valid.ok_or(problem))
}

/// A span of time that a caller gave, if it gave one. Nothing that nuncio asks for is negative.
pub fn duration_from(
    violations: &mut Violations,
    field: &str,
    span: Option<prost_types::Duration>,
) -> Option<Duration> {
    let prost_types::Duration { seconds, nanos } = span?;
    let seconds = u64::try_from(seconds).ok();
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos <= 999_999_999);
    let valid = seconds.zip(nanos).map(|(seconds, nanos)| Duration::new(seconds, nanos));
    let problem = "must be 0 or more, with 0 to 999999999 nanoseconds";
    violations.check_as(Fault::OutOfRange, field, valid.ok_or(problem))
}

#[cfg(test)]
mod tests;
