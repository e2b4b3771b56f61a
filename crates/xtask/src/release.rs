//! The release binary: what is shipped, shown and measured.

use std::path::PathBuf;

use crate::command::{command, run};
use crate::environment::root;
use crate::failure::Result;
use crate::install::install_build_tools;
use crate::output;

/// Installs what the build needs and builds. Returns the program.
pub(crate) fn build() -> Result<PathBuf> {
    output::step("install what the build needs", install_build_tools)?;
    output::step("build the release binary (minutes the first time)", || {
        let words = ["cargo", "build", "--release", "--locked", "--package", "nuncio"];
        run(&mut command(&root(), &words))
    })?;
    Ok(root().join("target/release/nuncio"))
}
