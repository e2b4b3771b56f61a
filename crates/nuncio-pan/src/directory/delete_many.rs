//! Removals of many: names of a stream, in batches.

use std::collections::HashSet;

use futures::Stream;
use nuncio_api::error::{invalid, status};
use nuncio_api::v1;
use nuncio_core::directory::guest::Guest;
use nuncio_core::directory::user::User;
use nuncio_core::violation::{Violation, Violations};
use nuncio_directory::batch::ROWS_MAX;
use tonic::{Code, Status};
use tracing::info;

use super::DirectoryApi;
use super::errors::not_read;
use super::import::{NAME_CHARS_MAX, ROWS_OF_CALL_MAX, told_max};
use super::person::Person;

/// A message of a removal of many.
pub(super) trait DeleteMessage<P: Person>: Send {
    fn take_apart(self) -> (Option<v1::BulkDeleteOptions>, Vec<v1::DeleteRow>);
}

/// What is known of a removal under way.
struct Removal<P: Person> {
    validate_only: bool,
    told_max: usize,
    rows: usize,
    waiting: Vec<(P::Id, v1::DeleteRow)>,
    /// The names of those that wait: a batch has each once.
    names: HashSet<String>,
    summary: v1::BulkDeleteSummary,
}

impl DirectoryApi {
    pub(super) async fn delete_many<P: Person, M: DeleteMessage<P>>(
        &self,
        messages: impl Stream<Item = Result<M, Status>> + Send,
    ) -> Result<v1::BulkDeleteSummary, Status> {
        let _place = self.place()?;
        let mut messages = std::pin::pin!(messages);
        let mut removal: Option<Removal<P>> = None;
        while let Some(message) = self.next(&mut messages).await? {
            let (options, rows) = message.take_apart();
            let removal = match (&mut removal, options) {
                (Some(removal), None) => removal,
                (removal @ None, Some(options)) => removal.insert(Removal::begin(options)?),
                (None, None) => return Err(misplaced("are missing in the first message")),
                (Some(_), Some(_)) => return Err(misplaced("stand in a later message again")),
            };
            for row in rows {
                removal.count()?;
                let Some(id) = removal.id_of(&row) else { continue };
                if removal.waiting.len() == ROWS_MAX || removal.names.contains(&row.name) {
                    self.remove(removal).await?;
                }
                removal.names.insert(row.name.clone());
                removal.waiting.push((id, row));
            }
        }
        let mut removal = removal.ok_or_else(|| misplaced("are missing"))?;
        self.remove(&mut removal).await?;
        if !removal.validate_only {
            info!(
                deleted = removal.summary.deleted_count,
                missing = removal.summary.missing_count,
                rejected = removal.summary.rejected_count,
                "{}s were removed",
                P::NOUN
            );
        }
        Ok(removal.summary)
    }

    /// Removes those that wait.
    async fn remove<P: Person>(&self, removal: &mut Removal<P>) -> Result<(), Status> {
        removal.names.clear();
        let (ids, rows): (Vec<_>, Vec<_>) =
            std::mem::take(&mut removal.waiting).into_iter().unzip();
        let now = self.clock.now();
        let there = self.directory.remove_batch::<P>(&ids, now, removal.validate_only).await;
        for (row, was_there) in rows.into_iter().zip(there.map_err(not_read)?) {
            let summary = &mut removal.summary;
            if was_there {
                summary.deleted_count += 1;
                continue;
            }
            summary.missing_count += 1;
            if summary.missing_rows.len() < removal.told_max {
                summary.missing_rows.push(row);
            }
        }
        Ok(())
    }
}

impl<P: Person> Removal<P> {
    fn begin(options: v1::BulkDeleteOptions) -> Result<Self, Status> {
        let v1::BulkDeleteOptions { validate_only, max_told_rows } = options;
        let mut violations = Violations::default();
        let told_max = told_max(&mut violations, "max_told_rows", max_told_rows);
        let begin = || Self {
            validate_only,
            told_max,
            rows: 0,
            waiting: Vec::with_capacity(ROWS_MAX),
            names: HashSet::new(),
            summary: v1::BulkDeleteSummary::default(),
        };
        violations.none_or(begin).map_err(|violations| {
            let message = "the options of the removal are not valid";
            invalid("INVALID_BULK_DELETE", message, violations.under("options."))
        })
    }

    fn count(&mut self) -> Result<(), Status> {
        if self.rows == ROWS_OF_CALL_MAX {
            let message = format!("more than {ROWS_OF_CALL_MAX} rows; make several calls");
            return Err(status(Code::InvalidArgument, "TOO_MANY_ROWS", message, []));
        }
        self.rows += 1;
        Ok(())
    }

    /// Whom a row names; a row that names nobody is told.
    fn id_of(&mut self, row: &v1::DeleteRow) -> Option<P::Id> {
        let mut violations = Violations::default();
        let id = violations.check("name", P::id_of(&row.name));
        if id.is_none() {
            self.summary.rejected_count += 1;
        }
        if id.is_none() && self.summary.rejected_rows.len() < self.told_max {
            let told = |Violation { field, fault: _, problem }| v1::RowViolation {
                field,
                description: problem,
            };
            self.summary.rejected_rows.push(v1::RejectedRow {
                row: row.row,
                name: row.name.chars().take(NAME_CHARS_MAX).collect(),
                violations: violations.into_iter().map(told).collect(),
            });
        }
        id
    }
}

impl DeleteMessage<Guest> for v1::DeleteGuestsRequest {
    fn take_apart(self) -> (Option<v1::BulkDeleteOptions>, Vec<v1::DeleteRow>) {
        (self.options, self.rows)
    }
}

impl DeleteMessage<User> for v1::DeleteUsersRequest {
    fn take_apart(self) -> (Option<v1::BulkDeleteOptions>, Vec<v1::DeleteRow>) {
        (self.options, self.rows)
    }
}

fn misplaced(problem: &str) -> Status {
    let mut violations = Violations::default();
    violations.add("options", format!("{problem}; give them in the first message only"));
    invalid("INVALID_BULK_DELETE", "the options of the removal are misplaced", violations)
}
