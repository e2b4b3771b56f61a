//! Moments and spans of time, as people read and write them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 60 * MINUTE_S;
const DAY_S: u64 = 24 * HOUR_S;

/// The present moment. A command lives for seconds; nothing that it decides needs a clock of its own.
#[expect(clippy::disallowed_methods, reason = "the one place where the client asks the time")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The days from today (UTC) until a date; negative if it has passed.
pub(crate) fn days_until(date: &str, now: Timestamp) -> Option<i32> {
    let date: Date = date.parse().ok()?;
    let today = TimeZone::UTC.to_datetime(now).date();
    Some(today.until(date).ok()?.get_days())
}

/// A moment in UTC, to the second.
pub(crate) fn moment(time: Option<&prost_types::Timestamp>) -> String {
    let time = time.and_then(|time| Timestamp::new(time.seconds, 0).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}

/// The time of the day in UTC, to the second.
pub(crate) fn time_of_day(time: Option<&prost_types::Timestamp>) -> String {
    let time = time.and_then(|time| Timestamp::new(time.seconds, 0).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.strftime("%H:%M:%S").to_string())
}

/// A span in its two largest units: `3d 4h`, `12s`, `85ms`.
pub(crate) fn span(span: Option<&prost_types::Duration>) -> String {
    let Some(span) = span.and_then(|span| Duration::try_from(*span).ok()) else {
        return "-".to_owned();
    };
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{}ms", span.as_millis()),
        1..MINUTE_S => format!("{:.1}s", span.as_secs_f64()),
        MINUTE_S..HOUR_S => format!("{}m {}s", seconds / MINUTE_S, seconds % MINUTE_S),
        HOUR_S..DAY_S => format!("{}h {}m", seconds / HOUR_S, seconds % HOUR_S / MINUTE_S),
        DAY_S.. => format!("{}d {}h", seconds / DAY_S, seconds % DAY_S / HOUR_S),
    }
}

/// A moment, as the API tells it.
pub(crate) fn timestamp(moment: Timestamp) -> prost_types::Timestamp {
    nuncio_api::convert::time::timestamp(moment)
}

/// Reads a span: a number with `ms`, `s`, `m`, `h` or `d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong_duration(text))?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => Some(number),
        "m" => number.checked_mul(MINUTE_S),
        "h" => number.checked_mul(HOUR_S),
        "d" => number.checked_mul(DAY_S),
        _ => None,
    };
    seconds.map(Duration::from_secs).ok_or_else(|| wrong_duration(text))
}

/// Reads a moment: RFC 3339, or `+10m` from now.
pub(crate) fn parse_moment(text: &str, now: Timestamp) -> Result<prost_types::Timestamp, String> {
    let moment: Timestamp = match text.strip_prefix('+') {
        Some(wait) => now.checked_add(parse_duration(wait)?).map_err(|_| wrong_moment(text))?,
        None => text.parse().map_err(|_| wrong_moment(text))?,
    };
    let nanos = moment.subsec_nanosecond().max(0);
    Ok(prost_types::Timestamp { seconds: moment.as_second(), nanos })
}

/// Reads a moment that has passed: RFC 3339, or `2h` ago.
pub(crate) fn parse_past(text: &str, now: Timestamp) -> Result<prost_types::Timestamp, String> {
    let moment: Option<Timestamp> = match parse_duration(text) {
        Ok(ago) => now.checked_sub(ago).ok(),
        Err(_) => text.parse().ok(),
    };
    let moment = moment.ok_or_else(|| {
        format!("`{text}` is no moment; give one such as `2027-03-15T08:00:00Z`, or `2h` ago")
    })?;
    let nanos = moment.subsec_nanosecond().max(0);
    Ok(prost_types::Timestamp { seconds: moment.as_second(), nanos })
}

fn wrong_duration(text: &str) -> String {
    format!(
        "`{text}` is no span of time; give a number with `ms`, `s`, `m`, `h` or `d`, such as `90s`"
    )
}

fn wrong_moment(text: &str) -> String {
    format!("`{text}` is no moment; give one such as `2027-03-15T08:00:00Z`, or `+10m` from now")
}

#[cfg(test)]
mod tests;
