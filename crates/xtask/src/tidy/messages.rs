//! The form of messages in errors and logs: lower case, no full stop, the source not repeated.

use super::invocation::invocations;

/// Macros whose message goes to a log.
const LOG_MACROS: &[&str] = &["trace!(", "debug!(", "info!(", "warn!(", "error!("];
const ERROR_ATTRIBUTE: &str = "#[error(";

/// How many lines after an error's message its fields may begin.
const FIELDS_WITHIN_LINES: usize = 6;

pub(super) fn violations(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for opening in LOG_MACROS.iter().chain([&ERROR_ATTRIBUTE]) {
        for invocation in invocations(text, opening) {
            let Some(message) = invocation.written() else { continue };
            let following = &lines[invocation.line..];
            let repeats = *opening == ERROR_ATTRIBUTE && repeats_source(&message, following);
            let complaints = [
                (begins_with_capital(&message), "begins with a capital letter"),
                (message.ends_with('.') && !message.ends_with(".."), "ends with a full stop"),
                (repeats, "repeats its source"),
            ];
            for (_, what) in complaints.into_iter().filter(|(is_so, _)| *is_so) {
                found.push((invocation.line, format!("`{message}` {what}")));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(line, what)| format!("{path}:{line}: {what}")).collect()
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
