//! Guests and internal users: drafts in, what is known of them out.

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::directory::draft::{GuestDraft, UserDraft};
use nuncio_core::directory::guest::{Guest, GuestId, GuestState, NotAnId};
use nuncio_core::directory::user::{User, UserId, UserKind};
use nuncio_core::violation::Violations;

use crate::convert::enums::known;
use crate::convert::field_mask::{Mask, masked};
use crate::convert::time::{timestamp, timestamp_from};
use crate::v1;

/// What the names of guests begin with.
pub const GUESTS: &str = "guests/";
/// What the names of users begin with.
pub const USERS: &str = "users/";

masked!(Guest:
    username, first_name, last_name, company, mobile_number, email, guest_type, sponsor_name,
    sponsor_email, location, time_zone, language, person_visited, reason_for_visit, ssid, state,
    state_reason, has_logged_in, valid_from_time, valid_to_time, is_password_own,
);

masked!(User:
    username, kind, display_name, email, alias_email, language, time_zone, disabled,
    password_change_time, password_expire_time, password_never_expires,
    include_system_alarms_in_emails,
);

/// The text is no name of a guest or user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no name; give one such as `{collection}{{id}}`: the id {why}")]
pub struct NotAName {
    collection: &'static str,
    why: NotAnId,
}

/// The guest that a name such as `guests/erika` names.
pub fn guest_id(name: &str) -> Result<GuestId, NotAName> {
    let id = name.strip_prefix(GUESTS).unwrap_or_default();
    GuestId::parse(id).map_err(|why| NotAName { collection: GUESTS, why })
}

/// The user that a name such as `users/erika` names.
pub fn user_id(name: &str) -> Result<UserId, NotAName> {
    let id = name.strip_prefix(USERS).unwrap_or_default();
    UserId::parse(id).map_err(|why| NotAName { collection: USERS, why })
}

/// The guest that an update makes of the one who is there, or everything that is wrong with it. Fields are
/// named as in the message, for example `email`.
pub fn updated_guest(
    given: v1::Guest,
    mask: &Mask,
    id: GuestId,
    before: Option<&Guest>,
    now: Timestamp,
) -> Result<Guest, Violations> {
    let merged = mask.merge(given, || match before {
        // Without a state the present one stays, if it still can.
        Some(guest) => v1::Guest { state: 0, ..v1::Guest::from(guest) },
        None => v1::Guest::default(),
    });
    let mut unreadable = Violations::default();
    let draft = guest_draft(&mut unreadable, merged);
    one_per_field(unreadable, draft.check(id, before, now))
}

/// The user that an update makes of the one who is there, or everything that is wrong with it.
pub fn updated_user(
    given: v1::User,
    mask: &Mask,
    id: UserId,
    before: Option<&User>,
    now: Timestamp,
) -> Result<User, Violations> {
    let merged = mask.merge(given, || before.map(v1::User::from).unwrap_or_default());
    let mut unreadable = Violations::default();
    let draft = user_draft(&mut unreadable, merged);
    one_per_field(unreadable, draft.check(id, before, now))
}

/// Takes a guest of a request apart. What cannot be read is noted in `violations` and left out.
pub fn guest_draft(violations: &mut Violations, guest: v1::Guest) -> GuestDraft {
    GuestDraft {
        state: known::<v1::GuestState, GuestState>(violations, "state", guest.state),
        valid_from: timestamp_from(violations, "valid_from_time", guest.valid_from_time),
        valid_to: timestamp_from(violations, "valid_to_time", guest.valid_to_time),
        username: guest.username,
        first_name: guest.first_name,
        last_name: guest.last_name,
        company: guest.company,
        mobile_number: guest.mobile_number,
        email: guest.email,
        guest_type: guest.guest_type,
        sponsor_name: guest.sponsor_name,
        sponsor_email: guest.sponsor_email,
        location: guest.location,
        time_zone: guest.time_zone,
        language: guest.language,
        person_visited: guest.person_visited,
        reason_for_visit: guest.reason_for_visit,
        ssid: guest.ssid,
        state_reason: guest.state_reason,
        has_logged_in: guest.has_logged_in,
        is_password_own: guest.is_password_own,
    }
}

fn user_draft(violations: &mut Violations, user: v1::User) -> UserDraft {
    let (changed, expires) = (user.password_change_time, user.password_expire_time);
    UserDraft {
        kind: known::<v1::UserKind, UserKind>(violations, "kind", user.kind),
        password_changed_at: timestamp_from(violations, "password_change_time", changed),
        password_expires_at: timestamp_from(violations, "password_expire_time", expires),
        username: user.username,
        display_name: user.display_name,
        email: user.email,
        alias_email: user.alias_email,
        language: user.language,
        time_zone: user.time_zone,
        is_disabled: user.disabled,
        password_never_expires: user.password_never_expires,
        include_system_alarms_in_emails: user.include_system_alarms_in_emails,
    }
}

/// What cannot be read is not missing besides.
fn one_per_field<T>(
    mut unreadable: Violations,
    checked: Result<T, Violations>,
) -> Result<T, Violations> {
    let (checked, wrong) = match checked {
        Ok(checked) => (Some(checked), Violations::default()),
        Err(wrong) => (None, wrong),
    };
    for violation in wrong {
        if unreadable.iter().all(|known| known.field != violation.field) {
            unreadable.add(violation.field, violation.problem);
        }
    }
    match checked {
        Some(checked) if unreadable.is_empty() => Ok(checked),
        Some(_) | None => Err(unreadable),
    }
}

/// Without its etag, which is that of the record.
impl From<&Guest> for v1::Guest {
    fn from(guest: &Guest) -> Self {
        let draft = GuestDraft::from(guest);
        Self {
            name: guest.id.to_string(),
            username: draft.username,
            first_name: draft.first_name,
            last_name: draft.last_name,
            company: draft.company,
            mobile_number: draft.mobile_number,
            email: draft.email,
            guest_type: draft.guest_type,
            sponsor_name: draft.sponsor_name,
            sponsor_email: draft.sponsor_email,
            location: draft.location,
            time_zone: draft.time_zone,
            language: draft.language,
            person_visited: draft.person_visited,
            reason_for_visit: draft.reason_for_visit,
            ssid: draft.ssid,
            state: v1::GuestState::from(guest.state).into(),
            state_reason: draft.state_reason,
            has_logged_in: draft.has_logged_in,
            valid_from_time: Some(timestamp(guest.valid_from)),
            valid_to_time: Some(timestamp(guest.valid_to)),
            is_password_own: draft.is_password_own,
            create_time: Some(timestamp(guest.created_at)),
            update_time: Some(timestamp(guest.updated_at)),
            etag: String::new(),
        }
    }
}

/// Without its etag, which is that of the record.
impl From<&User> for v1::User {
    fn from(user: &User) -> Self {
        let text = |address: &Option<EmailAddress>| {
            address.as_ref().map(ToString::to_string).unwrap_or_default()
        };
        Self {
            name: user.id.to_string(),
            username: user.username.clone(),
            kind: v1::UserKind::from(user.kind).into(),
            display_name: user.display_name.clone(),
            email: text(&user.email),
            alias_email: text(&user.alias_email),
            language: user.language.clone(),
            time_zone: user.time_zone.iana_name().unwrap_or("UTC").to_owned(),
            disabled: !user.is_enabled,
            password_change_time: user.password_changed_at.map(timestamp),
            password_expire_time: user.password_expires_at.map(timestamp),
            password_never_expires: user.password_never_expires,
            include_system_alarms_in_emails: user.include_system_alarms_in_emails,
            create_time: Some(timestamp(user.created_at)),
            update_time: Some(timestamp(user.updated_at)),
            etag: String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
