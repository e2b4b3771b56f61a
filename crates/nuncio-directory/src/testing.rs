//! Guests, users and a directory in memory for the tests of this crate.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use nuncio_core::directory::draft::{GuestDraft, UserDraft};
use nuncio_core::directory::guest::{Guest, GuestId};
use nuncio_core::directory::user::{User, UserId, UserKind};
use nuncio_store::memory::MemoryJobStore;

use crate::directory::Directory;
use crate::follow_up::AtExpiry;

pub(crate) fn now() -> Timestamp {
    "2026-03-01T10:00:00Z".parse().expect("it is a moment")
}

pub(crate) fn days(count: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * count)
}

pub(crate) fn directory() -> Directory {
    Directory { records: Arc::new(MemoryJobStore::default()), follow_up: Arc::new(AtExpiry) }
}

pub(crate) fn guest_id(id: &str) -> GuestId {
    GuestId::parse(id).expect("it is an id")
}

pub(crate) fn draft() -> GuestDraft {
    GuestDraft {
        first_name: "Erika".to_owned(),
        last_name: "Mustermann".to_owned(),
        email: "Erika@example.com".to_owned(),
        sponsor_name: "Max".to_owned(),
        sponsor_email: "Max@Example.com".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        valid_to: Some(days(10)),
        ..GuestDraft::default()
    }
}

pub(crate) fn guest(id: &str) -> Guest {
    draft().check(guest_id(id), None, now()).expect("it is valid")
}

pub(crate) fn user(id: &str) -> User {
    let draft = UserDraft {
        kind: Some(UserKind::NetworkUser),
        email: "user@example.com".to_owned(),
        password_expires_at: Some(days(5)),
        ..UserDraft::default()
    };
    draft.check(UserId::parse(id).expect("it is an id"), None, now()).expect("it is valid")
}
