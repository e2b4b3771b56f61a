//! An internal user, written down.

use std::borrow::Cow;

use jiff::Timestamp;
use nuncio_core::directory::user::{User, UserId, UserKind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Broken, address, address_text, check_version, is_empty, is_false, time_zone, time_zone_name,
};
use crate::notes::Notes;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    v: u32,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    display_name: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    email: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    alias_email: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "is_empty")]
    language: Cow<'a, str>,
    #[serde(borrow)]
    time_zone: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_false")]
    is_disabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_changed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_false")]
    password_never_expires: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    include_system_alarms_in_emails: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reminders: Option<&'a RawValue>,
}

/// The content of a user's record.
pub fn encode(user: &User, notes: Option<&Notes>) -> String {
    let written = Written {
        v: VERSION,
        username: Cow::Borrowed(&user.username),
        kind: Cow::Borrowed(user.kind.name()),
        display_name: Cow::Borrowed(&user.display_name),
        email: address_text(user.email.as_ref()),
        alias_email: address_text(user.alias_email.as_ref()),
        language: Cow::Borrowed(&user.language),
        time_zone: time_zone_name(&user.time_zone),
        is_disabled: !user.is_enabled,
        password_changed_at: user.password_changed_at,
        password_expires_at: user.password_expires_at,
        password_never_expires: user.password_never_expires,
        include_system_alarms_in_emails: user.include_system_alarms_in_emails,
        created_at: user.created_at,
        updated_at: user.updated_at,
        reminders: notes.map(Notes::as_raw),
    };
    serde_json::to_string(&written).expect("texts, flags and times are plain values")
}

/// The user of a record, and what the reminders have noted.
pub fn decode(id: &str, content: &str) -> Result<(User, Option<Notes>), Broken> {
    let written: Written<'_> =
        serde_json::from_str(content).map_err(|error| Broken::json(id, &error))?;
    check_version(id, written.v, VERSION)?;
    let notes = written.reminders.map(|raw| Notes::from_raw(raw.to_owned()));
    let kinds = [UserKind::Administrator, UserKind::NetworkUser];
    let kind = kinds.into_iter().find(|kind| kind.name() == written.kind);
    let user = User {
        id: UserId::parse(id).map_err(|error| Broken::new(id, format!("the id {error}")))?,
        username: written.username.into_owned(),
        kind: kind.ok_or_else(|| Broken::new(id, "its kind is not known"))?,
        display_name: written.display_name.into_owned(),
        email: address(id, "email", &written.email)?,
        alias_email: address(id, "alias_email", &written.alias_email)?,
        language: written.language.into_owned(),
        time_zone: time_zone(&written.time_zone),
        is_enabled: !written.is_disabled,
        password_changed_at: written.password_changed_at,
        password_expires_at: written.password_expires_at,
        password_never_expires: written.password_never_expires,
        include_system_alarms_in_emails: written.include_system_alarms_in_emails,
        created_at: written.created_at,
        updated_at: written.updated_at,
    };
    Ok((user, notes))
}
