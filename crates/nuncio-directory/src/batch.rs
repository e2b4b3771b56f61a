//! Many guests or users in one transaction.

use std::collections::VecDeque;

use jiff::Timestamp;
use nuncio_core::directory::guest::{Guest, GuestState};
use nuncio_core::portal::approval::APPROVERS_MAX;
use nuncio_core::ports::records::{CHANGES_MAX, Changeset, CommitError, Record};
use nuncio_core::violation::Violations;

use crate::approvals;
use crate::change::Entry;
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
struct Decided {
    outcomes: Vec<RowOutcome>,
    changes: Changeset,
    /// Guests who do not wait for an approval any more.
    let_go: Vec<Guest>,
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
        let mut outcomes = Vec::with_capacity(batch.ids.len());
        let mut attempts = 0;
        while outcomes.len() < batch.ids.len() {
            let keys: Vec<_> = batch.ids[outcomes.len()..].iter().map(S::key).collect();
            let present = self.records.read(&keys).await?;
            let Decided { outcomes: decided, mut changes, let_go } =
                self.decide(batch, outcomes.len(), present.into());
            if batch.validate_only || changes.writes.is_empty() {
                outcomes.extend(decided);
                continue;
            }
            for guest in &let_go {
                approvals::settle(&*self.records, &guest.id, Some(guest), &mut changes).await?;
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

    /// Decides as many rows as fit in a changeset.
    fn decide<S: Subject>(
        &self,
        batch: &Batch<'_, S>,
        first: usize,
        present: VecDeque<Option<Record>>,
    ) -> Decided {
        let mut changes = Changeset::new(batch.now);
        let mut outcomes = Vec::with_capacity(present.len());
        let mut let_go = Vec::new();
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
            // A request for approval that is settled is one more write, and voids a mail to each approver.
            let settled = let_go.len() + usize::from(guest.is_some());
            let cancels = changes.cancel.len() + change.cancel.len() + settled * APPROVERS_MAX;
            let is_full = CHANGES_MAX < cancels || CHANGES_MAX <= changes.writes.len() + settled;
            if is_full && !changes.writes.is_empty() {
                break;
            }
            let_go.extend(guest.cloned());
            change.add_to(&mut changes);
            let is_new = before.is_none();
            outcomes.push(if is_new { RowOutcome::Created } else { RowOutcome::Updated });
        }
        Decided { outcomes, changes, let_go }
    }
}

fn is_waiting<S: Subject>(one: &S) -> bool {
    one.as_guest().is_some_and(|guest| guest.state == GuestState::PendingApproval)
}

#[cfg(test)]
mod tests;
