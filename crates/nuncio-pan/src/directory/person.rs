//! Guests and users as the API tells them.

use jiff::Timestamp;
use nuncio_api::convert::directory::{NotAName, guest_id, updated_guest, updated_user, user_id};
use nuncio_api::convert::field_mask::{Mask, Masked};
use nuncio_api::v1;
use nuncio_core::directory::guest::{Guest, GuestId};
use nuncio_core::directory::user::{User, UserId};
use nuncio_core::violation::Violations;
use nuncio_directory::change::Entry;
use nuncio_directory::subject::Subject;

/// Somebody whom the API tells of.
pub(super) trait Person: Subject {
    type Message: Masked + Clone + Send + Sync + 'static;

    /// For people: `guest`.
    const NOUN: &'static str;
    /// Before the fields of the message in a request.
    const FIELD_PREFIX: &'static str;
    const NOT_FOUND: &'static str;
    const INVALID: &'static str;

    fn id_of(name: &str) -> Result<Self::Id, NotAName>;

    fn name_of(message: &Self::Message) -> &str;

    fn etag_of(message: &Self::Message) -> &str;

    fn updated(
        given: Self::Message,
        mask: &Mask,
        id: Self::Id,
        before: Option<&Self>,
        now: Timestamp,
    ) -> Result<Self, Violations>;

    /// Without an etag.
    fn message(&self) -> Self::Message;

    fn told(entry: &Entry<Self>) -> Self::Message;
}

impl Person for Guest {
    type Message = v1::Guest;

    const NOUN: &'static str = "guest";
    const FIELD_PREFIX: &'static str = "guest.";
    const NOT_FOUND: &'static str = "GUEST_NOT_FOUND";
    const INVALID: &'static str = "INVALID_GUEST";

    fn id_of(name: &str) -> Result<GuestId, NotAName> {
        guest_id(name)
    }

    fn name_of(message: &v1::Guest) -> &str {
        &message.name
    }

    fn etag_of(message: &v1::Guest) -> &str {
        &message.etag
    }

    fn updated(
        given: v1::Guest,
        mask: &Mask,
        id: GuestId,
        before: Option<&Self>,
        now: Timestamp,
    ) -> Result<Self, Violations> {
        updated_guest(given, mask, id, before, now)
    }

    fn message(&self) -> v1::Guest {
        self.into()
    }

    fn told(entry: &Entry<Self>) -> v1::Guest {
        v1::Guest { etag: entry.etag(), ..entry.subject.message() }
    }
}

impl Person for User {
    type Message = v1::User;

    const NOUN: &'static str = "user";
    const FIELD_PREFIX: &'static str = "user.";
    const NOT_FOUND: &'static str = "USER_NOT_FOUND";
    const INVALID: &'static str = "INVALID_USER";

    fn id_of(name: &str) -> Result<UserId, NotAName> {
        user_id(name)
    }

    fn name_of(message: &v1::User) -> &str {
        &message.name
    }

    fn etag_of(message: &v1::User) -> &str {
        &message.etag
    }

    fn updated(
        given: v1::User,
        mask: &Mask,
        id: UserId,
        before: Option<&Self>,
        now: Timestamp,
    ) -> Result<Self, Violations> {
        updated_user(given, mask, id, before, now)
    }

    fn message(&self) -> v1::User {
        self.into()
    }

    fn told(entry: &Entry<Self>) -> v1::User {
        v1::User { etag: entry.etag(), ..entry.subject.message() }
    }
}
