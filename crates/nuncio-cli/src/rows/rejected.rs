//! The refused rows of an import, as a file that can be corrected and imported again.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use super::reader::{Head, PROBLEMS};
use crate::failure::Failure;

/// Writes refused rows. The file takes its place when all are written: until then what was there stays, so
/// that it may be the file which is imported.
pub(crate) struct RejectedFile {
    csv: csv::Writer<BufWriter<File>>,
    path: PathBuf,
    fresh: PathBuf,
}

impl RejectedFile {
    pub(crate) fn create(path: &Path, head: &Head) -> Result<Self, Failure> {
        let fresh = path.with_added_extension("part");
        let file = File::create(&fresh).map_err(|source| not_written(path, source))?;
        let csv = csv::WriterBuilder::new()
            .delimiter(head.delimiter)
            .flexible(true)
            .from_writer(BufWriter::new(file));
        let mut rejected = Self { csv, path: path.to_owned(), fresh };
        rejected.write(head, &head.raw, PROBLEMS)?;
        Ok(rejected)
    }

    /// Adds a row as it was in the file, and why it was refused.
    pub(crate) fn add(
        &mut self,
        head: &Head,
        raw: &ByteRecord,
        problems: &[(String, String)],
    ) -> Result<(), Failure> {
        let problems: Vec<_> =
            problems.iter().map(|(field, problem)| format!("{field}: {problem}")).collect();
        self.write(head, raw, &problems.join("; "))
    }

    /// Puts the file in its place.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.csv.flush().map_err(|source| not_written(&self.path, source))?;
        std::fs::rename(&self.fresh, &self.path).map_err(|source| not_written(&self.path, source))
    }

    fn write(&mut self, head: &Head, raw: &ByteRecord, problems: &str) -> Result<(), Failure> {
        let columns = head.without_problems(&head.raw).count();
        // A row that is too short gets empty cells, so that the problems stand in their column.
        let missing = columns.saturating_sub(head.without_problems(raw).count());
        let empty = std::iter::repeat_n(&b""[..], missing);
        let cells = head.without_problems(raw).chain(empty).chain([problems.as_bytes()]);
        self.csv.write_record(cells).map_err(|error| not_written(&self.path, error.into()))
    }
}

fn not_written(path: &Path, source: std::io::Error) -> Failure {
    Failure::Written { path: path.to_owned(), source }
}
