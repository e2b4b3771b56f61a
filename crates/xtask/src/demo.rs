//! `cargo xtask demo`: from a fresh checkout to a running demonstration.

use std::os::unix::process::CommandExt;

use crate::command::{command, run as run_command};
use crate::environment::root;
use crate::failure::{Failure, Result};
use crate::install::{Need, install_system};
use crate::output;

/// Builds what is shipped and becomes `nuncio demo`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    output::step("install what the build needs", || install_system(&[Need::Compiler]))?;
    output::step("build the release binary (minutes the first time)", || {
        run_command(&mut command(
            &root(),
            &["cargo", "build", "--release", "--locked", "--package", "nuncio"],
        ))
    })?;
    let program = root().join("target/release/nuncio");
    output::say(&format!("\n==> {} demo {}", program.display(), args.join(" ")));
    // Where the program starts, this process is it, so that signals reach it and its exit code is the one seen.
    let error = std::process::Command::new(&program).arg("demo").args(args).exec();
    Err(Failure::new(format!("cannot run {}: {error}", program.display())))
}
