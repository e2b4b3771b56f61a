//! Rules of the repository that no compiler and no other tool checks.

mod invocation;
mod messages;
mod observability;
mod rules;

use std::fs;
use std::path::Path;

use crate::command::{command, read};
use crate::environment::root;
use crate::failure::{Context, Failure, Result};
use crate::{layers, output};

/// How many packages `Cargo.lock` may name. It is raised by hand, so that a heavy dependency is noticed.
const PACKAGE_COUNT_FILE: &str = ".config/package-count";

/// Where each decision has to be listed.
const ADR_FOLDER: &str = "docs/adr";

/// The command: fails with all violations.
pub(crate) fn run() -> Result<()> {
    let files = files()?;
    let mut violations = layers::violations()?;
    for file in &files {
        violations.extend(rules::violations(file));
    }
    violations.extend(rules::unlisted_decisions(ADR_FOLDER, &files));
    violations.extend(observability::violations(&files));
    violations.extend(too_many_packages()?);
    if violations.is_empty() {
        output::say(&format!("    {} files are tidy", files.len()));
        return Ok(());
    }
    Err(Failure::new(violations.join("\n")))
}

/// A file that git keeps, or would keep.
struct File {
    /// From the root of the repository.
    path: String,
    bytes: u64,
    /// Nothing for files that are not text.
    text: Option<String>,
}

fn files() -> Result<Vec<File>> {
    let root = root();
    let words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let paths = read(&mut command(&root, &words))?;
    let mut files = Vec::new();
    for path in paths.split_terminator('\0') {
        let absolute = root.join(path);
        // A file that is deleted but not yet committed is still named.
        if absolute.is_file() {
            files.push(file(path, &absolute)?);
        }
    }
    Ok(files)
}

fn file(path: &str, absolute: &Path) -> Result<File> {
    let content = fs::read(absolute).context(format_args!("cannot read {path}"))?;
    let bytes =
        u64::try_from(content.len()).context(format_args!("{path} has no usable length"))?;
    Ok(File { path: path.to_owned(), bytes, text: String::from_utf8(content).ok() })
}

fn too_many_packages() -> Result<Option<String>> {
    let read = |path: &str| {
        fs::read_to_string(root().join(path)).context(format_args!("cannot read {path}"))
    };
    let packages = read("Cargo.lock")?.lines().filter(|line| *line == "[[package]]").count();
    let allowed: usize = read(PACKAGE_COUNT_FILE)?.trim().parse().context(PACKAGE_COUNT_FILE)?;
    if packages < allowed {
        output::say(&format!(
            "    {PACKAGE_COUNT_FILE} can be lowered from {allowed} to {packages}"
        ));
    }
    Ok((packages > allowed).then(|| {
        format!("Cargo.lock names {packages} packages; where they are worth it, raise {PACKAGE_COUNT_FILE} from {allowed}")
    }))
}
