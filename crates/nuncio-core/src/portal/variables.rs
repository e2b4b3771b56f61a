//! The values of template variables that tell of a guest.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::directory::guest::Guest;
use crate::secret::Sensitive;
use crate::template::Variables;

/// What a template may tell of a guest; the password is not among it. Empty values are left out.
///
/// Times are those of the guest's place (ISE: "the time left is changed based on the specific location assigned
/// to it").
pub fn guest_variables(guest: &Guest, now: Timestamp) -> Variables {
    let sponsor = guest.sponsor.as_ref();
    let duration = guest.valid_to.duration_since(guest.valid_from);
    let left = guest.valid_to.duration_since(now).max(jiff::SignedDuration::ZERO);
    let email = guest.email.as_ref().map(ToString::to_string).unwrap_or_default();
    let values = [
        ("username", guest.username.clone()),
        ("first_name", guest.first_name.clone()),
        ("last_name", guest.last_name.clone()),
        ("email", email),
        ("company", guest.company.clone()),
        ("mobile_number", guest.mobile_number.clone()),
        ("person_visited", guest.person_visited.clone()),
        ("reason_for_visit", guest.reason_for_visit.clone()),
        ("ssid", guest.ssid.clone()),
        ("location", guest.location.clone()),
        ("sponsor_name", sponsor.map(|one| one.name.clone()).unwrap_or_default()),
        ("sponsor_email", sponsor.map(|one| one.email.to_string()).unwrap_or_default()),
        ("valid_from", moment(guest.valid_from, &guest.time_zone)),
        ("valid_to", moment(guest.valid_to, &guest.time_zone)),
        ("duration", duration.to_string()),
        ("time_left", left.to_string()),
    ];
    let given = values.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| (name.to_owned(), Sensitive::from(value))).collect()
}

/// A moment as templates take it: RFC 9557, to the second.
pub fn moment(at: Timestamp, zone: &TimeZone) -> String {
    let whole = Timestamp::from_second(at.as_second()).unwrap_or(at);
    whole.to_zoned_datetime(zone.clone()).to_string()
}

#[cfg(test)]
mod tests;
