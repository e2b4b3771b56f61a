//! Moments, lengths of time and numbers as a language and region write them (CLDR, by ICU4X).

use icu_calendar::Iso;
use icu_datetime::fieldsets::zone::LocalizedOffsetShort;
use icu_datetime::fieldsets::{T, YMD, YMDT};
use icu_datetime::input::{Date, DateTime, Time};
use icu_datetime::options::TimePrecision;
use icu_datetime::{DateTimeFormatter, NoCalendarFormatter};
use icu_decimal::DecimalFormatter;
use icu_decimal::options::DecimalFormatterOptions;
use icu_locale_core::Locale;
use icu_plurals::{PluralCategory, PluralRules, PluralRulesOptions};
use icu_time::zone::UtcOffset;
use jiff::{SignedDuration, ZonedDateTime};

mod units;

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 60 * MINUTE_S;
const DAY_S: i64 = 24 * HOUR_S;

/// What of a moment is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Both,
    Date,
    Time,
}

/// A moment in its own time zone, with the offset where a time is shown: `March 1, 2026 at 10:25 AM (GMT+1)`.
pub(crate) fn moment(locale: &Locale, moment: &ZonedDateTime, part: Part) -> String {
    let written = match part {
        Part::Both => date_and_time(locale, moment),
        Part::Date => date(locale, moment),
        Part::Time => time(locale, moment),
    };
    // Only outside the years that the calendar data cover.
    written.unwrap_or_else(|| moment.to_string())
}

fn date_and_time(locale: &Locale, moment: &ZonedDateTime) -> Option<String> {
    let fields = YMDT::long().with_time_precision(TimePrecision::Minute);
    let formatter = DateTimeFormatter::try_new(locale.into(), fields).ok()?;
    let input = DateTime { date: date_of(moment)?, time: time_of(moment)? };
    Some(format!("{} ({})", formatter.format(&input), offset(locale, moment)?))
}

fn date(locale: &Locale, moment: &ZonedDateTime) -> Option<String> {
    let formatter = DateTimeFormatter::try_new(locale.into(), YMD::long()).ok()?;
    Some(formatter.format(&date_of(moment)?).to_string())
}

fn time(locale: &Locale, moment: &ZonedDateTime) -> Option<String> {
    let fields = T::short().with_time_precision(TimePrecision::Minute);
    let formatter = NoCalendarFormatter::try_new(locale.into(), fields).ok()?;
    Some(format!("{} ({})", formatter.format(&time_of(moment)?), offset(locale, moment)?))
}

fn offset(locale: &Locale, moment: &ZonedDateTime) -> Option<String> {
    if moment.time_zone().iana_name().is_some_and(|name| ["UTC", "Etc/UTC"].contains(&name)) {
        return Some("UTC".to_owned());
    }
    let formatter = NoCalendarFormatter::try_new(locale.into(), LocalizedOffsetShort).ok()?;
    let offset = UtcOffset::try_from_seconds(moment.offset().seconds()).ok()?;
    Some(formatter.format(&offset).to_string())
}

fn date_of(moment: &ZonedDateTime) -> Option<Date<Iso>> {
    let (month, day) = (u8::try_from(moment.month()).ok()?, u8::try_from(moment.day()).ok()?);
    Date::try_new_iso(moment.year().into(), month, day).ok()
}

fn time_of(moment: &ZonedDateTime) -> Option<Time> {
    let (hour, minute) = (u8::try_from(moment.hour()).ok()?, u8::try_from(moment.minute()).ok()?);
    Time::try_new(hour, minute, 0, 0).ok()
}

/// A number with the digits and separators of the language: `12,345`.
pub(crate) fn number(locale: &Locale, number: i64) -> String {
    let formatter = DecimalFormatter::try_new(locale.into(), DecimalFormatterOptions::default());
    formatter.map_or_else(|_| number.to_string(), |one| one.format(&number.into()).to_string())
}

/// A length of time in its two largest units: `3 days`, `2 hours 5 minutes`.
pub(crate) fn duration(locale: &Locale, duration: SignedDuration) -> String {
    let seconds = duration.as_secs().saturating_abs();
    // Rounded to what is shown last, so that 2 d 23 h 59 min 59 s is 3 days.
    let round = |step: i64| seconds.saturating_add(step / 2) / step * step;
    let rounded = if round(MINUTE_S) < DAY_S { round(MINUTE_S) } else { round(HOUR_S) };
    let counts =
        [rounded / DAY_S, rounded % DAY_S / HOUR_S, rounded % HOUR_S / MINUTE_S].into_iter();
    let language = locale.id.language.as_str();
    let rules = PluralRules::try_new(locale.into(), PluralRulesOptions::default());
    let say = |unit: usize, count: i64| {
        let magnitude = usize::try_from(count).unwrap_or(usize::MAX);
        let other = PluralCategory::Other;
        let category = rules.as_ref().map_or(other, |rules| rules.category_for(magnitude));
        units::say(language, unit, category, &number(locale, count))
    };
    let said = counts.enumerate().filter(|(_, count)| *count != 0);
    let said: Vec<String> = said.map(|(unit, count)| say(unit, count)).collect();
    if said.is_empty() { say(2, 0) } else { said.join(units::between(language)) }
}

#[cfg(test)]
mod tests;
