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
    /// What moves on the terminal now; it steps aside while a line is printed.
    moving: ProgressBar,
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
            moving: ProgressBar::hidden(),
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
            moving: ProgressBar::hidden(),
        }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// A line of the result, for people.
    pub fn line(&mut self, line: impl Into<Line>) -> io::Result<()> {
        let line = line.into().render(self.out_style.colors);
        self.print(&line)
    }

    /// A table of the result, for people.
    pub fn table(&mut self, table: &Table) -> io::Result<()> {
        let table = table.render(self.out_style.colors);
        self.print(&table)
    }

    /// Reads a message of the API from its JSON; the text says what is wrong.
    pub(crate) fn parse<M: Name + Default>(&self, json: &str) -> Result<M, String> {
        self.json.parse(json)
    }

    /// A message of the API as JSON, with the names of its fields as they are.
    pub(crate) fn api_names<M: Name>(&self, message: &M) -> io::Result<Value> {
        self.json.with_api_names(message)
    }

    /// A message of the API, for programs, on lines of its own.
    pub(crate) fn message<M: Name>(&mut self, message: &M) -> io::Result<()> {
        let value = self.json.of(message)?;
        self.value(&value)
    }

    /// A message of the API, for programs, on one line.
    pub(crate) fn message_line<M: Name>(&mut self, message: &M) -> io::Result<()> {
        let value = self.json.of(message)?;
        self.print(&value.to_string())
    }

    /// Something that is no message of the API, for programs.
    pub fn value(&mut self, value: &Value) -> io::Result<()> {
        self.print(&format!("{value:#}"))
    }

    /// Text of the result, as it is.
    pub(crate) fn raw(&mut self, text: &[u8]) -> io::Result<()> {
        self.out.write_all(text)?;
        self.out.flush()
    }

    /// A line that accompanies the result.
    pub fn note(&mut self, line: impl Into<Line>) -> io::Result<()> {
        let line = line.into().render(self.err_style.colors);
        self.print_error(&line)
    }

    /// An error for programs.
    pub(crate) fn error_value(&mut self, value: &Value) -> io::Result<()> {
        self.print_error(&value.to_string())
    }

    fn print(&mut self, text: &str) -> io::Result<()> {
        let Self { out, moving, .. } = self;
        moving.suspend(|| writeln!(out, "{text}").and_then(|()| out.flush()))
    }

    fn print_error(&mut self, text: &str) -> io::Result<()> {
        let Self { err, moving, .. } = self;
        moving.suspend(|| writeln!(err, "{text}").and_then(|()| err.flush()))
    }

    /// A bar that fills up, on a terminal only; for a single step there is none.
    pub(crate) fn bar(&mut self, total: u64, what: &'static str) -> ProgressBar {
        let target = if total == 1 { ProgressDrawTarget::hidden() } else { self.draw_target() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {per_sec}");
        bar.set_style(style.expect("the template is right").progress_chars("=> "));
        bar.set_message(what);
        self.moving = bar.clone();
        bar
    }

    /// A bar over the bytes of a file, on a terminal only; without a size it only counts them.
    pub(crate) fn bytes_bar(&mut self, size: Option<u64>, what: &'static str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(size, self.draw_target());
        let template = match size {
            Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes} {eta}",
            None => "{msg} {bytes}",
        };
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.expect("the template is right").progress_chars("=> "));
        bar.set_message(what);
        self.moving = bar.clone();
        bar
    }

    /// A sign that something goes on, on a terminal only.
    pub fn spinner(&mut self) -> ProgressBar {
        let spinner = ProgressBar::with_draw_target(None, self.draw_target());
        let style = ProgressStyle::with_template("{spinner} {msg}");
        spinner.set_style(style.expect("the template is right"));
        if !spinner.is_hidden() {
            spinner.enable_steady_tick(SPINNER_TICK);
        }
        self.moving = spinner.clone();
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
