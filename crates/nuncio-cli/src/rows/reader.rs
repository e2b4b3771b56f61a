//! Reads a file row by row, with no more than a part of it in memory.

use std::io::{self, Cursor, Read};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::ByteRecord;
use jiff::tz::TimeZone;

use super::columns::{Columns, ID};
use crate::failure::Failure;

/// The longest row and the longest head, in bytes. A quote that nobody closes makes a row of all the rest.
const ROW_BYTES_MAX: u64 = 1024 * 1024;
/// The column in which refused rows say why; whoever imports them again need not remove it.
pub(crate) const PROBLEMS: &str = "nuncio_problems";
/// What nuncio sets itself.
const OUTPUT_ONLY: [&str; 3] = ["create_time", "update_time", "etag"];

/// A file with a head.
pub(crate) struct RowReader<P> {
    csv: csv::Reader<Counted>,
    pub(crate) head: Head,
    bytes: Arc<AtomicU64>,
    row_began: Arc<AtomicU64>,
    zone: Option<TimeZone>,
    /// The crate `csv` ends a row at `\r` and counts lines by `\n`, which it leaves to the next row.
    lines_behind: u64,
    of: PhantomData<P>,
}

/// The first line of a file.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) raw: ByteRecord,
    pub(crate) delimiter: u8,
    columns: Vec<Column>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Id,
    Field(&'static str),
    Problems,
}

/// A row of a file.
pub(crate) struct FileRow<P> {
    /// Where it begins, counted from 1.
    pub(crate) line: u64,
    pub(crate) raw: ByteRecord,
    pub(crate) person: P,
    /// Columns, and what is wrong with their cells.
    pub(crate) problems: Vec<(String, String)>,
}

impl<P: Columns> RowReader<P> {
    /// Reads the head. A local time of a row without time zone is one of `zone`.
    pub(crate) fn open(
        mut input: Box<dyn Read + Send>,
        zone: Option<TimeZone>,
    ) -> Result<Self, Failure> {
        let first = first_line(&mut input)?;
        let text = without_mark(&first)?;
        let delimiter = delimiter_of(text);
        let head_end = text.iter().position(|b| *b == b'\n').unwrap_or_default();
        let lines_behind = u64::from(text[..head_end].ends_with(b"\r"));
        let bytes = Arc::new(AtomicU64::new(0));
        let row_began = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            inner: Box::new(Cursor::new(text.to_vec()).chain(input)),
            bytes: Arc::clone(&bytes),
            row_began: Arc::clone(&row_began),
        };
        let mut csv = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .has_headers(true)
            .from_reader(counted);
        let raw = csv.byte_headers().map_err(unreadable)?.clone();
        let columns = columns_of::<P>(&raw)?;
        let head = Head { raw, delimiter, columns };
        Ok(Self { csv, head, bytes, row_began, zone, lines_behind, of: PhantomData })
    }

    /// The next rows, at most so many; none at the end.
    pub(crate) fn next_rows(&mut self, max: usize) -> Result<Vec<FileRow<P>>, Failure> {
        let mut rows = Vec::with_capacity(max.min(1024));
        let mut raw = ByteRecord::new();
        while rows.len() < max {
            self.row_began.store(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
            if !self.csv.read_byte_record(&mut raw).map_err(unreadable)? {
                break;
            }
            rows.push(self.row(raw.clone()));
        }
        Ok(rows)
    }

    /// How much of the file has been read, in bytes.
    pub(crate) fn position(&self) -> u64 {
        self.csv.position().byte()
    }

    fn row(&self, raw: ByteRecord) -> FileRow<P> {
        let line = raw.position().map_or(0, csv::Position::line) + self.lines_behind;
        let mut row = FileRow { line, raw, person: P::default(), problems: Vec::new() };
        let cells: Vec<Option<&str>> =
            row.raw.iter().map(|cell| std::str::from_utf8(cell).ok()).collect();
        if cells.len() != self.head.columns.len() {
            let (cells, columns) = (cells.len(), self.head.columns.len());
            let problem = format!("has {cells} cells, but the head has {columns}");
            row.problems.push(("row".to_owned(), problem));
            return row;
        }
        let zone = self.zone_of(&cells, &mut row.problems);
        for (column, cell) in self.head.columns.iter().zip(cells) {
            let set = match (column, cell) {
                (Column::Problems, _) => Ok(()),
                (Column::Id | Column::Field(_), None) => {
                    Err("is no text in UTF-8; save the file as UTF-8".to_owned())
                }
                (Column::Id, Some(cell)) => {
                    row.person.set_id(cell.trim());
                    Ok(())
                }
                (Column::Field(field), Some(cell)) => row.person.set(field, cell, zone.as_ref()),
            };
            if let Err(problem) = set {
                row.problems.push((column.name().to_owned(), problem));
            }
        }
        if !self.head.columns.contains(&Column::Id) {
            let username = row.person.username().to_owned();
            row.person.set_id(&username);
        }
        row
    }

    /// The time zone of the row, or that of the command line.
    fn zone_of(
        &self,
        cells: &[Option<&str>],
        problems: &mut Vec<(String, String)>,
    ) -> Option<TimeZone> {
        let place = self.head.columns.iter().position(|one| *one == Column::Field("time_zone"));
        let name = place.and_then(|place| cells[place]).unwrap_or_default().trim();
        if name.is_empty() {
            return self.zone.clone();
        }
        let zone = TimeZone::get(name).ok();
        if zone.is_none() {
            let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
            let problem = format!("`{name}` is no time zone; give a name such as `Europe/Berlin`");
            problems.push(("time_zone".to_owned(), problem));
        }
        // With the time zone unknown local times are no further mistake.
        zone.or(Some(TimeZone::UTC))
    }
}

impl Head {
    /// The fields that the rows change.
    pub(crate) fn fields(&self) -> Vec<String> {
        let field = |column: &Column| match column {
            Column::Field(field) => Some((*field).to_owned()),
            Column::Id | Column::Problems => None,
        };
        self.columns.iter().filter_map(field).collect()
    }

    /// The cells of a row, or of the head, without those that say why it was refused.
    pub(crate) fn without_problems<'a>(
        &'a self,
        raw: &'a ByteRecord,
    ) -> impl Iterator<Item = &'a [u8]> {
        let problems = self.columns.iter().position(|column| *column == Column::Problems);
        raw.iter()
            .enumerate()
            .filter(move |(place, _)| Some(*place) != problems)
            .map(|(_, cell)| cell)
    }
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Id => ID,
            Self::Field(field) => field,
            Self::Problems => PROBLEMS,
        }
    }
}

/// The first line with its end, so that its delimiter can be found.
fn first_line(input: &mut impl Read) -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    let mut part = [0; 4096];
    let limit = usize::try_from(ROW_BYTES_MAX).unwrap_or(usize::MAX);
    while !line.contains(&b'\n') && line.len() < limit {
        match input.read(&mut part) {
            Ok(0) => break,
            Ok(count) => line.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error.into())),
        }
    }
    Ok(line)
}

/// What was read first, without a byte order mark, or what is wrong with its encoding.
fn without_mark(first: &[u8]) -> Result<&[u8], Failure> {
    let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
    // More than the head may have been read, and a part of a character at its end.
    let head = text.split(|b| *b == b'\n').next().unwrap_or_default();
    if first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff") || head.contains(&0) {
        let problem = "the file is no text in UTF-8; it looks like UTF-16";
        return Err(Failure::input(problem, "save it as `CSV UTF-8`"));
    }
    if std::str::from_utf8(head).is_err() {
        let problem = "the head of the file is no text in UTF-8";
        return Err(Failure::input(problem, "save the file as `CSV UTF-8`"));
    }
    if head.trim_ascii().is_empty() {
        let problem = "the file has no head with the names of its columns";
        return Err(Failure::input(problem, "let it begin with a line such as `id,email`"));
    }
    Ok(text)
}

/// Comma, semicolon or tabulator, whichever the head has most of.
fn delimiter_of(text: &[u8]) -> u8 {
    let head = text.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| head.split(|b| *b == delimiter).count();
    // The first of those with the highest count counts.
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// The columns of a head: names of fields, whatever their capitals.
fn columns_of<P: Columns>(raw: &ByteRecord) -> Result<Vec<Column>, Failure> {
    let mut columns = Vec::new();
    for cell in raw {
        let name = String::from_utf8_lossy(cell).trim().to_lowercase().replace([' ', '-'], "_");
        let field = P::COLUMNS.iter().find(|field| **field == name);
        let column = match (name.as_str(), field) {
            (ID, _) => Column::Id,
            (PROBLEMS, _) => Column::Problems,
            (_, Some(field)) => Column::Field(field),
            (_, None) => return Err(no_column::<P>(&name)),
        };
        if columns.contains(&column) {
            let problem = format!("the column `{name}` stands in the head twice");
            return Err(Failure::input(problem, "remove one of them"));
        }
        columns.push(column);
    }
    if !columns.contains(&Column::Id) && !columns.contains(&Column::Field("username")) {
        let problem = "the head has neither `id` nor `username`, so nobody can be found";
        return Err(Failure::input(problem, "add a column `id`"));
    }
    Ok(columns)
}

fn no_column<P: Columns>(name: &str) -> Failure {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    let is_secret =
        ["password", "passwd", "pwd", "secret", "pin"].iter().any(|one| name.contains(one));
    if is_secret {
        let problem =
            format!("the column `{shown}` looks like passwords, which nuncio never keeps");
        return Failure::input(problem, "remove the column from the file");
    }
    if OUTPUT_ONLY.contains(&name) {
        let problem = format!("the column `{shown}` is set by nuncio");
        return Failure::input(problem, "remove the column from the file");
    }
    let known = P::COLUMNS.join(", ");
    let problem = format!("`{shown}` is no column; there are: {ID}, {known}");
    Failure::input(problem, "rename the column in the head, or remove it")
}

fn unreadable(error: csv::Error) -> Failure {
    let line = error.position().map(csv::Position::line);
    let problem = match (error.into_kind(), line) {
        (csv::ErrorKind::Io(source), _) => format!("the file cannot be read: {source}"),
        (_, Some(line)) => format!("the file is no CSV near line {line}"),
        (_, None) => "the file is no CSV".to_owned(),
    };
    Failure::input(problem, "see that it is a file with comma-separated values (RFC 4180)")
}

/// Counts what is read, and ends a row that never ends.
struct Counted {
    inner: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
    row_began: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let began = self.row_began.load(Ordering::Relaxed);
        if began + ROW_BYTES_MAX < self.bytes.load(Ordering::Relaxed) {
            let problem = format!(
                "a row has more than {ROW_BYTES_MAX} bytes; is there a quote that is not closed?"
            );
            return Err(io::Error::other(problem));
        }
        let count = self.inner.read(buffer)?;
        self.bytes.fetch_add(u64::try_from(count).unwrap_or_default(), Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
