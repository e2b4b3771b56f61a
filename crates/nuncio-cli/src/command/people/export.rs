//! Writes guests or users as a file that `import` reads.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::Person;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::globals::Format;
use crate::rows::columns::ID;
use crate::run::Context;

/// The most that a page has.
const PAGE_SIZE: i32 = 1000;

/// Writes all that fit to a file, or to the standard output.
pub(crate) async fn run<P: Person>(
    context: &mut Context<'_>,
    filter: P::Filter,
    to: Option<PathBuf>,
) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let mut sink = match &to {
        Some(path) => {
            let fresh = path.with_added_extension("part");
            let written = |source| Failure::Written { path: path.clone(), source };
            Some((BufWriter::new(File::create(&fresh).map_err(written)?), fresh))
        }
        None => None,
    };
    let spinner = context.out.spinner();
    let (mut page_token, mut count, mut is_first) = (String::new(), 0_u64, true);
    loop {
        let (people, next) = P::list(&mut clients, filter.clone(), PAGE_SIZE, page_token).await?;
        count += u64::try_from(people.len()).unwrap_or_default();
        let part = lines(&people, is_first)?;
        is_first = false;
        match (&mut sink, &to) {
            (Some((file, _)), Some(path)) => file
                .write_all(&part)
                .map_err(|source| Failure::Written { path: path.clone(), source })?,
            (_, _) => context.out.raw(&part)?,
        }
        spinner.set_message(format!("{count} {}", P::PEOPLE));
        if next.is_empty() {
            break;
        }
        page_token = next;
    }
    spinner.finish_and_clear();
    if let (Some((mut file, fresh)), Some(path)) = (sink, to) {
        let placed = file.flush().and_then(|()| std::fs::rename(&fresh, &path));
        placed.map_err(|source| Failure::Written { path, source })?;
    }
    if context.out.format() == Format::Table {
        context.out.note(format!("{count} {} exported", P::PEOPLE))?;
    }
    Ok(Exit::Ok)
}

/// Lines of a file, and its head before them.
fn lines<P: Person>(people: &[P], with_head: bool) -> io::Result<Vec<u8>> {
    let columns = || [ID].into_iter().chain(P::COLUMNS.iter().copied());
    let mut csv = csv::Writer::from_writer(Vec::new());
    if with_head {
        csv.write_record(columns())?;
    }
    for person in people {
        csv.write_record(columns().map(|column| person.cell(column)))?;
    }
    csv.into_inner().map_err(csv::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests;
