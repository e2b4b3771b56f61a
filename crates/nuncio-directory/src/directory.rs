//! The directory over the store's records.

use std::sync::Arc;

use jiff::Timestamp;
use nuncio_core::directory::guest::{Guest, GuestState};
use nuncio_core::directory::lifecycle::{GuestAction, Refused};
use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Changeset, CommitError, RecordStore};

use crate::approvals;
use crate::change::{Change, Entry};
use crate::codec::Broken;
use crate::follow_up::FollowUp;
use crate::subject::Subject;

/// How often a change is decided anew because somebody else has written meanwhile.
const ATTEMPTS_MAX: u32 = 8;

/// Guests and internal users, kept as records.
#[derive(Clone)]
pub struct Directory {
    pub records: Arc<dyn RecordStore>,
    pub follow_up: Arc<dyn FollowUp>,
}

/// Why the directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error(transparent)]
    Broken(#[from] Broken),
    /// Others write the same records all the time.
    #[error("others have changed `{id}` {ATTEMPTS_MAX} times meanwhile")]
    Contended { id: String },
    #[error("the directory could not be used")]
    Store(#[from] StoreError),
}

/// Why somebody was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E> {
    /// The caller's own decision.
    #[error("the change was refused")]
    Refused(E),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// What is to become of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted<S> {
    Put(S),
    Remove,
    /// Nothing has to be written.
    Keep,
}

/// What became of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done<S> {
    /// None if there is none any more, or was none.
    pub entry: Option<Entry<S>>,
    /// Mails that the change has voided.
    pub cancelled: Vec<MailJobId>,
}

impl Directory {
    pub async fn get<S: Subject>(&self, id: &S::Id) -> Result<Option<Entry<S>>, DirectoryError> {
        let found = self.records.read(&[S::key(id)]).await?;
        let entry = found.into_iter().next().flatten();
        Ok(entry.map(|record| Entry::read(&record)).transpose()?)
    }

    /// Puts somebody in the place of `before`, or makes him, as part of the caller's changeset.
    pub fn put<S: Subject>(&self, before: Option<&Entry<S>>, after: &S, now: Timestamp) -> Change {
        Change::put(&*self.follow_up, before, after, now)
    }

    /// Removes somebody as part of the caller's changeset.
    pub fn remove<S: Subject>(&self, before: &Entry<S>, now: Timestamp) -> Change {
        Change::remove(&*self.follow_up, before, now)
    }

    /// Does something with a guest as part of the caller's changeset; tells the guest after it.
    pub fn transition(
        &self,
        before: &Entry<Guest>,
        action: &GuestAction,
        now: Timestamp,
    ) -> Result<(Guest, Change), Refused> {
        let after = before.subject.after(action, now)?;
        let change = self.put(Some(before), &after, now);
        Ok((after, change))
    }

    /// Changes somebody by himself, without a mail. `decide` is asked anew when somebody else has written
    /// meanwhile. A request for approval is settled with its guest.
    pub async fn change<S: Subject, E>(
        &self,
        id: &S::Id,
        now: Timestamp,
        decide: impl Fn(Option<&Entry<S>>) -> Result<Wanted<S>, E>,
    ) -> Result<Done<S>, ChangeError<E>> {
        for _attempt in 0..ATTEMPTS_MAX {
            let before = self.get::<S>(id).await?;
            let (change, after) = match decide(before.as_ref()).map_err(ChangeError::Refused)? {
                Wanted::Put(after) => (self.put(before.as_ref(), &after, now), Some(after)),
                Wanted::Remove => match &before {
                    Some(before) => (self.remove(before, now), None),
                    None => return Ok(Done { entry: None, cancelled: Vec::new() }),
                },
                Wanted::Keep => return Ok(Done { entry: before, cancelled: Vec::new() }),
            };
            let mut changes = Changeset::new(now);
            change.add_to(&mut changes);
            let guest = before.as_ref().and_then(|entry| entry.subject.as_guest());
            if let Some(waiting) = guest.filter(|one| one.state == GuestState::PendingApproval) {
                let after = after.as_ref().and_then(S::as_guest);
                let settled = approvals::settle(&*self.records, &waiting.id, after, &mut changes);
                settled.await.map_err(DirectoryError::from)?;
            }
            match self.records.commit(changes).await {
                Ok(committed) => {
                    let entry = self.get(id).await?;
                    return Ok(Done { entry, cancelled: committed.cancelled });
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(not_committed(error).into()),
            }
        }
        Err(DirectoryError::Contended { id: id.to_string() }.into())
    }
}

/// A conflict is for the caller, and without jobs no request id is used.
pub(crate) fn not_committed(error: CommitError) -> DirectoryError {
    match error {
        CommitError::Store(source) => source.into(),
        CommitError::Conflict { key, .. } => DirectoryError::Contended { id: key.id },
        CommitError::RequestIdReused { existing } => {
            DirectoryError::Contended { id: existing.to_string() }
        }
    }
}

#[cfg(test)]
mod tests;
