//! Languages and regions: BCP 47 tags, and which text stands in for another.

use icu_locale_core::{LanguageIdentifier, Locale};

/// The language of a mail that names none, and the last in every chain.
pub const DEFAULT_LANGUAGE: &str = "en";
/// The longest tag, in characters (RFC 5646, section 4.4.1).
const TAG_CHARS_MAX: usize = 35;
/// Languages that are written from right to left, unless a script says otherwise (CLDR, script metadata).
const RIGHT_TO_LEFT: [&str; 10] = ["ar", "arc", "dv", "fa", "ckb", "he", "ps", "ur", "yi", "ug"];
/// Scripts that are written from right to left.
const RIGHT_TO_LEFT_SCRIPTS: [&str; 5] = ["Arab", "Hebr", "Syrc", "Thaa", "Nkoo"];

/// Reads a tag such as `de-CH`; an empty one is the default language.
pub fn parse_locale(tag: &str) -> Result<Locale, String> {
    let tag = if tag.is_empty() { DEFAULT_LANGUAGE } else { tag };
    let well_formed =
        tag.len() <= TAG_CHARS_MAX && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let locale = if well_formed { Locale::try_from_str(tag).ok() } else { None };
    let problem = "is no language tag; give one such as `en` or `de-CH` (BCP 47)";
    locale.ok_or_else(|| problem.to_owned())
}

/// The tags whose texts will do, the best first: `de-CH`, then `de` (RFC 4647, section 3.4).
pub(crate) fn candidates(locale: &Locale) -> Vec<String> {
    let mut tags = Vec::new();
    let mut tag = locale.id.to_string();
    loop {
        tags.push(tag.clone());
        match tag.rsplit_once('-') {
            Some((shorter, _)) => tag.truncate(shorter.len()),
            None => return tags,
        }
    }
}

/// The locale to write dates in: that which was asked for, if the text is in its language.
pub(crate) fn format_locale(asked: &Locale, text: &str) -> Locale {
    let of_text: LanguageIdentifier = text.parse().unwrap_or(LanguageIdentifier::UNKNOWN);
    if of_text.language == asked.id.language { asked.clone() } else { of_text.into() }
}

pub(crate) fn is_right_to_left(tag: &str) -> bool {
    let Ok(id) = tag.parse::<LanguageIdentifier>() else { return false };
    match id.script {
        Some(script) => RIGHT_TO_LEFT_SCRIPTS.contains(&script.as_str()),
        None => RIGHT_TO_LEFT.contains(&id.language.as_str()),
    }
}

#[cfg(test)]
mod tests;
