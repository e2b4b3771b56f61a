//! Imports: rows of a stream, in batches.

use std::collections::HashMap;
use std::collections::hash_map::{Entry as Place, RandomState};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use nuncio_api::convert::field_mask::Mask;
use nuncio_api::error::{invalid, status, unavailable};
use nuncio_api::v1;
use nuncio_core::directory::guest::Guest;
use nuncio_core::directory::user::User;
use nuncio_core::violation::{Violation, Violations};
use nuncio_directory::batch::{Batch, ROWS_MAX, RowOutcome};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tonic::{Code, Status};
use tracing::info;

use super::errors::not_read;
use super::person::Person;
use super::{DirectoryApi, IMPORTS_MAX};

/// The most rows of one call: of each the row's number and a digest of the id are kept.
pub(super) const ROWS_OF_CALL_MAX: usize = 1_000_000;
/// How many refused rows are told where the caller says nothing.
const REJECTED: usize = 1000;
/// The most refused rows that are told.
const REJECTED_MAX: usize = 10_000;
/// The most violations that are told of a row.
const VIOLATIONS_MAX: usize = 20;
/// How long an import waits for the next message.
const MESSAGE_TIMEOUT: Duration = Duration::from_mins(1);
/// When a client may try again while the node is draining.
const DRAINING_RETRY: Duration = Duration::from_secs(2);
/// The most characters of a name that is none which are told.
pub(super) const NAME_CHARS_MAX: usize = 160;

/// A message of an import.
pub(super) trait ImportMessage<P: Person>: Send {
    fn take_apart(self) -> (Option<v1::ImportOptions>, Vec<Row<P>>);
}

/// A row of an import.
pub(super) struct Row<P: Person> {
    number: i64,
    given: P::Message,
}

/// What is known of an import under way.
struct Import<P: Person> {
    mask: Mask,
    validate_only: bool,
    rejected_max: usize,
    /// The number of the row of each id, by a digest of the id.
    seen: HashMap<u64, i64>,
    digest: RandomState,
    waiting: Vec<(P::Id, Row<P>)>,
    summary: v1::ImportSummary,
}

impl DirectoryApi {
    pub(super) async fn import<P: Person, M: ImportMessage<P>>(
        &self,
        messages: impl Stream<Item = Result<M, Status>> + Send,
    ) -> Result<v1::ImportSummary, Status> {
        let _place = self.place()?;
        let mut messages = std::pin::pin!(messages);
        let mut import: Option<Import<P>> = None;
        while let Some(message) = self.next(&mut messages).await? {
            let (options, rows) = message.take_apart();
            let import = match (&mut import, options) {
                (Some(import), None) => import,
                (import @ None, Some(options)) => import.insert(Import::begin(options)?),
                (None, None) => return Err(misplaced("are missing in the first message")),
                (Some(_), Some(_)) => return Err(misplaced("stand in a later message again")),
            };
            for row in rows {
                import.add(row)?;
                if import.waiting.len() == ROWS_MAX {
                    self.write(import).await?;
                }
            }
        }
        let mut import = import.ok_or_else(|| misplaced("are missing"))?;
        self.write(&mut import).await?;
        Ok(import.end())
    }

    /// A place among the imports of this node, as long as it is held.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.imports).try_acquire_owned().map_err(|_| {
            let message = format!("{IMPORTS_MAX} imports run on this node; wait for one to end");
            status(Code::ResourceExhausted, "TOO_MANY_IMPORTS", message, [])
        })
    }

    /// The next message, unless the node stops or none comes in time.
    pub(super) async fn next<M>(
        &self,
        messages: &mut (impl Stream<Item = Result<M, Status>> + Unpin + Send),
    ) -> Result<Option<M>, Status> {
        let next = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return Err(draining()),
            next = timeout(MESSAGE_TIMEOUT, messages.next()) => next.map_err(|_| stalled())?,
        };
        next.transpose()
    }

    async fn write<P: Person>(&self, import: &mut Import<P>) -> Result<(), Status> {
        let (ids, rows): (Vec<_>, Vec<_>) = std::mem::take(&mut import.waiting).into_iter().unzip();
        let now = self.clock.now();
        let (mask, validate_only) = (&import.mask, import.validate_only);
        let make = |index: usize, before: Option<&P>| {
            let row: &Row<P> = &rows[index];
            P::updated(row.given.clone(), mask, ids[index].clone(), before, now)
        };
        let batch = Batch { ids: &ids, make: &make, now, validate_only };
        let outcomes = self.directory.write_batch(&batch).await.map_err(not_read)?;
        for (row, outcome) in rows.iter().zip(outcomes) {
            let summary = &mut import.summary;
            match outcome {
                RowOutcome::Created => summary.created_count += 1,
                RowOutcome::Updated => summary.updated_count += 1,
                RowOutcome::Unchanged => summary.unchanged_count += 1,
                RowOutcome::Rejected(violations) => import.reject(row, violations),
            }
        }
        Ok(())
    }
}

impl<P: Person> Import<P> {
    fn begin(options: v1::ImportOptions) -> Result<Self, Status> {
        let v1::ImportOptions { update_mask, validate_only, max_rejected_rows } = options;
        let mut violations = Violations::default();
        let mask = match Mask::read::<P::Message>(&mut violations, update_mask) {
            Mask::Given => Mask::All,
            mask @ (Mask::All | Mask::Only(_)) => mask,
        };
        let rejected_max = told_max(&mut violations, "max_rejected_rows", max_rejected_rows);
        let begin = || Self {
            mask,
            validate_only,
            rejected_max,
            seen: HashMap::new(),
            digest: RandomState::new(),
            waiting: Vec::with_capacity(ROWS_MAX),
            summary: v1::ImportSummary::default(),
        };
        violations.none_or(begin).map_err(|violations| {
            let message = "the options of the import are not valid";
            invalid("INVALID_IMPORT", message, violations.under("options."))
        })
    }

    /// Lets a row wait for its batch, unless its name says already that it is refused.
    fn add(&mut self, row: Row<P>) -> Result<(), Status> {
        if self.seen.len() == ROWS_OF_CALL_MAX {
            let message = format!("more than {ROWS_OF_CALL_MAX} rows; make several calls");
            return Err(status(Code::InvalidArgument, "TOO_MANY_ROWS", message, []));
        }
        let mut violations = Violations::default();
        let name = P::name_of(&row.given);
        if let Some(id) = violations.check("name", P::id_of(name)) {
            match self.seen.entry(self.digest.hash_one(P::id_text(&id))) {
                Place::Vacant(place) => {
                    place.insert(row.number);
                    self.waiting.push((id, row));
                    return Ok(());
                }
                Place::Occupied(first) => {
                    let problem = format!(
                        "stands in row {} already; give each {} once",
                        first.get(),
                        P::NOUN
                    );
                    violations.add("name", problem);
                }
            }
        }
        self.reject(&row, violations);
        Ok(())
    }

    fn reject(&mut self, row: &Row<P>, violations: Violations) {
        self.summary.rejected_count += 1;
        if self.rejected_max <= self.summary.rejected_rows.len() {
            return;
        }
        let name = P::name_of(&row.given).chars().take(NAME_CHARS_MAX).collect();
        let told = |Violation { field, fault: _, problem }| v1::RowViolation {
            field,
            description: problem,
        };
        let violations = violations.into_iter().take(VIOLATIONS_MAX).map(told).collect();
        self.summary.rejected_rows.push(v1::RejectedRow { row: row.number, name, violations });
    }

    fn end(mut self) -> v1::ImportSummary {
        // Rows whose name says it are refused before those that wait with them for their batch.
        self.summary.rejected_rows.sort_by_key(|rejected| rejected.row);
        if !self.validate_only {
            info!(
                created = self.summary.created_count,
                updated = self.summary.updated_count,
                unchanged = self.summary.unchanged_count,
                rejected = self.summary.rejected_count,
                "{}s were imported",
                P::NOUN
            );
        }
        self.summary
    }
}

impl ImportMessage<Guest> for v1::ImportGuestsRequest {
    fn take_apart(self) -> (Option<v1::ImportOptions>, Vec<Row<Guest>>) {
        let row =
            |row: v1::ImportGuestRow| Row { number: row.row, given: row.guest.unwrap_or_default() };
        (self.options, self.rows.into_iter().map(row).collect())
    }
}

impl ImportMessage<User> for v1::ImportUsersRequest {
    fn take_apart(self) -> (Option<v1::ImportOptions>, Vec<Row<User>>) {
        let row =
            |row: v1::ImportUserRow| Row { number: row.row, given: row.user.unwrap_or_default() };
        (self.options, self.rows.into_iter().map(row).collect())
    }
}

/// How many rows an answer tells.
pub(super) fn told_max(violations: &mut Violations, field: &str, given: i32) -> usize {
    match usize::try_from(given) {
        Ok(0) => REJECTED,
        Ok(count) => count.min(REJECTED_MAX),
        Err(_) => {
            violations.add(field, "is negative; leave it out");
            0
        }
    }
}

fn misplaced(problem: &str) -> Status {
    let mut violations = Violations::default();
    violations.add("options", format!("{problem}; give them in the first message only"));
    invalid("INVALID_IMPORT", "the options of the import are misplaced", violations)
}

fn stalled() -> Status {
    let message = "no message came for a minute; what was written stays, repeat the import";
    status(Code::DeadlineExceeded, "IMPORT_STALLED", message, [])
}

fn draining() -> Status {
    let message = "the node is stopping; what was written stays, repeat the import on another";
    unavailable("NODE_DRAINING", message, DRAINING_RETRY)
}
