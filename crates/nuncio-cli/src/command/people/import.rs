//! Imports a file, a part at a time.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use nuncio_api::client::Clients;
use nuncio_api::v1::{ImportOptions, ImportSummary, RejectedRow, RowViolation};
use prost_types::FieldMask;

use super::Person;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::globals::Format;
use crate::output::{Line, Tone};
use crate::rows::reader::{FileRow, RowReader};
use crate::rows::rejected::RejectedFile;
use crate::run::Context;

/// How many rows a call has: so few that its answer holds all that are refused, and shows progress.
const CALL_ROWS: usize = 5000;
/// How many refused rows are told on the terminal.
const TOLD_ROWS: usize = 20;
/// How many refused rows are told in JSON.
const JSON_ROWS: usize = 1000;

/// What `import` was told.
pub(crate) struct Import {
    pub(crate) file: PathBuf,
    pub(crate) rejected: Option<PathBuf>,
    pub(crate) time_zone: Option<TimeZone>,
    pub(crate) validate_only: bool,
}

/// An import under way.
struct Progress {
    fields: Vec<String>,
    validate_only: bool,
    /// The line of each id, by a digest of the id.
    seen: HashMap<u64, u64>,
    digest: RandomState,
    rejected: Option<RejectedFile>,
    summary: ImportSummary,
}

/// Imports a file. Rows that were refused are told, and make the command fail.
pub(crate) async fn run<P: Person>(
    context: &mut Context<'_>,
    import: Import,
) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let (input, size) = open(&import.file)?;
    let zone = import.time_zone;
    let mut reader = blocking(move || RowReader::<P>::open(input, zone)).await?;
    let head = reader.head.clone();
    let rejected = import.rejected.as_deref().map(|path| RejectedFile::create(path, &head));
    let mut progress = Progress {
        fields: head.fields(),
        validate_only: import.validate_only,
        seen: HashMap::new(),
        digest: RandomState::new(),
        rejected: rejected.transpose()?,
        summary: ImportSummary::default(),
    };
    let bar = context.out.bytes_bar(size, P::PEOPLE);
    loop {
        let part = blocking(move || {
            let rows = reader.next_rows(CALL_ROWS);
            rows.map(|rows| (rows, reader))
        });
        let (rows, next) = part.await.map_err(|failure| progress.broken_off(failure))?;
        reader = next;
        if rows.is_empty() {
            break;
        }
        let sent = progress.send(&mut clients, rows, &reader).await;
        sent.map_err(|failure| progress.broken_off(failure))?;
        bar.set_position(reader.position());
    }
    bar.finish_and_clear();
    if let Some(rejected) = progress.rejected.take() {
        rejected.finish()?;
    }
    tell::<P>(context, &progress, import.rejected.as_deref())
}

/// Reading may wait, for example for whoever fills the pipe.
pub(super) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let read = tokio::task::spawn_blocking(read).await;
    read.expect("reading does not panic, and nobody aborts it")
}

/// The file and its size; that of the standard input is not known.
pub(super) fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let unreadable = |source| Failure::File { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|found| found.len());
    Ok((Box::new(file), size))
}

impl Progress {
    /// Sends what can be sent, and notes all that is refused.
    async fn send<P: Person>(
        &mut self,
        clients: &mut Clients,
        mut rows: Vec<FileRow<P>>,
        reader: &RowReader<P>,
    ) -> Result<(), Failure> {
        for row in &mut rows {
            self.note_repetition(row);
        }
        let of = |row: &FileRow<P>| (number(row.line), row.person.clone());
        let (good, bad): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.problems.is_empty());
        let good: Vec<_> = good.into_iter().map(of).collect();
        let bad: Vec<_> = bad.into_iter().map(of).collect();
        let done = P::import(clients, self.options(self.validate_only), good).await?;
        self.summary.created_count += done.created_count;
        self.summary.updated_count += done.updated_count;
        self.summary.unchanged_count += done.unchanged_count;
        self.summary.rejected_count += done.rejected_count + number(count(&bad));
        let mut refused = by_line(done.rejected_rows);
        if !bad.is_empty() {
            // What else is wrong with rows that cannot be sent is asked, but nothing of them is stored.
            let asked = P::import(clients, self.options(true), bad).await?;
            refused.extend(by_line(asked.rejected_rows));
        }
        for row in &rows {
            let told = refused.remove(&number(row.line)).unwrap_or_default();
            if row.problems.is_empty() && told.is_empty() {
                continue;
            }
            let mut problems = row.problems.clone();
            for RowViolation { field, description } in told {
                if problems.iter().all(|(known, _)| *known != field && known != "row") {
                    problems.push((field, description));
                }
            }
            if let Some(file) = &mut self.rejected {
                file.add(&reader.head, &row.raw, &problems)?;
            }
            self.keep_some(row, problems);
        }
        Ok(())
    }

    fn options(&self, validate_only: bool) -> ImportOptions {
        ImportOptions {
            update_mask: Some(FieldMask { paths: self.fields.clone() }),
            validate_only,
            max_rejected_rows: i32::try_from(CALL_ROWS).expect("it is a small number"),
        }
    }

    /// The server knows only the rows of one call.
    fn note_repetition<P: Person>(&mut self, row: &mut FileRow<P>) {
        if row.problems.iter().any(|(field, _)| field == "row") {
            return;
        }
        let first = *self.seen.entry(self.digest.hash_one(row.person.name())).or_insert(row.line);
        if first != row.line && !row.person.id().is_empty() {
            let problem = format!("`{}` stands in line {first} already", row.person.id());
            row.problems.push(("id".to_owned(), problem));
        }
    }

    /// Keeps the first refused rows for the answer.
    fn keep_some<P: Person>(&mut self, row: &FileRow<P>, problems: Vec<(String, String)>) {
        if self.summary.rejected_rows.len() < JSON_ROWS {
            let violation = |(field, description)| RowViolation { field, description };
            self.summary.rejected_rows.push(RejectedRow {
                row: number(row.line),
                name: row.person.name().to_owned(),
                violations: problems.into_iter().map(violation).collect(),
            });
        }
    }

    /// The failure of an import that broke off, with what was done until then.
    fn broken_off(&self, failure: Failure) -> Failure {
        let done = self.summary.created_count
            + self.summary.updated_count
            + self.summary.unchanged_count
            + self.summary.rejected_count;
        if done == 0 {
            return failure;
        }
        Failure::BrokenOff { done, failure: Box::new(failure) }
    }
}

fn by_line(rows: Vec<RejectedRow>) -> HashMap<i64, Vec<RowViolation>> {
    rows.into_iter().map(|row| (row.row, row.violations)).collect()
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

fn tell<P: Person>(
    context: &mut Context<'_>,
    progress: &Progress,
    file: Option<&Path>,
) -> Result<Exit, Failure> {
    let summary = &progress.summary;
    let rejected = summary.rejected_count;
    match context.out.format() {
        Format::Json => context.out.message(summary)?,
        Format::Table => {
            for row in summary.rejected_rows.iter().take(TOLD_ROWS) {
                for RowViolation { field, description } in &row.violations {
                    let line = Line::new().push(Tone::Bad, format!("line {}: ", row.row));
                    let line = line.push(Tone::Strong, field);
                    context.out.note(line.plain(format!(": {description}")))?;
                }
            }
            let told = i64::try_from(TOLD_ROWS).unwrap_or_default();
            if told < rejected {
                context.out.note(format!("and {} more rejected rows", rejected - told))?;
            }
            let what = if progress.validate_only { "checked, nothing stored" } else { "imported" };
            context.out.line(format!(
                "{} {what}: {} created, {} updated, {} unchanged, {rejected} rejected",
                P::PEOPLE,
                summary.created_count,
                summary.updated_count,
                summary.unchanged_count,
            ))?;
            match file {
                _ if rejected == 0 => {}
                Some(file) => context.out.note(format!(
                    "correct the rejected rows in {} and import it",
                    file.display()
                ))?,
                None => {
                    let hint = "add `--rejected FILE` to get the rejected rows in a file";
                    context.out.note(hint)?;
                }
            }
        }
    }
    Ok(if rejected == 0 { Exit::Ok } else { Exit::Invalid })
}
