//! A change of a guest or user, as writes for a changeset.

use jiff::Timestamp;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::records::{Changeset, Expected, Record, Write};

use crate::codec::Broken;
use crate::follow_up::FollowUp;
use crate::mails::{self, AccessMail};
use crate::notes::Notes;
use crate::subject::Subject;

/// Somebody as the directory keeps him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<S> {
    pub subject: S,
    pub notes: Option<Notes>,
    /// Mails that tell of the access and may still wait.
    pub mails: Vec<AccessMail>,
    /// The version of the record.
    pub version: i64,
    pub due_at: Option<Timestamp>,
}

/// A change that is to be written: before and after, and what the reminders have noted.
#[derive(Debug)]
pub struct Changed<'a, S> {
    /// None if somebody is new.
    pub before: Option<&'a S>,
    /// None if somebody is removed.
    pub after: Option<&'a S>,
    pub notes: Option<&'a Notes>,
    pub now: Timestamp,
}

/// What follows from a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// When somebody has to look next.
    pub due_at: Option<Timestamp>,
    pub notes: Option<Notes>,
    /// Mails that the change voids.
    pub cancel: Vec<MailJobId>,
}

/// Writes a change, and cancels the mails that it voids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub write: Write,
    pub cancel: Vec<MailJobId>,
}

impl Change {
    /// Puts somebody in the place of `before`, or makes him.
    pub fn put<S: Subject>(
        follow_up: &dyn FollowUp,
        before: Option<&Entry<S>>,
        after: &S,
        now: Timestamp,
    ) -> Self {
        let followed = follow(follow_up, before, Some(after), now);
        let expected = before.map_or(Expected::Absent, |entry| Expected::Version(entry.version));
        let Followed { due_at, notes, mut cancel } = followed;
        let told = before.map(|entry| &entry.mails[..]).unwrap_or_default();
        let told = mails::joined(told, [], now);
        let mails = if after.has_access() {
            told
        } else {
            cancel.extend(told.iter().map(|mail| mail.job));
            Vec::new()
        };
        Self { write: put(after, notes.as_ref(), &mails, expected, due_at), cancel }
    }

    /// Removes somebody.
    pub fn remove<S: Subject>(follow_up: &dyn FollowUp, before: &Entry<S>, now: Timestamp) -> Self {
        let Followed { mut cancel, .. } = follow(follow_up, Some(before), None, now);
        cancel.extend(before.mails.iter().map(|mail| mail.job));
        let expected = Expected::Version(before.version);
        Self { write: Write::Delete { key: S::key(before.subject.id()), expected }, cancel }
    }

    pub fn add_to(self, changes: &mut Changeset) {
        changes.writes.push(self.write);
        changes.cancel.extend(self.cancel);
    }
}

impl<S: Subject> Entry<S> {
    pub fn read(record: &Record) -> Result<Self, Broken> {
        let (subject, notes, mails) = S::decode(&record.key.id, &record.content)?;
        Ok(Self { subject, notes, mails, version: record.version, due_at: record.due_at })
    }

    /// Changes only what the reminders have noted and when somebody has to look next.
    pub fn noted(&self, notes: Option<&Notes>, due_at: Option<Timestamp>) -> Write {
        put(&self.subject, notes, &self.mails, Expected::Version(self.version), due_at)
    }

    /// Notes mails that tell of the access, so that they are cancelled if it is gone before they are.
    pub fn told(&self, more: impl IntoIterator<Item = AccessMail>, now: Timestamp) -> Write {
        let mails = mails::joined(&self.mails, more, now);
        let expected = Expected::Version(self.version);
        put(&self.subject, self.notes.as_ref(), &mails, expected, self.due_at)
    }

    /// The state of the entry as the API tells it: two of one name differ in it if anything differs.
    ///
    /// What is only noted does not count: it is nothing that a caller could have read.
    pub fn etag(&self) -> String {
        let digest = fnv1a(self.subject.encode(None, &[]).as_bytes());
        format!("{:x}-{digest:x}", self.subject.updated_at().as_microsecond())
    }
}

fn follow<S: Subject>(
    follow_up: &dyn FollowUp,
    before: Option<&Entry<S>>,
    after: Option<&S>,
    now: Timestamp,
) -> Followed {
    let notes = before.and_then(|entry| entry.notes.as_ref());
    let before = before.map(|entry| &entry.subject);
    S::follow(follow_up, &Changed { before, after, notes, now })
}

fn put<S: Subject>(
    subject: &S,
    notes: Option<&Notes>,
    mails: &[AccessMail],
    expected: Expected,
    due_at: Option<Timestamp>,
) -> Write {
    Write::Put {
        key: S::key(subject.id()),
        expected,
        owner: subject.owner(),
        due_at,
        content: subject.encode(notes, mails),
    }
}

/// FNV-1a of 64 bits: the same on every node.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
