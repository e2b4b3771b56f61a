//! Checks that the crates of the workspace use each other only downwards.

use std::fs;
use std::path::PathBuf;

use crate::environment::root;
use crate::failure::{Context, Failure, Result};
use crate::manifest::Manifest;
use crate::output;

/// What a crate may use of ours.
enum Layer {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
    /// Neither ours nor anybody's.
    NoDependencies,
}

use Layer::{AllBut, NoDependencies, Only};

/// What is not here is not allowed; a crate that is not here is not allowed either.
const LAYERS: &[(&str, Layer)] = &[
    ("nuncio-core", Only(&[])),
    ("nuncio-runtime", Only(&["nuncio-core"])),
    ("nuncio-api", Only(&["nuncio-core", "nuncio-tls"])),
    ("nuncio-store", Only(&["nuncio-core"])),
    ("nuncio-cluster", Only(&["nuncio-core", "nuncio-runtime"])),
    ("nuncio-directory", Only(&["nuncio-core"])),
    ("nuncio-tls", Only(&["nuncio-core"])),
    ("nuncio-net", Only(&["nuncio-core"])),
    ("nuncio-http", Only(&["nuncio-core", "nuncio-net", "nuncio-tls"])),
    (
        "nuncio-oauth",
        Only(&["nuncio-core", "nuncio-http", "nuncio-net", "nuncio-runtime", "nuncio-tls"]),
    ),
    (
        "nuncio-routes",
        Only(&[
            "nuncio-core",
            "nuncio-http",
            "nuncio-net",
            "nuncio-runtime",
            "nuncio-smtp",
            "nuncio-tls",
        ]),
    ),
    ("nuncio-smtp", Only(&["nuncio-core", "nuncio-net", "nuncio-runtime", "nuncio-tls"])),
    ("nuncio-nodes", Only(&["nuncio-core", "nuncio-runtime"])),
    ("nuncio-delivery", Only(&["nuncio-core", "nuncio-runtime", "nuncio-nodes"])),
    ("nuncio-alarms", Only(&["nuncio-core", "nuncio-runtime", "nuncio-api", "nuncio-delivery"])),
    ("nuncio-templates", Only(&["nuncio-core", "nuncio-runtime", "nuncio-api", "nuncio-delivery"])),
    ("nuncio-mnt", Only(ROLE)),
    ("nuncio-pan", Only(ROLE)),
    ("nuncio-psn", Only(ROLE)),
    ("nuncio-server", AllBut(&["nuncio", "nuncio-cli", "nuncio-provider-sim", "nuncio-tests"])),
    ("nuncio-cli", Only(&["nuncio-api"])),
    ("nuncio-provider-sim", Only(&[])),
    ("nuncio", Only(PROGRAM)),
    ("nuncio-tests", AllBut(&[])),
    ("xtask", NoDependencies),
];

const PROGRAM: &[&str] = &[
    "nuncio-core",
    "nuncio-runtime",
    "nuncio-api",
    "nuncio-tls",
    "nuncio-server",
    "nuncio-cli",
    "nuncio-provider-sim",
];

const ROLE: &[&str] = &[
    "nuncio-core",
    "nuncio-runtime",
    "nuncio-api",
    "nuncio-nodes",
    "nuncio-delivery",
    "nuncio-directory",
    "nuncio-alarms",
];

/// The command: fails with all violations.
pub(crate) fn run() -> Result<()> {
    let violations = violations()?;
    if violations.is_empty() {
        output::say("    the crates use each other only downwards");
        return Ok(());
    }
    Err(Failure::new(violations.join("\n")))
}

/// A sentence for each dependency in the workspace that points upwards or sideways.
pub(crate) fn violations() -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for path in manifests()? {
        let text =
            fs::read_to_string(&path).context(format_args!("cannot read {}", path.display()))?;
        violations.extend(violations_of(&Manifest::parse(&text)));
    }
    Ok(violations)
}

/// The manifests of all packages, in order.
pub(crate) fn manifests() -> Result<Vec<PathBuf>> {
    let crates = root().join("crates");
    let entries =
        fs::read_dir(&crates).context(format_args!("cannot read {}", crates.display()))?;
    let folders = entries.flatten().map(|entry| entry.path()).chain([root().join("tests")]);
    let mut paths: Vec<_> =
        folders.map(|folder| folder.join("Cargo.toml")).filter(|path| path.is_file()).collect();
    paths.sort();
    Ok(paths)
}

fn violations_of(manifest: &Manifest) -> Vec<String> {
    let name = manifest.name.as_str();
    let Some((_name, layer)) = LAYERS.iter().find(|(layer, _rule)| *layer == name) else {
        return vec![format!(
            "`{name}` has no place in the table of layers (crates/xtask/src/layers.rs)"
        )];
    };
    let is_ours = |used: &str| LAYERS.iter().any(|(ours, _rule)| *ours == used);
    let is_allowed = |used: &str| match layer {
        Only(allowed) => !is_ours(used) || allowed.contains(&used),
        AllBut(forbidden) => !forbidden.contains(&used),
        NoDependencies => false,
    };
    let forbidden = manifest.dependencies.iter().filter(|used| !is_allowed(used));
    forbidden.map(|used| format!("`{name}` must not use `{used}`")).collect()
}

#[cfg(test)]
mod tests;
