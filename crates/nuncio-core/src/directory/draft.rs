//! Guests and users as a caller gives them, and what must be true of them.

mod guest;
pub(super) mod text;
mod user;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use guest::GuestDraft;
pub use user::UserDraft;

use crate::violation::Violations;

/// The longest name of a person, and user name, in characters.
pub const NAME_CHARS_MAX: usize = 256;
/// The longest name of a company, a place or a person visited, in characters.
pub const PLACE_CHARS_MAX: usize = 256;
/// The longest number of a mobile phone, in characters: E.164 has 15 digits, the rest is punctuation.
pub const MOBILE_NUMBER_CHARS_MAX: usize = 32;
/// The longest name of a type of guests, in characters.
pub const TYPE_CHARS_MAX: usize = 64;
/// The longest name of a network, in octets (IEEE 802.11, section 9.4.2.2).
pub const SSID_OCTETS_MAX: usize = 32;
/// The longest reason, of a visit or a decision, in characters.
pub const REASON_CHARS_MAX: usize = 1000;
/// The longest language tag, in characters (RFC 5646, section 4.4.1).
pub const LANGUAGE_CHARS_MAX: usize = 35;
/// The years in which an access or a password may begin and end, both included. In other years no local
/// time can be told safely.
pub const YEARS: (i16, i16) = (1970, 8999);

/// Whether a moment is within [`YEARS`].
pub(super) fn is_in_years(moment: Timestamp) -> bool {
    let year = TimeZone::UTC.to_datetime(moment).year();
    (YEARS.0..=YEARS.1).contains(&year)
}

fn check_years(violations: &mut Violations, field: &str, moment: Timestamp) {
    if !is_in_years(moment) {
        violations.add(field, format!("is not between the years {} and {}", YEARS.0, YEARS.1));
    }
}

#[cfg(test)]
mod tests;
