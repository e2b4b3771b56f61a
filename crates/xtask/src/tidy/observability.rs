//! Whether docs/OBSERVABILITY.md lists every span, every log event of level info and above and every alert rule, and
//! nothing else. Metrics are compared where they are made, in the tests of nuncio-server.

mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::File;
use super::invocation::{Invocation, invocations};
use page::Page;

pub(super) const PAGE: &str = "docs/OBSERVABILITY.md";
const RULES: &str = "deploy/prometheus/nuncio.rules.yml";

/// Crates whose programs are no nodes.
const NO_NODES: &[&str] = &["nuncio-cli", "nuncio-provider-sim", "xtask"];
/// Names of files and folders that are no part of a program.
const NO_PROGRAM: &[&str] = &["/tests/", "/tests.rs", "/testing.rs", "/conformance/"];

const LEVELS: &[(&str, &str)] = &[("error!(", "error"), ("warn!(", "warn"), ("info!(", "info")];
/// Fields with which OpenTelemetry is told how to export a span; they are no attributes.
const EXPORT: &str = "otel.";

/// What somebody can see: `first` and `second` name it, `details` are its fields or attributes.
type Seen = BTreeMap<(String, String), Told>;

/// Where it is, and what it has.
#[derive(Debug, Default)]
struct Told {
    place: String,
    details: BTreeSet<String>,
}

/// All that page and code do not agree on.
pub(super) fn violations(files: &[File]) -> Vec<String> {
    let text = |path: &str| files.iter().find(|file| file.path == path)?.text.as_deref();
    let Some(page) = text(PAGE) else { return vec![format!("{PAGE} is missing")] };
    let page = Page::read(page);
    let sources = files.iter().filter(|file| is_of_node(&file.path));
    let sources: Vec<(&str, &str)> =
        sources.filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?))).collect();
    let mut violations = compare("the span", &spans(&sources), &page.spans());
    violations.extend(compare("the event of spans", &notes(&sources), &page.notes()));
    violations.extend(compare("the log event", &logged(&sources), &page.logged()));
    let rules = text(RULES).unwrap_or_default();
    violations.extend(compare("the alert", &alerts(rules), &page.alerts()));
    violations.extend(unknown_metrics(rules, &page.metrics()));
    violations
}

fn is_of_node(path: &str) -> bool {
    let Some((krate, _file)) =
        path.strip_prefix("crates/").and_then(|path| path.split_once("/src/"))
    else {
        return false;
    };
    Path::new(path).extension().is_some_and(|end| end == "rs")
        && !NO_NODES.contains(&krate)
        && !NO_PROGRAM.iter().any(|part| path.contains(part))
}

fn spans(sources: &[(&str, &str)]) -> Seen {
    let mut seen = Seen::new();
    for (path, text) in sources {
        for found in invocations(text, "info_span!(") {
            let name = found.message().unwrap_or_default();
            let attributes = found.attributes().into_iter();
            let attributes = attributes.filter(|name| !name.starts_with(EXPORT));
            add(&mut seen, (name, String::new()), place(path, &found), attributes);
        }
    }
    seen
}

fn notes(sources: &[(&str, &str)]) -> Seen {
    let mut seen = Seen::new();
    for (path, text) in sources {
        for found in invocations(text, "trace::note(") {
            let name = found.message().unwrap_or_default();
            add(&mut seen, (name, String::new()), place(path, &found), []);
        }
    }
    seen
}

/// Events by component and level with message.
fn logged(sources: &[(&str, &str)]) -> Seen {
    let mut seen = Seen::new();
    for (path, text) in sources {
        let krate = path.split('/').nth(1).unwrap_or_default();
        let component = krate.strip_prefix("nuncio-").unwrap_or(krate);
        for (macro_name, level) in LEVELS {
            for found in invocations(text, macro_name) {
                let message = found.message().unwrap_or_default();
                let key = (component.to_owned(), format!("{level} `{message}`"));
                add(&mut seen, key, place(path, &found), found.fields());
            }
        }
    }
    seen
}

fn alerts(rules: &str) -> Seen {
    let mut seen = Seen::new();
    for (index, line) in rules.lines().enumerate() {
        if let Some(name) = line.trim().strip_prefix("- alert: ") {
            let place = format!("{RULES}:{}", index + 1);
            add(&mut seen, (name.to_owned(), String::new()), place, []);
        }
    }
    seen
}

/// Metrics that rules ask for and no node has.
fn unknown_metrics(rules: &str, known: &BTreeSet<String>) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let code = |line: &str| line.split('#').next().unwrap_or_default().to_owned();
    let mut unknown = Vec::new();
    for (index, line) in rules.lines().map(code).enumerate() {
        let words = line.split(|c| !is_part(c));
        for word in words.filter(|word| word.starts_with("nuncio_") && !known.contains(*word)) {
            unknown.push(format!("{RULES}:{}: {PAGE} has no metric `{word}`", index + 1));
        }
    }
    unknown
}

fn place(path: &str, found: &Invocation) -> String {
    format!("{path}:{}", found.line)
}

fn add(
    seen: &mut Seen,
    key: (String, String),
    place: String,
    details: impl IntoIterator<Item = String>,
) {
    let told = seen.entry(key).or_insert_with(|| Told { place, details: BTreeSet::new() });
    told.details.extend(details);
}

/// What one of both has and the other has not, with what to do about it.
fn compare(what: &str, code: &Seen, page: &Seen) -> Vec<String> {
    let mut violations = Vec::new();
    for (key, told) in code {
        let name = named(key);
        match page.get(key) {
            None => violations.push(format!(
                "{}: {what} {name} is not in {PAGE}: add a row with its meaning{}",
                told.place,
                listed(" and ", &told.details)
            )),
            Some(row) if row.details != told.details => violations.push(format!(
                "{}: {what} {name} has{}, but {} says{}: correct the row",
                told.place,
                listed(" ", &told.details),
                row.place,
                listed(" ", &row.details)
            )),
            Some(_) => {}
        }
    }
    let gone = page.iter().filter(|(key, _row)| !code.contains_key(*key));
    violations.extend(gone.map(|(key, row)| {
        format!("{}: {what} {} is nowhere in the code: remove the row", row.place, named(key))
    }));
    violations
}

fn named((first, second): &(String, String)) -> String {
    if second.is_empty() { format!("`{first}`") } else { format!("of `{first}`, {second},") }
}

fn listed(before: &str, details: &BTreeSet<String>) -> String {
    if details.is_empty() {
        return if before == " " { " no fields".to_owned() } else { String::new() };
    }
    let names: Vec<String> = details.iter().map(|one| format!("`{one}`")).collect();
    format!("{before}{}", names.join(", "))
}

#[cfg(test)]
mod tests;
