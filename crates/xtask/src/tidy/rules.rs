//! The rules that look at one file, and the one that compares a folder with its index.

use std::path::Path;

use super::{File, messages};
use crate::manifest::Manifest;

/// A file has one subject; above this it has several.
const LINES_MAX: usize = 700;
/// Bigger ones belong into a release, not into git.
const BYTES_MAX: u64 = 512 * 1024;

/// Work is an issue or it is done. In two parts, so that this file does not name them.
const REMINDERS: &[&str] = &[concat!("FIX", "ME"), concat!("TO", "DO")];
/// Folders of somebody's machine.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/")];
/// A lock file of npm names its packages by content; addresses are of whoever wrote it.
const LOCK_ADDRESS: &str = concat!("\"resol", "ved\"");

/// A sentence for each violation in `file`, with path and line in front.
pub(super) fn violations(file: &File) -> Vec<String> {
    let mut violations = Vec::new();
    if file.bytes > BYTES_MAX {
        violations.push(format!("{}: is too big for git ({} bytes)", file.path, file.bytes));
    }
    let Some(text) = &file.text else {
        return violations;
    };
    violations.extend(forbidden_words(&file.path, text));
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if name == "Cargo.toml" {
        violations.extend(missing_lints(&file.path, text));
    }
    if Path::new(&file.path).extension().is_some_and(|extension| extension == "rs") {
        violations.extend(too_long(&file.path, text));
        // Tests hold messages as they must not be.
        if name != "tests.rs" {
            violations.extend(messages::violations(&file.path, text));
        }
    }
    violations
}

/// The decisions in `folder` that its README does not name.
pub(super) fn unlisted_decisions(folder: &str, files: &[File]) -> Vec<String> {
    let in_folder =
        |file: &&File| file.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let text = |file: &File| file.text.clone().unwrap_or_default();
    let index = files
        .iter()
        .find(|file| file.path == format!("{folder}/README.md"))
        .map(text)
        .unwrap_or_default();
    let decisions = files.iter().filter(in_folder).filter_map(|file| file.path.rsplit('/').next());
    decisions
        .filter(|name| {
            name.starts_with(|first: char| first.is_ascii_digit()) && !index.contains(name)
        })
        .map(|name| format!("{folder}/{name}: is not listed in {folder}/README.md"))
        .collect()
}

fn forbidden_words(path: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    let is_npm_lock = path.ends_with("package-lock.json");
    for (number, line) in (1..).zip(text.lines()) {
        for word in REMINDERS.iter().filter(|word| has_word(line, word)) {
            violations.push(format!("{path}:{number}: `{word}` belongs into an issue"));
        }
        for word in MACHINE_PATHS.iter().filter(|word| names_path(line, word)) {
            violations.push(format!("{path}:{number}: `{word}` is a folder of one machine"));
        }
        if is_npm_lock && line.contains(LOCK_ADDRESS) {
            violations.push(format!(
                "{path}:{number}: the lock file names an address; leave {LOCK_ADDRESS} out"
            ));
        }
    }
    violations
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|character: char| !character.is_ascii_alphanumeric()).any(|part| part == word)
}

/// Whether the line has an absolute path that begins with `path`; `a/b/` in the middle of another path is none.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _path)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| {
            before.is_alphanumeric() || matches!(before, '.' | '_' | '-' | '}' | '*' | '~')
        })
    })
}

fn missing_lints(path: &str, text: &str) -> Option<String> {
    let manifest = Manifest::parse(text);
    let is_package = !manifest.name.is_empty();
    (is_package && !manifest.has_workspace_lints)
        .then(|| format!("{path}: lacks `[lints] workspace = true`"))
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LINES_MAX).then(|| {
        format!("{path}: has {lines} lines; split it into subjects of at most {LINES_MAX}")
    })
}

#[cfg(test)]
mod tests;
