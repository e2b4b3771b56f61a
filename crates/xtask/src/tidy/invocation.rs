//! Calls of macros and functions in source text: their arguments, without a parser of Rust.

/// A call, as it stands in a source.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    /// The line that it begins in, from 1.
    pub(super) line: usize,
    /// As they are written.
    arguments: Vec<String>,
}

/// All calls that begin with `opening`, such as `info!(`, outside of line comments.
pub(super) fn invocations(text: &str, opening: &str) -> Vec<Invocation> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(opening) {
        let before = text[..at].chars().next_back();
        let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let is_comment = text[line_start..at].trim_start().starts_with("//");
        let is_longer = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '"' | '`'));
        if !is_comment && !is_longer {
            let line = text[..at].matches('\n').count() + 1;
            found.push(Invocation { line, arguments: arguments(&text[at + opening.len()..]) });
        }
    }
    found
}

impl Invocation {
    /// The first argument that is a text, with `…` in place of what is filled in.
    pub(super) fn message(&self) -> Option<String> {
        self.text().map(filled)
    }

    /// The same as it is written, without its quotes; one of several lines is one line.
    pub(super) fn written(&self) -> Option<String> {
        self.text().map(|text| text.split("\\\n").map(str::trim_start).collect())
    }

    fn text(&self) -> Option<&str> {
        let text = self.arguments.iter().find(|one| one.starts_with('"'))?;
        let text = text.strip_prefix('"').unwrap_or(text);
        Some(text.strip_suffix('"').unwrap_or(text))
    }

    /// The names of what stands before the message: the fields of an event.
    pub(super) fn fields(&self) -> Vec<String> {
        let before = self.arguments.iter().take_while(|one| !one.starts_with('"'));
        before.map(|one| name(one)).collect()
    }

    /// The names of what stands behind the name: the attributes of a span.
    pub(super) fn attributes(&self) -> Vec<String> {
        let behind = self.arguments.iter().skip_while(|one| !one.starts_with('"')).skip(1);
        behind.map(|one| name(one)).collect()
    }
}

/// The arguments up to the bracket that closes the call.
fn arguments(text: &str) -> Vec<String> {
    let (mut all, mut one, mut depth) = (Vec::new(), String::new(), 0_u32);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                one.push('"');
                string(&mut rest, &mut one);
                continue;
            }
            '/' if rest.as_str().starts_with('/') => {
                rest.by_ref().find(|c| *c == '\n');
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                all.push(one.trim().to_owned());
                one.clear();
                continue;
            }
            _ => {}
        }
        one.push(c);
    }
    all.push(one.trim().to_owned());
    all.retain(|argument| !argument.is_empty());
    all
}

/// Takes the rest of a text up to its closing quote.
fn string(rest: &mut std::str::Chars<'_>, into: &mut String) {
    while let Some(c) = rest.next() {
        into.push(c);
        match c {
            '"' => return,
            '\\' => into.extend(rest.next()),
            _ => {}
        }
    }
}

/// A text with `…` in place of what is filled in.
fn filled(written: &str) -> String {
    let (mut text, mut rest) = (String::new(), written.chars().peekable());
    while let Some(c) = rest.next() {
        match c {
            // A line that goes on: its end and the blanks of the next one are no part of the text.
            '\\' if rest.peek() == Some(&'\n') => {
                while rest.next_if(|c| c.is_whitespace()).is_some() {}
            }
            '\\' => text.extend(rest.next()),
            '{' | '}' if rest.next_if_eq(&c).is_some() => text.push(c),
            '{' => {
                for c in rest.by_ref() {
                    if c == '}' {
                        break;
                    }
                }
                text.push('…');
            }
            c => text.push(c),
        }
    }
    text
}

/// The name of a field: `job.name` of `job.name = %id` and of `%job.name`.
fn name(field: &str) -> String {
    let name = field.split('=').next().unwrap_or_default().trim();
    name.trim_start_matches(['%', '?']).replace("r#", "")
}
