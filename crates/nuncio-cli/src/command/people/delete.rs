//! Removes one, or those of a file, a part at a time.

use std::path::PathBuf;

use clap::Args;
use nuncio_api::v1::{BulkDeleteOptions, BulkDeleteSummary, DeleteRow, RejectedRow, RowViolation};

use super::Person;
use super::import::{blocking, open};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::globals::Format;
use crate::output::{Line, Tone};
use crate::rows::reader::{FileRow, RowReader};
use crate::run::Context;

/// How many rows a call has: so few that its answer holds all that is to be told, and shows progress.
const CALL_ROWS: usize = 5000;
/// How many rows that are missing or wrong are told on the terminal.
const TOLD_ROWS: usize = 20;
/// How many of them are told in JSON.
const JSON_ROWS: usize = 1000;
/// What is wrong with a row that names nobody stands in one of these.
const NAMING: [&str; 2] = ["id", "row"];

/// Who is to be removed.
#[derive(Args)]
pub struct DeleteArgs {
    /// The id, or the whole name
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    id: Option<String>,
    /// Remove those of a CSV file with a column `id`, such as `export` writes; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only if nobody made a change since this etag was told
    #[arg(long, default_value = "", hide_default_value = true, conflicts_with = "file")]
    etag: String,
    /// With `--file`: only look who is there; nothing is removed
    #[arg(long, requires = "file")]
    validate_only: bool,
}

/// Removes one, or those of a file. Who is not there is told; only rows that name nobody make the command fail.
pub(crate) async fn run<P: Person>(
    context: &mut Context<'_>,
    args: DeleteArgs,
) -> Result<Exit, Failure> {
    let DeleteArgs { id, file, etag, validate_only } = args;
    let Some(file) = file else {
        return super::delete::<P>(context, &id.unwrap_or_default(), etag).await;
    };
    let mut clients = context.connect().await?;
    let (input, size) = open(&file)?;
    let mut reader = blocking(move || RowReader::<P>::open(input, None)).await?;
    let bar = context.out.bytes_bar(size, P::PEOPLE);
    let max_told_rows = i32::try_from(CALL_ROWS).expect("it is a small number");
    let mut summary = BulkDeleteSummary::default();
    loop {
        let part = blocking(move || {
            let rows = reader.next_rows(CALL_ROWS);
            rows.map(|rows| (rows, reader))
        });
        let (rows, next) = part.await.map_err(|failure| broken_off(&summary, failure))?;
        reader = next;
        if rows.is_empty() {
            break;
        }
        let rows = rows.into_iter().filter_map(|row| named(&mut summary, row)).collect();
        let options = BulkDeleteOptions { validate_only, max_told_rows };
        let done = P::delete_many(&mut clients, options, rows).await;
        let done = done.map_err(|status| broken_off(&summary, status.into()))?;
        add(&mut summary, done);
        bar.set_position(reader.position());
    }
    bar.finish_and_clear();
    tell::<P>(context, &summary, validate_only)
}

/// Whom a row names. What else is wrong with it does not matter for a removal.
fn named<P: Person>(summary: &mut BulkDeleteSummary, row: FileRow<P>) -> Option<DeleteRow> {
    let line = i64::try_from(row.line).unwrap_or(i64::MAX);
    let name = row.person.name().to_owned();
    let problems = row.problems.into_iter().filter(|(column, _)| NAMING.contains(&column.as_str()));
    let violation = |(field, description)| RowViolation { field, description };
    let violations: Vec<_> = problems.map(violation).collect();
    if violations.is_empty() {
        return Some(DeleteRow { row: line, name });
    }
    summary.rejected_count += 1;
    if summary.rejected_rows.len() < JSON_ROWS {
        summary.rejected_rows.push(RejectedRow { row: line, name, violations });
    }
    None
}

fn add(summary: &mut BulkDeleteSummary, part: BulkDeleteSummary) {
    summary.deleted_count += part.deleted_count;
    summary.missing_count += part.missing_count;
    summary.rejected_count += part.rejected_count;
    let room = JSON_ROWS.saturating_sub(summary.missing_rows.len());
    summary.missing_rows.extend(part.missing_rows.into_iter().take(room));
    let room = JSON_ROWS.saturating_sub(summary.rejected_rows.len());
    summary.rejected_rows.extend(part.rejected_rows.into_iter().take(room));
}

/// The failure of a removal that broke off, with what was done until then.
fn broken_off(summary: &BulkDeleteSummary, failure: Failure) -> Failure {
    let done = summary.deleted_count + summary.missing_count + summary.rejected_count;
    if done == 0 {
        return failure;
    }
    Failure::BrokenOff { done, failure: Box::new(failure) }
}

fn tell<P: Person>(
    context: &mut Context<'_>,
    summary: &BulkDeleteSummary,
    validate_only: bool,
) -> Result<Exit, Failure> {
    match context.out.format() {
        Format::Json => context.out.message(summary)?,
        Format::Table => {
            for DeleteRow { row, name } in summary.missing_rows.iter().take(TOLD_ROWS) {
                let line = Line::new().push(Tone::Strong, format!("line {row}: "));
                context.out.note(line.plain(format!("{name} does not exist")))?;
            }
            for row in summary.rejected_rows.iter().take(TOLD_ROWS) {
                for RowViolation { field, description } in &row.violations {
                    let line = Line::new().push(Tone::Bad, format!("line {}: ", row.row));
                    let line = line.push(Tone::Strong, field);
                    context.out.note(line.plain(format!(": {description}")))?;
                }
            }
            let (what, there) =
                if validate_only { ("checked", "there") } else { ("done", "removed") };
            context.out.line(format!(
                "{} {what}: {} {there}, {} not there, {} rejected",
                P::PEOPLE,
                summary.deleted_count,
                summary.missing_count,
                summary.rejected_count,
            ))?;
        }
    }
    Ok(if summary.rejected_count == 0 { Exit::Ok } else { Exit::Invalid })
}
