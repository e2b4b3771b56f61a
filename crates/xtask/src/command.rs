//! Running other programs.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Result};
use crate::output;

/// A command made of words, in the root of the repository.
pub(crate) fn command(root: &Path, words: &[&str]) -> Command {
    let (program, args) = words.split_first().expect("a command has a name");
    let mut command = Command::new(program);
    command.args(args).current_dir(root);
    command
}

/// Runs `command` with the terminal as it is, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    output::say(&format!("    $ {}", line(command)));
    let status = command.status().context(format_args!("cannot run `{}`", line(command)))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` ended with {status}", line(command))))
}

/// Runs `command` and returns what it prints; where it fails, what it printed is part of the failure.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .context(format_args!("cannot run `{}`", line(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::new(format!(
        "`{}` ended with {}\n{}{}",
        line(command),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    )))
}

/// Whether `command` can be run and ends well. Prints nothing.
pub(crate) fn works(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// A command as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy()));
    words.join(" ")
}
