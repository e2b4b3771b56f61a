//! Reads from a `Cargo.toml` the little that the checks need. It knows TOML as this repository writes it: one entry a
//! line, tables of dependencies either as `[dependencies]` or as `[dependencies.name]`.

/// What a package says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    /// Names under `[dependencies]` and `[build-dependencies]`, for all targets; not those of tests.
    pub(crate) dependencies: Vec<String>,
    /// Whether it says `[lints] workspace = true`.
    pub(crate) has_workspace_lints: bool,
}

impl Manifest {
    pub(crate) fn parse(text: &str) -> Self {
        let mut manifest = Self::default();
        let mut table = String::new();
        for line in text.lines().map(without_comment) {
            if let Some(header) = line.strip_prefix('[') {
                header.trim_end_matches(']').trim_matches(['[', ']']).clone_into(&mut table);
                manifest.dependencies.extend(dependency_of_header(&table));
            } else if let Some((key, value)) = line.split_once('=') {
                manifest.read_entry(&table, key.trim(), value.trim());
            }
        }
        manifest
    }

    fn read_entry(&mut self, table: &str, key: &str, value: &str) {
        match table {
            "package" if key == "name" => value.trim_matches('"').clone_into(&mut self.name),
            "lints" if key == "workspace" && value == "true" => self.has_workspace_lints = true,
            table if is_dependencies(table) => {
                let name = key.split('.').next().unwrap_or(key);
                self.dependencies.push(name.trim_matches('"').to_owned());
            }
            _other_table => {}
        }
    }
}

/// `dependencies`, `build-dependencies` and both for some target.
fn is_dependencies(table: &str) -> bool {
    let last = table.rsplit_once("'.").map_or(table, |(_target, last)| last);
    matches!(last, "dependencies" | "build-dependencies")
}

/// The name in a header such as `[dependencies.tokio]`.
fn dependency_of_header(table: &str) -> Option<String> {
    let (parent, name) = table.rsplit_once('.')?;
    is_dependencies(parent).then(|| name.trim_matches('"').to_owned())
}

fn without_comment(line: &str) -> &str {
    // No value that matters here has the sign in a string.
    line.split('#').next().unwrap_or(line).trim()
}

#[cfg(test)]
mod tests;
