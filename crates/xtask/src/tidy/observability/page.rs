//! The tables of docs/OBSERVABILITY.md.

use std::collections::BTreeSet;

use super::{PAGE, Seen, Told};

/// A row of a table.
struct Row {
    line: usize,
    /// The headings that it stands under: of level two, and of level three or nothing.
    section: String,
    part: String,
    cells: Vec<String>,
}

pub(super) struct Page(Vec<Row>);

impl Page {
    pub(super) fn read(text: &str) -> Self {
        let (mut rows, mut section, mut part) = (Vec::new(), String::new(), String::new());
        for (index, line) in text.lines().enumerate() {
            if let Some(heading) = line.strip_prefix("## ") {
                heading.clone_into(&mut section);
                part.clear();
            } else if let Some(heading) = line.strip_prefix("### ") {
                heading.clone_into(&mut part);
            } else if line.starts_with("| ") {
                let (section, part) = (section.clone(), part.clone());
                rows.push(Row { line: index + 1, section, part, cells: cells(line) });
            }
        }
        Self(rows)
    }

    pub(super) fn spans(&self) -> Seen {
        self.names("Spans", "", Some(2))
    }

    pub(super) fn notes(&self) -> Seen {
        self.names("Spans", "Events of spans", None)
    }

    pub(super) fn alerts(&self) -> Seen {
        self.names("Alerts", "", None)
    }

    pub(super) fn metrics(&self) -> BTreeSet<String> {
        self.names("Metrics", "", None).into_keys().map(|(name, _)| name).collect()
    }

    pub(super) fn logged(&self) -> Seen {
        let mut seen = Seen::new();
        for row in self.0.iter().filter(|row| row.section == "Log events") {
            let [level, message, fields, ..] = row.cells.as_slice() else { continue };
            let Some(message) = code(message).into_iter().next() else { continue };
            let told = Told { place: row.place(), details: code(fields).into_iter().collect() };
            seen.insert((row.part.clone(), format!("{level} `{message}`")), told);
        }
        seen
    }

    /// What the first cells of a table name, with what the cell `details` of each row names.
    fn names(&self, section: &str, part: &str, details: Option<usize>) -> Seen {
        let mut seen = Seen::new();
        for row in self.0.iter().filter(|row| row.section == section && row.part == part) {
            let Some(name) = row.cells.first().and_then(|cell| code(cell).into_iter().next())
            else {
                continue;
            };
            let named = details.and_then(|cell| row.cells.get(cell));
            let details = named.map(|cell| code(cell).into_iter().collect()).unwrap_or_default();
            seen.insert((name, String::new()), Told { place: row.place(), details });
        }
        seen
    }
}

impl Row {
    fn place(&self) -> String {
        format!("{PAGE}:{}", self.line)
    }
}

/// The cells of a row; a bar in one is written `\|`.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{0}");
    line.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// What stands in backticks, single or double.
fn code(cell: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = cell;
    while let Some(start) = rest.find('`') {
        let fence = if rest[start..].starts_with("``") { "``" } else { "`" };
        let from = start + fence.len();
        let Some(length) = rest[from..].find(fence) else { break };
        found.push(rest[from..from + length].trim().to_owned());
        rest = &rest[from + length + fence.len()..];
    }
    found
}
