//! The only place that prints.
//!
//! Results go to the standard output; what only accompanies them, such as notes, progress and errors,
//! goes to the standard error. Text that comes from elsewhere loses its control characters, so that no
//! mail server can steer the terminal.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use prost::Name;
use serde_json::Value;

use crate::environment::Environment;
use crate::globals::{Color, Format, Globals};
use crate::output::json::JsonMapping;

pub(crate) mod json;
mod line;
mod table;

pub use line::{Line, Tone};
pub use table::{Cell, Table};

/// How often a spinner moves.
const SPINNER_TICK: std::time::Duration = std::time::Duration::from_millis(100);

/// Where a command prints, and how.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    format: Format,
    out_style: Style,
    err_style: Style,
    json: JsonMapping,
}

/// What a stream can show.
#[derive(Clone, Copy, Debug, Default)]
struct Style {
    colors: bool,
    terminal: bool,
}

impl Style {
    fn new(color: Color, environment: &Environment, terminal: bool) -> Self {
        let colors = match color {
            Color::Auto => terminal && !environment.no_color,
            Color::Always => true,
            Color::Never => false,
        };
        Self { colors, terminal }
    }
}

impl Output {
    /// Prints to the standard output and the standard error of the process.
    pub fn standard(globals: &Globals, environment: &Environment) -> Self {
        let style = |terminal| Style::new(globals.color, environment, terminal);
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            format: globals.output,
            out_style: style(io::stdout().is_terminal()),
            err_style: style(io::stderr().is_terminal()),
            json: JsonMapping::new(),
        }
    }

    /// Prints somewhere else, which is no terminal.
    pub fn to(
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
        globals: &Globals,
    ) -> Self {
        let style = Style::new(globals.color, &Environment::default(), false);
        Self {
            out: Box::new(out),
            err: Box::new(err),
            format: globals.output,
            out_style: style,
            err_style: style,
            json: JsonMapping::new(),
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// A line of the result, for people.
    pub fn line(&mut self, line: impl Into<Line>) -> io::Result<()> {
        writeln!(self.out, "{}", line.into().render(self.out_style.colors))?;
        self.out.flush()
    }

    /// A table of the result, for people.
    pub fn table(&mut self, table: &Table) -> io::Result<()> {
        let Style { colors, terminal } = self.out_style;
        writeln!(self.out, "{}", table.render(colors, terminal))?;
        self.out.flush()
    }

    /// A message of the API, for programs, on lines of its own.
    pub(crate) fn message<M: Name>(&mut self, message: &M) -> io::Result<()> {
        let value = self.json.of(message)?;
        self.value(&value)
    }

    /// A message of the API, for programs, on one line.
    pub(crate) fn message_line<M: Name>(&mut self, message: &M) -> io::Result<()> {
        writeln!(self.out, "{}", self.json.of(message)?)?;
        self.out.flush()
    }

    /// Something that is no message of the API, for programs.
    pub(crate) fn value(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.out, "{value:#}")?;
        self.out.flush()
    }

    /// Text of the result, as it is.
    pub(crate) fn raw(&mut self, text: &[u8]) -> io::Result<()> {
        self.out.write_all(text)?;
        self.out.flush()
    }

    /// A line that accompanies the result.
    pub fn note(&mut self, line: impl Into<Line>) -> io::Result<()> {
        writeln!(self.err, "{}", line.into().render(self.err_style.colors))?;
        self.err.flush()
    }

    /// An error for programs.
    pub(crate) fn error_value(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.err, "{value}")?;
        self.err.flush()
    }

    /// A bar that fills up, on a terminal only.
    pub(crate) fn bar(&self, total: u64, what: &'static str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total), self.draw_target());
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {per_sec}");
        bar.set_style(style.expect("the template is right").progress_chars("=> "));
        bar.set_message(what);
        bar
    }

    /// A sign that something goes on, on a terminal only.
    pub(crate) fn spinner(&self) -> ProgressBar {
        let spinner = ProgressBar::with_draw_target(None, self.draw_target());
        if !spinner.is_hidden() {
            spinner.enable_steady_tick(SPINNER_TICK);
        }
        spinner
    }

    fn draw_target(&self) -> ProgressDrawTarget {
        if self.err_style.terminal && self.format == Format::Table {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        }
    }
}

#[cfg(test)]
mod tests;
