//! A guest, written down.

use std::borrow::Cow;

use jiff::Timestamp;
use nuncio_core::directory::guest::{Guest, GuestId, GuestState, Sponsor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Broken, address, address_text, check_version, is_empty, is_false, time_zone, time_zone_name,
};
use crate::mails::{self, AccessMail};
use crate::notes::Notes;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    v: u32,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    first_name: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    last_name: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    company: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    mobile_number: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    email: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    guest_type: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    sponsor_name: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    sponsor_email: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    location: Cow<'a, str>,
    #[serde(borrow)]
    time_zone: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    language: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    person_visited: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    reason_for_visit: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    ssid: Cow<'a, str>,
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    state_reason: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_false")]
    has_logged_in: bool,
    valid_from: Timestamp,
    valid_to: Timestamp,
    #[serde(default, skip_serializing_if = "is_false")]
    is_password_own: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reminders: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mails: Vec<mails::Written>,
}

/// The content of a guest's record.
pub fn encode(guest: &Guest, notes: Option<&Notes>, mails: &[AccessMail]) -> String {
    let sponsor = guest.sponsor.as_ref();
    let written = Written {
        v: VERSION,
        username: Cow::Borrowed(&guest.username),
        first_name: Cow::Borrowed(&guest.first_name),
        last_name: Cow::Borrowed(&guest.last_name),
        company: Cow::Borrowed(&guest.company),
        mobile_number: Cow::Borrowed(&guest.mobile_number),
        email: address_text(guest.email.as_ref()),
        guest_type: Cow::Borrowed(&guest.guest_type),
        sponsor_name: Cow::Borrowed(sponsor.map_or("", |sponsor| &sponsor.name)),
        sponsor_email: address_text(sponsor.map(|sponsor| &sponsor.email)),
        location: Cow::Borrowed(&guest.location),
        time_zone: time_zone_name(&guest.time_zone),
        language: Cow::Borrowed(&guest.language),
        person_visited: Cow::Borrowed(&guest.person_visited),
        reason_for_visit: Cow::Borrowed(&guest.reason_for_visit),
        ssid: Cow::Borrowed(&guest.ssid),
        state: Cow::Borrowed(guest.state.name()),
        state_reason: Cow::Borrowed(&guest.state_reason),
        has_logged_in: guest.has_logged_in,
        valid_from: guest.valid_from,
        valid_to: guest.valid_to,
        is_password_own: guest.is_password_own,
        created_at: guest.created_at,
        updated_at: guest.updated_at,
        reminders: notes.map(Notes::as_raw),
        mails: mails::write(mails),
    };
    serde_json::to_string(&written).expect("texts, flags and times are plain values")
}

/// The guest of a record, what the reminders have noted, and mails that may still wait.
pub fn decode(id: &str, content: &str) -> Result<(Guest, Option<Notes>, Vec<AccessMail>), Broken> {
    let written: Written<'_> =
        serde_json::from_str(content).map_err(|error| Broken::json(id, &error))?;
    check_version(id, written.v, VERSION)?;
    let notes = written.reminders.map(|raw| Notes::from_raw(raw.to_owned()));
    let state = GuestState::ALL.into_iter().find(|state| state.name() == written.state);
    let sponsor_name = written.sponsor_name.into_owned();
    let guest = Guest {
        id: GuestId::parse(id).map_err(|error| Broken::new(id, format!("the id {error}")))?,
        username: written.username.into_owned(),
        first_name: written.first_name.into_owned(),
        last_name: written.last_name.into_owned(),
        company: written.company.into_owned(),
        mobile_number: written.mobile_number.into_owned(),
        email: address(id, "email", &written.email)?,
        guest_type: written.guest_type.into_owned(),
        sponsor: address(id, "sponsor_email", &written.sponsor_email)?
            .map(|email| Sponsor { name: sponsor_name, email }),
        location: written.location.into_owned(),
        time_zone: time_zone(&written.time_zone),
        language: written.language.into_owned(),
        person_visited: written.person_visited.into_owned(),
        reason_for_visit: written.reason_for_visit.into_owned(),
        ssid: written.ssid.into_owned(),
        state: state.ok_or_else(|| Broken::new(id, "its state is not known"))?,
        state_reason: written.state_reason.into_owned(),
        has_logged_in: written.has_logged_in,
        valid_from: written.valid_from,
        valid_to: written.valid_to,
        is_password_own: written.is_password_own,
        created_at: written.created_at,
        updated_at: written.updated_at,
    };
    Ok((guest, notes, mails::read(written.mails)))
}
