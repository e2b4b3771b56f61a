//! A change of a guest or user, as writes for a changeset.

use jiff::Timestamp;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::records::{Changeset, Expected, Record, Write};

use crate::codec::Broken;
use crate::follow_up::FollowUp;
use crate::notes::Notes;
use crate::subject::Subject;

/// Somebody as the directory keeps him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<S> {
    pub subject: S,
    pub notes: Option<Notes>,
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
        let Followed { due_at, notes, cancel } = followed;
        Self { write: put(after, notes.as_ref(), expected, due_at), cancel }
    }

    /// Removes somebody.
    pub fn remove<S: Subject>(follow_up: &dyn FollowUp, before: &Entry<S>, now: Timestamp) -> Self {
        let Followed { cancel, .. } = follow(follow_up, Some(before), None, now);
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
        let (subject, notes) = S::decode(&record.key.id, &record.content)?;
        Ok(Self { subject, notes, version: record.version, due_at: record.due_at })
    }

    /// Changes only what the reminders have noted and when somebody has to look next.
    pub fn noted(&self, notes: Option<&Notes>, due_at: Option<Timestamp>) -> Write {
        put(&self.subject, notes, Expected::Version(self.version), due_at)
    }

    /// The state of the entry as the API tells it: two of one name differ in it if anything differs.
    ///
    /// The version alone begins anew when somebody is removed and made again.
    pub fn etag(&self) -> String {
        format!("{}-{:x}", self.version, self.subject.updated_at().as_microsecond())
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
    expected: Expected,
    due_at: Option<Timestamp>,
) -> Write {
    Write::Put {
        key: S::key(subject.id()),
        expected,
        owner: subject.owner(),
        due_at,
        content: subject.encode(notes),
    }
}
