//! The layout that all mails share: plain text and HTML from one rendering.
//!
//! A rendering is text in which values stand between marks. A line `Label: value` is a field: it becomes a row of a
//! table, a link becomes a button, and without a value the line is left out. Blank lines part paragraphs.

use std::fmt::Write as _;

use crate::mail::SUBJECT_CHARS_MAX;
use crate::template::variable::is_mark;

/// Parts a value from what is beside it, whichever way it is written (Unicode annex 9, section 2.5).
const FIRST_STRONG_ISOLATE: char = '\u{2068}';
const POP_DIRECTIONAL_ISOLATE: char = '\u{2069}';
const END: char = '\u{FDDF}';

/// What kind of value a mark begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Text,
    Credential,
    Url,
}

impl Mark {
    const ALL: [Self; 3] = [Self::Text, Self::Credential, Self::Url];

    fn begin(self) -> char {
        match self {
            Self::Text => '\u{FDD0}',
            Self::Credential => '\u{FDD1}',
            Self::Url => '\u{FDD2}',
        }
    }
}

/// A value between its marks.
pub(crate) fn marked(mark: Mark, value: &str) -> String {
    format!("{}{value}{END}", mark.begin())
}

/// How a language is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script<'a> {
    /// A BCP 47 tag.
    pub(crate) locale: &'a str,
    pub(crate) is_right_to_left: bool,
}

/// A subject: one line, of at most 998 characters.
pub(crate) fn subject(marked: &str, script: Script<'_>) -> String {
    let mut plain = String::new();
    for piece in lines(marked).iter().flatten() {
        plain.push_str(&piece.plain(script));
    }
    let clean: String = plain.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = clean.split_whitespace().collect();
    let subject = words.join(" ");
    if subject.chars().count() <= SUBJECT_CHARS_MAX {
        return subject;
    }
    let kept: String = subject.chars().take(SUBJECT_CHARS_MAX - 1).collect();
    format!("{kept}…")
}

/// The plain text.
pub(crate) fn text(marked: &str, script: Script<'_>) -> String {
    let mut text = String::new();
    let mut is_gap = false;
    for line in lines(marked).iter().filter(|line| !is_void(line)) {
        if is_blank(line) {
            is_gap = !text.is_empty();
            continue;
        }
        if is_gap {
            text.push('\n');
            is_gap = false;
        }
        let start = text.len();
        text.extend(line.iter().map(|piece| piece.plain(script)));
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    }
    text
}

/// The HTML: a page of its own, with all styles in it, because mail programs load nothing.
pub(crate) fn html(marked: &str, title: &str, script: Script<'_>) -> String {
    let mut body = String::new();
    let lines = lines(marked);
    let shown: Vec<&Vec<Piece<'_>>> = lines.iter().filter(|line| !is_void(line)).collect();
    for block in shown.split(|line| is_blank(line)) {
        for group in block.chunk_by(|a, b| group_of(a) == group_of(b)) {
            match group_of(group[0]) {
                Group::Fields => push_table(&mut body, group),
                Group::Links => push_links(&mut body, group),
                Group::Prose => push_paragraph(&mut body, group),
            }
        }
    }
    page(&body, title, script)
}

/// A page around a body that is HTML already.
pub(crate) fn page(body: &str, title: &str, script: Script<'_>) -> String {
    let (language, title) = (escaped(script.locale), escaped(title));
    let direction = if script.is_right_to_left { "rtl" } else { "ltr" };
    format!(
        "<!doctype html>\n<html lang=\"{language}\" dir=\"{direction}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n</head>\n\
         <body style=\"margin:0;padding:24px;font-family:'Segoe UI',Helvetica,Arial,sans-serif;\
         font-size:15px;line-height:1.5;color:#1b1f24\">\n<div style=\"max-width:640px\">\n\
         {body}</div>\n</body>\n</html>\n"
    )
}

/// Escapes text for HTML, in content and in quoted attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Escapes text for HTML and keeps its lines.
pub(crate) fn escaped_lines(text: &str) -> String {
    escaped(text).lines().collect::<Vec<_>>().join("<br>\n")
}

/// A part of a line: text of the template, or a value.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    mark: Option<Mark>,
    text: &'a str,
}

impl Piece<'_> {
    fn plain(&self, script: Script<'_>) -> String {
        if self.mark.is_none() || !script.is_right_to_left {
            return self.text.to_owned();
        }
        // An isolate ends with its line.
        let isolate = |line: &str| match line {
            "" => String::new(),
            line => format!("{FIRST_STRONG_ISOLATE}{line}{POP_DIRECTIONAL_ISOLATE}"),
        };
        self.text.split('\n').map(isolate).collect::<Vec<_>>().join("\n")
    }

    fn html(&self) -> String {
        let shown = escaped_lines(self.text);
        match self.mark {
            None => shown,
            Some(_) if self.text.is_empty() => shown,
            Some(Mark::Text) => format!("<bdi>{shown}</bdi>"),
            Some(Mark::Credential) => format!("<bdi><code>{shown}</code></bdi>"),
            Some(Mark::Url) => format!("<bdi><a href=\"{shown}\">{shown}</a></bdi>"),
        }
    }

    fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// Parts a rendering into lines; line breaks inside a value part nothing.
fn lines(marked: &str) -> Vec<Vec<Piece<'_>>> {
    let mut lines = vec![Vec::new()];
    let mut rest = marked;
    while !rest.is_empty() {
        let next = rest.find(is_mark).unwrap_or(rest.len());
        for (index, text) in rest[..next].split('\n').enumerate() {
            if index != 0 {
                lines.push(Vec::new());
            }
            if let (Some(line), false) = (lines.last_mut(), text.is_empty()) {
                line.push(Piece { mark: None, text: text.trim_end_matches('\r') });
            }
        }
        rest = &rest[next..];
        let Some(begin) = rest.chars().next() else { break };
        rest = &rest[begin.len_utf8()..];
        let mark = Mark::ALL.into_iter().find(|mark| mark.begin() == begin);
        if mark.is_some() {
            let (value, after) = rest.split_once(END).unwrap_or((rest, ""));
            lines.last_mut().expect("there is a first line").push(Piece { mark, text: value });
            rest = after;
        }
    }
    lines
}

/// What lines are shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Fields,
    Links,
    Prose,
}

fn group_of(line: &[Piece<'_>]) -> Group {
    match field(line) {
        Some((_, Piece { mark: Some(Mark::Url), .. })) => Group::Links,
        Some((_, Piece { mark: Some(Mark::Text | Mark::Credential) | None, .. })) => Group::Fields,
        None => Group::Prose,
    }
}

/// The label and the value of a line `Label: value`.
fn field<'a>(line: &[Piece<'a>]) -> Option<(&'a str, Piece<'a>)> {
    let [label, value, after @ ..] = line else { return None };
    let is_after_blank = after.iter().all(|piece| piece.mark.is_none() && piece.is_empty());
    let name = label.text.trim().strip_suffix([':', '：'])?.trim_end();
    let fits = label.mark.is_none() && value.mark.is_some() && is_after_blank && !name.is_empty();
    fits.then_some((name, *value))
}

fn is_blank(line: &[Piece<'_>]) -> bool {
    line.iter().all(Piece::is_empty)
}

/// Whether a line has only values that were not given, so that it is as if it did not exist.
fn is_void(line: &[Piece<'_>]) -> bool {
    let has_values = line.iter().any(|piece| piece.mark.is_some());
    has_values && (is_blank(line) || field(line).is_some_and(|(_, value)| value.is_empty()))
}

fn push_table(body: &mut String, rows: &[&Vec<Piece<'_>>]) {
    body.push_str("<table style=\"border-collapse:collapse;margin:16px 0\">\n");
    for (label, value) in rows.iter().filter_map(|line| field(line)) {
        let (label, value) = (escaped(label), value.html());
        push(
            body,
            format_args!(
                "<tr><th style=\"text-align:start;vertical-align:top;font-weight:600;\
                 padding:4px 0;padding-inline-end:24px\">{label}</th>\
                 <td style=\"vertical-align:top;padding:4px 0\">{value}</td></tr>\n"
            ),
        );
    }
    body.push_str("</table>\n");
}

fn push_links(body: &mut String, links: &[&Vec<Piece<'_>>]) {
    for (label, link) in links.iter().filter_map(|line| field(line)) {
        let (label, address) = (escaped(label), escaped(link.text));
        push(
            body,
            format_args!(
                "<p><a href=\"{address}\" style=\"display:inline-block;padding:10px 20px;\
                 border:1px solid #0b5cad;border-radius:4px;color:#0b5cad;text-decoration:none;\
                 font-weight:600\">{label}</a></p>\n"
            ),
        );
    }
}

fn push_paragraph(body: &mut String, lines: &[&Vec<Piece<'_>>]) {
    let line = |line: &&Vec<Piece<'_>>| line.iter().map(Piece::html).collect::<String>();
    let lines: Vec<String> = lines.iter().map(line).collect();
    push(body, format_args!("<p>{}</p>\n", lines.join("<br>\n")));
}

fn push(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests;
