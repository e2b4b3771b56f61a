//! Tables for people.

use comfy_table::{Attribute, Color, ContentArrangement, TableStyle};

use crate::output::line::{Tone, clean};

/// A table, or with an empty head a list of names and values.
#[derive(Clone, Debug, Default)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// A cell and what it means.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub fn toned(tone: Tone, text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()), tone }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(Tone::Plain, text)
    }
}

impl Table {
    pub fn with_head(head: impl IntoIterator<Item = &'static str>) -> Self {
        Self { head: head.into_iter().collect(), rows: Vec::new() }
    }

    /// A list of names and values.
    pub fn list() -> Self {
        Self::default()
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// A name and its value; without a value there is no row.
    pub fn value(&mut self, name: &'static str, value: impl Into<Cell>) {
        let value = value.into();
        if !value.text.is_empty() {
            self.row([Cell::toned(Tone::Dim, name), value]);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text. No cell is broken into lines: a name that is can't be copied.
    pub(super) fn render(&self, colors: bool) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(TableStyle::new());
        table.set_content_arrangement(ContentArrangement::Disabled);
        if colors {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if !self.head.is_empty() {
            let head = |name: &&str| paint(comfy_table::Cell::new(name), Tone::Strong, colors);
            table.set_header(self.head.iter().map(head));
        }
        for row in &self.rows {
            let cell = |cell: &Cell| paint(comfy_table::Cell::new(&cell.text), cell.tone, colors);
            table.add_row(row.iter().map(cell));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.trim_fmt()
    }
}

fn paint(cell: comfy_table::Cell, tone: Tone, colors: bool) -> comfy_table::Cell {
    if !colors {
        return cell;
    }
    match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Warning => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Dim => cell.add_attribute(Attribute::Dim),
        Tone::Strong => cell.add_attribute(Attribute::Bold),
    }
}
