//! Variables of templates: what they hold, and what a caller gave.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp, ZonedDateTime};

/// The longest value of a variable, in characters.
pub const VARIABLE_CHARS_MAX: usize = 4096;
/// The longest value of a multi-line variable, in characters.
pub const LINES_CHARS_MAX: usize = 65_536;

/// A variable of templates. The same name means the same wherever it occurs.
#[derive(Debug)]
pub struct Variable {
    pub name: &'static str,
    pub kind: VariableKind,
    /// What it holds, for a person who writes a text.
    pub description: &'static str,
    /// What a preview shows; in the form in which a caller gives it.
    pub sample: &'static str,
}

/// What a variable holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VariableKind {
    /// A few words.
    Text,
    /// A user name or password: shown so that it can be copied letter by letter.
    Credential,
    /// Text of several lines.
    Lines,
    /// A moment in a time zone, as RFC 9557 writes it: `2026-03-01T10:25:00+01:00[Europe/Berlin]`. Shown as
    /// the language and region do; any other text is shown as it is given.
    DateTime,
    /// A length of time, as ISO 8601 writes it: `P3D`, `PT72H`. Shown as `3 days`; any other text is shown as it is
    /// given.
    Duration,
    /// A whole number.
    Number,
    /// An `https` or `http` address.
    Url,
}

impl VariableKind {
    pub const ALL: [Self; 7] = [
        Self::Text,
        Self::Credential,
        Self::Lines,
        Self::DateTime,
        Self::Duration,
        Self::Number,
        Self::Url,
    ];

    /// The name in upper case: `DATE_TIME`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Credential => "CREDENTIAL",
            Self::Lines => "LINES",
            Self::DateTime => "DATE_TIME",
            Self::Duration => "DURATION",
            Self::Number => "NUMBER",
            Self::Url => "URL",
        }
    }

    /// The longest value, in characters.
    pub fn chars_max(self) -> usize {
        match self {
            Self::Lines => LINES_CHARS_MAX,
            Self::Text
            | Self::Credential
            | Self::DateTime
            | Self::Duration
            | Self::Number
            | Self::Url => VARIABLE_CHARS_MAX,
        }
    }

    /// Reads what a caller gave, or says what is wrong with it.
    pub(crate) fn read(self, given: &str) -> Result<Given, String> {
        let chars_max = self.chars_max();
        if chars_max < given.chars().count() {
            return Err(format!("is longer than {chars_max} characters"));
        }
        // Not for interchange (Unicode, section 23.7): they mark values inside a rendering.
        let text: String = given.chars().filter(|c| !is_mark(*c)).collect();
        let as_given = || Given::Text(text.clone());
        Ok(match self {
            Self::Text | Self::Credential | Self::Lines => Given::Text(text),
            Self::DateTime => read_moment(&text).map_or_else(as_given, Given::Moment),
            Self::Duration => read_duration(&text).map_or_else(as_given, Given::Duration),
            Self::Number if text.is_empty() => as_given(),
            Self::Number => {
                Given::Number(text.parse().map_err(|_| "is no whole number".to_owned())?)
            }
            Self::Url if text.is_empty() || is_web_address(&text) => as_given(),
            Self::Url => return Err("is no address that begins with `https://`".to_owned()),
        })
    }
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Given {
    Text(String),
    Moment(ZonedDateTime),
    Duration(SignedDuration),
    Number(i64),
}

/// Marks the begin and end of values in a rendering: the noncharacters U+FDD0 to U+FDEF.
pub(crate) fn is_mark(c: char) -> bool {
    ('\u{FDD0}'..='\u{FDEF}').contains(&c)
}

fn read_moment(text: &str) -> Option<ZonedDateTime> {
    if !text.contains('[') {
        return None;
    }
    text.parse().ok().or_else(|| {
        // A time zone that this machine does not know: its offset is there too.
        let (moment, _zone) = text.split_once('[')?;
        let timestamp: Timestamp = moment.parse().ok()?;
        let sign = moment.rfind(['+', '-', 'Z'])?;
        let seconds = match &moment[sign..] {
            "Z" => 0,
            offset => {
                let (hours, minutes) = offset[1..].split_once(':')?;
                let hours: i32 = hours.parse().ok()?;
                let minutes: i32 = minutes.get(..2)?.parse().ok()?;
                let seconds = (hours * 60 + minutes) * 60;
                if offset.starts_with('-') { -seconds } else { seconds }
            }
        };
        let zone = TimeZone::fixed(Offset::from_seconds(seconds).ok()?);
        Some(timestamp.to_zoned_datetime(zone))
    })
}

fn read_duration(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    // A day in a length of time is 24 hours; months and years have no length of their own.
    span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let clean = |c: char| !c.is_whitespace() && !c.is_control() && !"<>\"'`".contains(c);
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(clean))
}

#[cfg(test)]
mod tests;
