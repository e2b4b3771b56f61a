//! Many guests or users in one transaction.

use jiff::Timestamp;
use nuncio_core::directory::guest::{Guest, GuestId, GuestState};
use nuncio_core::portal::approval::APPROVERS_MAX;
use nuncio_core::ports::records::{CHANGES_MAX, Changeset, CommitError, Expected, Record, Write};
use nuncio_core::violation::Violations;

use crate::approvals;
use crate::change::{Change, Entry};
use crate::directory::{Directory, DirectoryError, not_committed};
use crate::subject::Subject;

/// The most rows of a batch.
pub const ROWS_MAX: usize = CHANGES_MAX;
/// How often a batch is decided anew because somebody else has written meanwhile.
const ATTEMPTS_MAX: u32 = 8;

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    Created,
    Updated,
    /// Was already as the row says; nothing was written.
    Unchanged,
    Rejected(Violations),
}

/// Makes somebody of the row with this index and of whom it replaces, or tells all that is wrong with the row.
pub type Make<'a, S> = dyn Fn(usize, Option<&S>) -> Result<S, Violations> + Sync + 'a;

/// The rows of a batch: whom they are about, and what each makes of him.
pub struct Batch<'a, S: Subject> {
    /// Up to [`ROWS_MAX`]; nobody stands in it twice.
    pub ids: &'a [S::Id],
    pub make: &'a Make<'a, S>,
    pub now: Timestamp,
    /// Nothing is written.
    pub validate_only: bool,
}

/// What becomes of some of the rows.
struct Decided<T> {
    outcomes: Vec<T>,
    changes: Changeset,
    /// Guests who do not wait for an approval any more, as they stand then; nothing for one who is removed.
    settled: Vec<(GuestId, Option<Guest>)>,
}

impl Directory {
    /// Writes the rows, as a rule all in one transaction: more only if they void very many mails.
    ///
    /// The outcomes stand in the order of the rows. If it fails, rows may have been written; to repeat it is
    /// harmless.
    pub async fn write_batch<S: Subject>(
        &self,
        batch: &Batch<'_, S>,
    ) -> Result<Vec<RowOutcome>, DirectoryError> {
        let decide = |first, present| self.decide(batch, first, present);
        self.commit_all::<S, _>(batch.ids, batch.validate_only, decide).await
    }

    /// Removes those of these who are there, as a rule all in one transaction; says of each whether he was. Up to
    /// [`ROWS_MAX`], nobody twice.
    ///
    /// If it fails, some may have been removed; to repeat it is harmless.
    pub async fn remove_batch<S: Subject>(
        &self,
        ids: &[S::Id],
        now: Timestamp,
        validate_only: bool,
    ) -> Result<Vec<bool>, DirectoryError> {
        let decide = |_first, present| self.decide_removals::<S>(present, now);
        self.commit_all::<S, _>(ids, validate_only, decide).await
    }

    /// Has some decided after the others, each time as many as fit in a changeset, and writes what was decided. A
    /// request for approval is settled with its guest.
    async fn commit_all<S: Subject, T>(
        &self,
        ids: &[S::Id],
        validate_only: bool,
        decide: impl Fn(usize, Vec<Option<Record>>) -> Decided<T>,
    ) -> Result<Vec<T>, DirectoryError> {
        let mut outcomes = Vec::with_capacity(ids.len());
        let mut attempts = 0;
        while outcomes.len() < ids.len() {
            let keys: Vec<_> = ids[outcomes.len()..].iter().map(S::key).collect();
            let present = self.records.read(&keys).await?;
            let Decided { outcomes: decided, mut changes, settled } =
                decide(outcomes.len(), present);
            if validate_only || changes.writes.is_empty() {
                outcomes.extend(decided);
                continue;
            }
            for (guest, after) in &settled {
                approvals::settle(&*self.records, guest, after.as_ref(), &mut changes).await?;
            }
            match self.records.commit(changes).await {
                Ok(_committed) => {
                    outcomes.extend(decided);
                    attempts = 0;
                }
                Err(CommitError::Conflict { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
                Err(error) => return Err(not_committed(error)),
            }
        }
        Ok(outcomes)
    }

    /// Decides as many removals as fit in a changeset.
    fn decide_removals<S: Subject>(
        &self,
        present: Vec<Option<Record>>,
        now: Timestamp,
    ) -> Decided<bool> {
        let mut changes = Changeset::new(now);
        let (mut outcomes, mut settled) = (Vec::with_capacity(present.len()), Vec::new());
        for record in present {
            let Some(record) = record else {
                outcomes.push(false);
                continue;
            };
            let (change, waits) = match Entry::<S>::read(&record) {
                Ok(entry) => {
                    let waits = entry.subject.as_guest().filter(|_| is_waiting(&entry.subject));
                    (self.remove(&entry, now), waits.map(|guest| (guest.id.clone(), None)))
                }
                // Whoever cannot be read can still be removed.
                Err(_broken) => {
                    let expected = Expected::Version(record.version);
                    let write = Write::Delete { key: record.key, expected };
                    (Change { write, cancel: Vec::new() }, None)
                }
            };
            if is_full(&changes, &change, settled.len() + usize::from(waits.is_some())) {
                break;
            }
            settled.extend(waits);
            change.add_to(&mut changes);
            outcomes.push(true);
        }
        Decided { outcomes, changes, settled }
    }

    /// Decides as many rows as fit in a changeset.
    fn decide<S: Subject>(
        &self,
        batch: &Batch<'_, S>,
        first: usize,
        present: Vec<Option<Record>>,
    ) -> Decided<RowOutcome> {
        let mut changes = Changeset::new(batch.now);
        let mut outcomes = Vec::with_capacity(present.len());
        let mut settled = Vec::new();
        for (index, record) in (first..).zip(present) {
            let before = match record.map(|record| Entry::<S>::read(&record)).transpose() {
                Ok(before) => before,
                Err(broken) => {
                    let mut violations = Violations::default();
                    violations.add("name", broken);
                    outcomes.push(RowOutcome::Rejected(violations));
                    continue;
                }
            };
            let after = match (batch.make)(index, before.as_ref().map(|entry| &entry.subject)) {
                Ok(after) => after,
                Err(violations) => {
                    outcomes.push(RowOutcome::Rejected(violations));
                    continue;
                }
            };
            if before.as_ref().is_some_and(|before| after.is_same_as(&before.subject)) {
                outcomes.push(RowOutcome::Unchanged);
                continue;
            }
            let change = self.put(before.as_ref(), &after, batch.now);
            let waited = before.as_ref().is_some_and(|entry| is_waiting(&entry.subject));
            let guest = after.as_guest().filter(|_| waited && !is_waiting(&after));
            if is_full(&changes, &change, settled.len() + usize::from(guest.is_some())) {
                break;
            }
            settled.extend(guest.map(|guest| (guest.id.clone(), Some(guest.clone()))));
            change.add_to(&mut changes);
            let is_new = before.is_none();
            outcomes.push(if is_new { RowOutcome::Created } else { RowOutcome::Updated });
        }
        Decided { outcomes, changes, settled }
    }
}

/// Whether a change does not fit any more beside what has been decided and the requests for approval that are settled.
///
/// Each of those is one more write, and voids a mail to each approver.
fn is_full(decided: &Changeset, change: &Change, settled: usize) -> bool {
    let cancels = decided.cancel.len() + change.cancel.len() + settled * APPROVERS_MAX;
    let is_full = CHANGES_MAX < cancels || CHANGES_MAX <= decided.writes.len() + settled;
    is_full && !decided.writes.is_empty()
}

fn is_waiting<S: Subject>(one: &S) -> bool {
    one.as_guest().is_some_and(|guest| guest.state == GuestState::PendingApproval)
}

#[cfg(test)]
mod tests;
