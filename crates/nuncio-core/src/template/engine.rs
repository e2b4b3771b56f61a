//! Fills a text with values, within limits of time and size.
//!
//! There is no function, no macro, no include and no way around the escaping. [`check`](super::check) allows even less:
//! values, conditions, loops over lines, and the filters below.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use icu_locale_core::Locale;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, UndefinedBehavior, Value};

use crate::template::format::{self, Part};
use crate::template::layout::{self, Mark};
use crate::template::variable::{Given, VariableKind};

/// How many steps one rendering may take, so that no template runs for ever.
const FUEL: u64 = 100_000;
/// The longest that one rendering may become, in bytes: 1 MiB.
pub(crate) const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// The filters that a text may use.
pub(crate) const FILTERS: [&str; 7] =
    ["date", "default", "lines", "lower", "time", "trim", "upper"];

/// What a rendering is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Values stand between marks, for the layout.
    Marked,
    /// Values are escaped for HTML.
    Html,
}

/// Why a text was not filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("runs too long; take a loop out of a loop, or a condition out of a loop")]
    TooLong,
    #[error("becomes longer than 1 MiB; let it say less for each line")]
    TooLarge,
    #[error("{0}")]
    Other(String),
}

/// The syntax of texts: that of Jinja.
pub(crate) fn syntax() -> SyntaxConfig {
    let built = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    built.expect("the delimiters are Jinja's own")
}

/// A line that has nothing but tags leaves no line behind; any other line ends where it ends.
pub(crate) fn keep_line_ends(source: &str) -> Cow<'_, str> {
    let ends =
        |line: &str| line.ends_with("%}") && !line.ends_with("-%}") && !line.ends_with("+%}");
    if !source.lines().any(ends) {
        return Cow::Borrowed(source);
    }
    let keep = |line: &str| {
        let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
        match text.strip_suffix("%}") {
            Some(before) if ends(text) && !has_only_tags(text) => format!("{before}+%}}{end}"),
            Some(_) | None => line.to_owned(),
        }
    };
    source.split_inclusive('\n').map(keep).collect::<String>().into()
}

fn has_only_tags(line: &str) -> bool {
    let mut rest = line.trim();
    while let Some(tag) = rest.strip_prefix("{%") {
        match tag.split_once("%}") {
            Some((_, after)) => rest = after.trim_start(),
            None => return false,
        }
    }
    rest.is_empty()
}

/// Fills a text. `values` has a value for every variable of the template.
pub(crate) fn render(
    source: &str,
    target: Target,
    values: &Value,
    locale: &Locale,
) -> Result<String, RenderError> {
    let source = keep_line_ends(source);
    let environment = environment(target, locale);
    let compiled = environment.template_from_str(&source).map_err(|error| tell(&error))?;
    let mut output = Limited::default();
    let rendered = compiled.render_captured_to(values, &mut output);
    if output.is_full {
        return Err(RenderError::TooLarge);
    }
    rendered.map_err(|error| tell(&error))?;
    String::from_utf8(output.bytes).map_err(|error| RenderError::Other(error.to_string()))
}

fn environment<'a>(target: Target, locale: &Locale) -> Environment<'a> {
    let mut environment = Environment::empty();
    environment.set_debug(false);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_syntax(syntax());
    environment.set_auto_escape_callback(|_name| AutoEscape::None);
    let shown_in = locale.clone();
    environment.set_formatter(move |out, _state, value| emit(out, target, value, &shown_in));
    for (name, part) in [("date", Part::Date), ("time", Part::Time)] {
        let shown_in = locale.clone();
        environment.add_filter(name, move |value: Value| part_of(&value, part, &shown_in));
    }
    environment.add_filter(
        "default",
        |value: Value, other: Value| {
            if value.is_true() { value } else { other }
        },
    );
    environment.add_filter("lines", |value: Value| -> Value {
        value.to_string().lines().map(Value::from).collect()
    });
    environment.add_filter("lower", |value: Value| value.to_string().to_lowercase());
    environment.add_filter("trim", |value: Value| value.to_string().trim().to_owned());
    environment.add_filter("upper", |value: Value| value.to_string().to_uppercase());
    environment
}

fn tell(error: &minijinja::Error) -> RenderError {
    if error.kind() == ErrorKind::OutOfFuel {
        return RenderError::TooLong;
    }
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    RenderError::Other(match error.line() {
        Some(line) => format!("line {line}: {detail}"),
        None => detail,
    })
}

fn emit(
    out: &mut Output<'_>,
    target: Target,
    value: &Value,
    locale: &Locale,
) -> Result<(), minijinja::Error> {
    let shown = value.downcast_object_ref::<Shown>();
    let text = match shown {
        Some(shown) => shown.text.clone(),
        None if value.kind() == ValueKind::Number => i64::try_from(value.clone())
            .map_or_else(|_| value.to_string(), |n| format::number(locale, n)),
        None => value.to_string(),
    };
    match target {
        Target::Html => out.write_str(&layout::escaped_lines(&text)),
        Target::Marked => {
            let mark = match shown.map(|shown| shown.kind) {
                Some(VariableKind::Credential) => Mark::Credential,
                Some(VariableKind::Url) => Mark::Url,
                Some(
                    VariableKind::Text
                    | VariableKind::Lines
                    | VariableKind::DateTime
                    | VariableKind::Duration
                    | VariableKind::Number,
                )
                | None => Mark::Text,
            };
            out.write_str(&layout::marked(mark, &text))
        }
    }
    .map_err(|_| minijinja::Error::new(ErrorKind::WriteFailure, "the text is too long"))
}

/// The value of a variable as a text sees it; none is empty and counts as false.
pub(crate) fn value(kind: VariableKind, given: Option<Given>, locale: &Locale) -> Value {
    let text = match &given {
        None => return Value::from(""),
        Some(Given::Number(number)) => return Value::from(*number),
        Some(Given::Text(text)) => match kind {
            VariableKind::Credential | VariableKind::Url => text.clone(),
            VariableKind::Text
            | VariableKind::Lines
            | VariableKind::DateTime
            | VariableKind::Duration
            | VariableKind::Number => return Value::from(text.as_str()),
        },
        Some(Given::Moment(moment)) => format::moment(locale, moment, Part::Both),
        Some(Given::Duration(duration)) => format::duration(locale, *duration),
    };
    Value::from_object(Shown { kind, given, text })
}

fn part_of(value: &Value, part: Part, locale: &Locale) -> Value {
    let given = value.downcast_object_ref::<Shown>().and_then(|shown| shown.given.as_ref());
    match given {
        Some(Given::Moment(moment)) => Value::from(format::moment(locale, moment, part)),
        Some(Given::Text(_) | Given::Duration(_) | Given::Number(_)) | None => value.clone(),
    }
}

/// A value whose kind decides how it is shown.
struct Shown {
    kind: VariableKind,
    given: Option<Given>,
    text: String,
}

// It may be a password.
impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Object for Shown {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.text.is_empty()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Takes what is written up to the limit.
#[derive(Default)]
struct Limited {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if OUTPUT_BYTES_MAX < self.bytes.len() + bytes.len() {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
