//! The form of messages in errors and logs: lower case, no full stop, the source not repeated.

/// Macros whose message goes to a log.
const LOG_MACROS: &[&str] = &["trace!(", "debug!(", "info!(", "warn!(", "error!("];
const ERROR_ATTRIBUTE: &str = "#[error(";

/// How many lines after an error's message its fields may begin.
const FIELDS_WITHIN_LINES: usize = 6;

pub(super) fn violations(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let mut violations = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let opening = LOG_MACROS
            .iter()
            .chain([&ERROR_ATTRIBUTE])
            .find_map(|opening| after_word(line, opening));
        let Some(arguments) = opening else {
            continue;
        };
        let Some(message) = message(arguments, &lines[index + 1..]) else {
            continue;
        };
        let mut complain =
            |what: &str| violations.push(format!("{path}:{}: `{message}` {what}", index + 1));
        if begins_with_capital(message) {
            complain("begins with a capital letter");
        }
        if message.ends_with('.') && !message.ends_with("..") {
            complain("ends with a full stop");
        }
        if line.contains(ERROR_ATTRIBUTE) && repeats_source(message, &lines[index + 1..]) {
            complain("repeats its source");
        }
    }
    violations
}

/// What follows `opening` where it stands as a word of its own, outside a comment.
fn after_word<'a>(line: &'a str, opening: &str) -> Option<&'a str> {
    let at = line.find(opening)?;
    let before = line[..at].chars().next_back();
    let is_word =
        !before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '_' | '"' | '`'));
    (is_word && !line.starts_with("//")).then(|| &line[at + opening.len()..])
}

/// The message: the first string among the arguments that is not the value of a field.
fn message<'a>(arguments: &'a str, following: &[&'a str]) -> Option<&'a str> {
    if let Some(message) = string_in(arguments) {
        return Some(message);
    }
    if arguments.contains(')') {
        return None;
    }
    let rest = following.iter().take_while(|line| !line.starts_with(')'));
    rest.filter(|line| line.starts_with('"')).find_map(|line| string_in(line))
}

fn string_in(arguments: &str) -> Option<&str> {
    let mut rest = arguments;
    loop {
        let start = rest.find('"')?;
        let end = start + 1 + rest[start + 1..].find('"')?;
        let before = rest[..start].trim_end();
        if before.is_empty() || before.ends_with([',', ';']) {
            return Some(&rest[start + 1..end]);
        }
        rest = &rest[end + 1..];
    }
}

/// `Mail` does, `STARTTLS` and `OAuth` do not: they are never written otherwise.
fn begins_with_capital(message: &str) -> bool {
    let word =
        message.split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default();
    let mut letters = word.chars();
    letters.next().is_some_and(char::is_uppercase)
        && letters.clone().next().is_some()
        && !letters.any(char::is_uppercase)
}

fn repeats_source(message: &str, following: &[&str]) -> bool {
    let fields = following
        .iter()
        .take(FIELDS_WITHIN_LINES)
        .take_while(|line| !line.contains(ERROR_ATTRIBUTE));
    let names_first = message.contains("{0");
    let names_source = message.contains("{source");
    fields.into_iter().any(|line| {
        let tuple = line.contains("(#[source]") || line.contains("(#[from]");
        (names_first && tuple) || (names_source && line.contains("source:"))
    })
}

#[cfg(test)]
mod tests;
