//! Checks of single texts. Blanks around a text do not count.

use jiff::tz::TimeZone;

use super::LANGUAGE_CHARS_MAX;
use crate::address::EmailAddress;
use crate::violation::Violations;

/// A text in one line with at most so many characters.
pub(in crate::directory) fn check_line(
    violations: &mut Violations,
    field: &str,
    text: &str,
    chars_max: usize,
) -> String {
    let text = text.trim();
    if text.chars().any(breaks_line) {
        violations
            .add(field, "has a line break or control character, which could smuggle in a header");
    }
    if chars_max < text.chars().count() {
        violations.add(field, format!("is longer than {chars_max} characters"));
    }
    text.to_owned()
}

/// An address, if there is one.
pub(in crate::directory) fn check_address(
    violations: &mut Violations,
    field: &str,
    text: &str,
) -> Option<EmailAddress> {
    let text = text.trim();
    if text.is_empty() { None } else { violations.check(field, text.parse()) }
}

/// A time zone by its name in the database of IANA; empty means UTC.
pub(in crate::directory) fn check_time_zone(
    violations: &mut Violations,
    field: &str,
    name: &str,
) -> Option<TimeZone> {
    let name = name.trim();
    if name.is_empty() {
        return Some(TimeZone::UTC);
    }
    let zone = TimeZone::get(name).ok().filter(|zone| zone.iana_name().is_some());
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let problem = || {
        format!("`{shown}` is no time zone; give a name of IANA such as `Europe/Berlin` or `UTC`")
    };
    violations.check(field, zone.ok_or_else(problem))
}

/// A language tag in its usual writing, for example `de-CH` or `zh-Hant`; empty stays empty.
pub(in crate::directory) fn check_language(
    violations: &mut Violations,
    field: &str,
    tag: &str,
) -> String {
    let tag = tag.trim();
    if !tag.is_empty() && !is_language_tag(tag) {
        let problem = "is no language tag; give one such as `en`, `de-CH` or `zh-Hant` (BCP 47)";
        violations.add(field, problem);
    }
    usual_writing(tag)
}

/// Whether a character may end a line, or does other things than stand in one.
pub(in crate::directory) fn breaks_line(c: char) -> bool {
    // LINE SEPARATOR and PARAGRAPH SEPARATOR are no control characters, but break lines in some readers.
    c.is_control() || c == '\u{2028}' || c == '\u{2029}'
}

/// Whether a tag is well-formed (RFC 5646, section 2.1), but for the grandfathered ones.
fn is_language_tag(tag: &str) -> bool {
    if LANGUAGE_CHARS_MAX < tag.len() {
        return false;
    }
    let mut parts = tag.split('-').peekable();
    let alphabetic = |part: &str| part.bytes().all(|b| b.is_ascii_alphabetic());
    let language = parts.next().unwrap_or_default();
    if !(2..=8).contains(&language.len()) || !alphabetic(language) {
        return false;
    }
    // What follows comes in this order: extended languages, script, region, variants, extensions.
    for _extended in 0..3 {
        parts.next_if(|part| part.len() == 3 && language.len() <= 3 && alphabetic(part));
    }
    parts.next_if(|part| part.len() == 4 && alphabetic(part));
    parts.next_if(|part| is_region(part));
    while parts.next_if(|part| is_variant(part)).is_some() {}
    are_extensions(parts)
}

/// Singletons, each followed by parts of its own; behind `x` everything is private.
fn are_extensions<'a>(parts: impl Iterator<Item = &'a str>) -> bool {
    let mut is_private = false;
    // How many parts stand behind the last singleton.
    let mut behind: Option<usize> = None;
    for part in parts {
        if !(1..=8).contains(&part.len()) || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return false;
        }
        let is_singleton = part.len() == 1 && !is_private;
        behind = match behind {
            Some(0) if is_singleton => return false,
            None if !is_singleton => return false,
            _ if is_singleton => {
                is_private = part.eq_ignore_ascii_case("x");
                Some(0)
            }
            Some(count) => Some(count + 1),
            None => None,
        };
    }
    behind != Some(0)
}

fn is_region(part: &str) -> bool {
    part.len() == 2 && part.bytes().all(|b| b.is_ascii_alphabetic())
        || part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit())
}

fn is_variant(part: &str) -> bool {
    let alphanumeric = part.bytes().all(|b| b.is_ascii_alphanumeric());
    let starts_with_digit = part.starts_with(|c: char| c.is_ascii_digit());
    alphanumeric && ((5..=8).contains(&part.len()) || part.len() == 4 && starts_with_digit)
}

/// Language in lower case, script with one capital, region in capitals (RFC 5646, section 2.1.1).
fn usual_writing(tag: &str) -> String {
    let mut written = String::with_capacity(tag.len());
    let mut is_behind_singleton = false;
    for (index, part) in tag.split('-').enumerate() {
        if 0 < index {
            written.push('-');
        }
        let lower = part.to_ascii_lowercase();
        match lower.len() {
            2 if 0 < index && !is_behind_singleton => written.push_str(&lower.to_ascii_uppercase()),
            4 if 0 < index && !is_behind_singleton => {
                let (first, rest) = lower.split_at_checked(1).unwrap_or(("", &lower));
                written.push_str(&first.to_ascii_uppercase());
                written.push_str(rest);
            }
            _ => written.push_str(&lower),
        }
        is_behind_singleton |= part.len() == 1;
    }
    written
}
