//! What guests and users have in common.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::directory::guest::{Guest, GuestId, NotAnId};
use nuncio_core::directory::user::{User, UserId};
use nuncio_core::ports::records::{RecordKey, RecordKind};

use crate::change::{Changed, Followed};
use crate::codec::{self, Broken};
use crate::follow_up::FollowUp;
use crate::mails::AccessMail;
use crate::notes::Notes;

/// The kind of the records of guests. Their owner is the sponsor's address, in lower case.
pub const GUESTS: RecordKind = RecordKind("guest");
/// The kind of the records of internal users. They have no owner.
pub const USERS: RecordKind = RecordKind("user");

/// Somebody whom the directory keeps.
pub trait Subject: Clone + PartialEq + Send + Sync + 'static {
    type Id: Clone + Eq + fmt::Display + Send + Sync;

    const KIND: RecordKind;

    fn id(&self) -> &Self::Id;

    fn parse_id(id: &str) -> Result<Self::Id, NotAnId>;

    /// The id as it stands in the key of the record.
    fn id_text(id: &Self::Id) -> &str;

    fn owner(&self) -> Option<String>;

    /// The same with another moment of the last change.
    #[must_use]
    fn touched(self, at: Timestamp) -> Self;

    fn updated_at(&self) -> Timestamp;

    /// Whether the two differ in nothing but the moment of their last change.
    fn is_same_as(&self, before: &Self) -> bool {
        self.clone().touched(before.updated_at()) == *before
    }

    /// Whether mails of an access, credentials for example, still tell the truth.
    fn has_access(&self) -> bool;

    /// The content of the record.
    fn encode(&self, notes: Option<&Notes>, mails: &[AccessMail]) -> String;

    fn decode(id: &str, content: &str) -> Result<(Self, Option<Notes>, Vec<AccessMail>), Broken>;

    /// How the reminders follow a change of one like this.
    fn follow(follow_up: &dyn FollowUp, changed: &Changed<'_, Self>) -> Followed;

    /// The texts in which a person is looked for.
    fn texts(&self) -> Vec<Cow<'_, str>>;

    /// The guest, if this is one.
    fn as_guest(&self) -> Option<&Guest> {
        None
    }

    fn key(id: &Self::Id) -> RecordKey {
        RecordKey::new(Self::KIND, Self::id_text(id))
    }
}

impl Subject for Guest {
    type Id = GuestId;

    const KIND: RecordKind = GUESTS;

    fn id(&self) -> &GuestId {
        &self.id
    }

    fn parse_id(id: &str) -> Result<GuestId, NotAnId> {
        GuestId::parse(id)
    }

    fn id_text(id: &GuestId) -> &str {
        id.as_str()
    }

    fn owner(&self) -> Option<String> {
        self.sponsor.as_ref().map(|sponsor| owner_of(sponsor.email.as_str()))
    }

    fn touched(self, at: Timestamp) -> Self {
        Self { updated_at: at, ..self }
    }

    fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    fn has_access(&self) -> bool {
        self.state.has_access()
    }

    fn encode(&self, notes: Option<&Notes>, mails: &[AccessMail]) -> String {
        codec::guest::encode(self, notes, mails)
    }

    fn decode(id: &str, content: &str) -> Result<(Self, Option<Notes>, Vec<AccessMail>), Broken> {
        codec::guest::decode(id, content)
    }

    fn follow(follow_up: &dyn FollowUp, changed: &Changed<'_, Self>) -> Followed {
        follow_up.guest(changed)
    }

    fn texts(&self) -> Vec<Cow<'_, str>> {
        let email = self.email.as_ref().map_or("", |email| email.as_str());
        let name = Cow::Owned(format!("{} {}", self.first_name, self.last_name));
        let others = [self.id.as_str(), &self.username, &self.company, email];
        others.into_iter().map(Cow::Borrowed).chain([name]).collect()
    }

    fn as_guest(&self) -> Option<&Guest> {
        Some(self)
    }
}

impl Subject for User {
    type Id = UserId;

    const KIND: RecordKind = USERS;

    fn id(&self) -> &UserId {
        &self.id
    }

    fn parse_id(id: &str) -> Result<UserId, NotAnId> {
        UserId::parse(id)
    }

    fn id_text(id: &UserId) -> &str {
        id.as_str()
    }

    fn owner(&self) -> Option<String> {
        None
    }

    fn touched(self, at: Timestamp) -> Self {
        Self { updated_at: at, ..self }
    }

    fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    fn has_access(&self) -> bool {
        self.is_enabled
    }

    /// No portal tells a user of an access.
    fn encode(&self, notes: Option<&Notes>, _mails: &[AccessMail]) -> String {
        codec::user::encode(self, notes)
    }

    fn decode(id: &str, content: &str) -> Result<(Self, Option<Notes>, Vec<AccessMail>), Broken> {
        let (user, notes) = codec::user::decode(id, content)?;
        Ok((user, notes, Vec::new()))
    }

    fn follow(follow_up: &dyn FollowUp, changed: &Changed<'_, Self>) -> Followed {
        follow_up.user(changed)
    }

    fn texts(&self) -> Vec<Cow<'_, str>> {
        let addresses = [&self.email, &self.alias_email];
        let addresses = addresses.into_iter().flatten().map(EmailAddress::as_str);
        let names = [self.id.as_str(), &self.username, &self.display_name];
        names.into_iter().chain(addresses).map(Cow::Borrowed).collect()
    }
}

/// The owner of the guests of a sponsor: an address counts whatever its capitals.
pub fn owner_of(sponsor_email: &str) -> String {
    sponsor_email.to_lowercase()
}
