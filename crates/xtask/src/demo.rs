//! `cargo xtask demo`: from a fresh checkout to a running demonstration.

use std::os::unix::process::CommandExt;

use crate::failure::{Failure, Result};
use crate::{output, release};

/// Builds what is shipped and becomes `nuncio demo`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let program = release::build()?;
    output::say(&format!("\n==> {} demo {}", program.display(), args.join(" ")));
    // Where the program starts, this process is it, so that signals reach it and its exit code is the one seen.
    let error = std::process::Command::new(&program).arg("demo").args(args).exec();
    Err(Failure::new(format!("cannot run {}: {error}", program.display())))
}
