//! Hours in which nobody shall get a reminder.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// From `start` until `end` by the clock of the one who gets the mail, over midnight if `end` is earlier.
///
/// Both ends are moments: where the clock is set ahead over one of them it counts as much later as the gap
/// is long; where a time comes twice, its first coming counts (RFC 5545, section 3.3.5, has the same rule).
/// `start` belongs to the quiet hours, `end` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    start: Time,
    end: Time,
}

/// The hours begin and end at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must not end when it starts; leave the quiet hours out if there shall be none")]
pub struct EmptyOrWholeDay;

impl QuietHours {
    pub fn new(start: Time, end: Time) -> Result<Self, EmptyOrWholeDay> {
        if start == end { Err(EmptyOrWholeDay) } else { Ok(Self { start, end }) }
    }

    pub fn start(self) -> Time {
        self.start
    }

    pub fn end(self) -> Time {
        self.end
    }

    /// When the quiet hours end that `moment` lies in; none if it lies in none.
    pub fn end_after(self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = zone.to_datetime(moment).date();
        // Those that began yesterday reach into today if they go over midnight.
        [today.yesterday().ok(), Some(today)]
            .into_iter()
            .flatten()
            .filter_map(|date| self.on(date, zone))
            .find(|(start, end)| *start <= moment && moment < *end)
            .map(|(_start, end)| end)
    }

    /// The quiet hours that begin on a day.
    fn on(self, date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let last = if self.start < self.end { date } else { date.tomorrow().ok()? };
        let moment = |date: Date, time: Time| {
            zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible().ok()
        };
        Some((moment(date, self.start)?, moment(last, self.end)?))
    }
}

/// For a person: `21:00:00-07:00:00`.
impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests;
