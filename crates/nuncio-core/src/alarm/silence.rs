//! Silences: alarms that fit are in no mail for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::alarm::AlarmIdentity;
use crate::job::LABEL_KEY_CHARS_MAX;
use crate::violation::Violations;

/// The longest comment of a silence or acknowledgement, in characters.
pub const COMMENT_CHARS_MAX: usize = 256;
/// The longest text that a silence looks for, in characters.
pub const PATTERN_CHARS_MAX: usize = 256;
/// The most labels that a silence looks at.
pub const PATTERNS_MAX: usize = 16;
/// How far ahead a silence may end: a year.
pub const SILENCE_MAX: Duration = Duration::from_hours(366 * 24);
/// The most silences that are kept at once.
pub const SILENCES_MAX: usize = 1000;

/// Keeps alarms out of mails for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// A UUID.
    pub id: String,
    pub matcher: Matcher,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub comment: String,
    pub created_by: String,
}

/// Which alarms are meant. In each text `*` stands for any characters; an empty one fits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    pub alarm_type: String,
    pub node: String,
    pub labels: BTreeMap<String, String>,
}

/// A silence as a caller gives it.
#[derive(Clone, Debug, Default)]
pub struct SilenceDraft {
    pub matcher: Matcher,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub comment: String,
}

impl SilenceDraft {
    /// Makes the silence, or tells everything that is wrong. Fields are named as in the API.
    pub fn check(
        self,
        id: String,
        created_by: String,
        now: Timestamp,
    ) -> Result<Silence, Violations> {
        let mut violations = Violations::default();
        let Matcher { alarm_type, node, labels } = &self.matcher;
        if alarm_type.is_empty() && node.is_empty() && labels.is_empty() {
            let problem = "would fit all alarms; give `type`, `node` or `labels` (`*` fits any)";
            violations.add("silence", problem);
        }
        check_pattern(&mut violations, "silence.type", alarm_type);
        check_pattern(&mut violations, "silence.node", node);
        if PATTERNS_MAX < labels.len() {
            let problem = format!("{} labels; at most {PATTERNS_MAX}", labels.len());
            violations.add("silence.labels", problem);
        }
        for (key, value) in labels.iter().take(PATTERNS_MAX) {
            if !(1..=LABEL_KEY_CHARS_MAX).contains(&key.chars().count()) {
                let problem = format!("a key has 1 to {LABEL_KEY_CHARS_MAX} characters");
                violations.add("silence.labels", problem);
            }
            check_pattern(&mut violations, "silence.labels", value);
        }
        check_comment(&mut violations, "silence.comment", &self.comment);
        if self.comment.is_empty() {
            violations.add("silence.comment", "is missing; say why, for those who wonder later");
        }
        let starts_at = self.starts_at.unwrap_or(now);
        match self.ends_at {
            None => violations.add("silence.end_time", "is missing; no silence lasts for ever"),
            Some(end) if end <= starts_at.max(now) => {
                violations.add("silence.end_time", "must be later than its start and than now");
            }
            Some(end) if now + SILENCE_MAX < end => {
                violations.add("silence.end_time", "is more than a year ahead");
            }
            Some(_) => {}
        }
        violations.none_or(|| Silence {
            id,
            matcher: self.matcher,
            starts_at,
            ends_at: self.ends_at.expect("it was checked"),
            comment: self.comment,
            created_by,
        })
    }
}

impl Silence {
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.starts_at <= now && now < self.ends_at
    }
}

impl Matcher {
    pub fn fits(&self, alarm: &AlarmIdentity) -> bool {
        let label = |key: &str| alarm.labels.get(key).map_or("", String::as_str);
        fits_pattern(&self.alarm_type, &alarm.alarm_type)
            && fits_pattern(&self.node, &alarm.node)
            && self.labels.iter().all(|(key, pattern)| fits_glob(pattern, label(key)))
    }
}

/// Notes what is wrong with a comment.
pub fn check_comment(violations: &mut Violations, field: &str, comment: &str) {
    if COMMENT_CHARS_MAX < comment.chars().count() {
        violations.add(field, format!("is longer than {COMMENT_CHARS_MAX} characters"));
    }
    if comment.chars().any(char::is_control) {
        violations.add(field, "has a line break or control character");
    }
}

fn check_pattern(violations: &mut Violations, field: &str, pattern: &str) {
    if PATTERN_CHARS_MAX < pattern.chars().count() || pattern.chars().any(char::is_control) {
        let problem = format!("must have at most {PATTERN_CHARS_MAX} characters and no line break");
        violations.add(field, problem);
    }
}

fn fits_pattern(pattern: &str, text: &str) -> bool {
    pattern.is_empty() || fits_glob(pattern, text)
}

/// Whether `text` fits, where `*` stands for any characters. It takes no more than `pattern` × `text` steps.
fn fits_glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().expect("a split gives at least one part");
    for part in parts {
        // The leftmost place leaves the most to the parts behind it.
        let Some(place) = text.find(part) else { return false };
        text = &text[place + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests;
