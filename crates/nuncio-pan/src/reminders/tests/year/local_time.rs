//! Quiet hours, found by a walk along the clock of a place.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::plan::{DAY, YEAR, moment};

const QUARTER: i64 = 900;
const QUARTERS_OF_DAY: i64 = DAY / QUARTER;

/// When each quarter of an hour begins by the clock of a place.
pub(super) struct LocalTime(BTreeMap<i64, i64>);

/// Quiet hours of the year, in order.
pub(super) struct Quiet(Vec<(i64, i64)>);

impl LocalTime {
    /// Offsets and their changes are whole quarters in all zones of today.
    pub(super) fn walk(zone: &TimeZone) -> Self {
        let offset = |at: i64| i64::from(zone.to_offset(moment(at)).seconds());
        let mut begins = BTreeMap::new();
        let start = YEAR.start - 3 * DAY;
        let mut before = offset(start);
        for at in (start..YEAR.end + 3 * DAY).step_by(usize::try_from(QUARTER).unwrap()) {
            let now = offset(at);
            // Times that the clock leaves out come when they had come by the old clock.
            for left_out in (before..now).step_by(usize::try_from(QUARTER).unwrap()) {
                begins.entry((at + left_out) / QUARTER).or_insert(at + left_out - before);
            }
            // Of times that come twice, the first one counts.
            begins.entry((at + now) / QUARTER).or_insert(at);
            before = now;
        }
        Self(begins)
    }

    /// From `start` until `end`, in quarters after midnight.
    pub(super) fn quiet(&self, start: i64, end: i64) -> Quiet {
        let end = if start < end { end } else { end + QUARTERS_OF_DAY };
        let days = YEAR.start / DAY - 2..YEAR.end / DAY + 2;
        let mut hours: Vec<_> = days
            .filter_map(|day| {
                let midnight = day * QUARTERS_OF_DAY;
                Some((*self.0.get(&(midnight + start))?, *self.0.get(&(midnight + end))?))
            })
            .collect();
        hours.sort_unstable();
        Quiet(hours)
    }
}

impl Quiet {
    /// When the quiet hours of this moment end.
    pub(super) fn until(&self, at: i64) -> Option<i64> {
        let begun = self.0.partition_point(|(start, _)| *start <= at);
        self.0[..begun].last().filter(|(_, end)| at < *end).map(|(_, end)| *end)
    }
}
