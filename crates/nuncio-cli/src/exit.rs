//! How a command ends.

use std::process::ExitCode;

/// How a command ends; its number is the exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    /// Anything that has no code of its own.
    Failed = 1,
    /// What was asked for does not exist.
    NotFound = 3,
    /// The input is not valid.
    Invalid = 4,
    /// The input is valid, but something else must happen first, or the caller may not do it.
    Refused = 5,
    /// No node answers.
    Unreachable = 6,
    /// The mail job has ended, but it was not sent.
    NotSent = 7,
}

/// The exit codes, for `--help`. 2 is clap's own.
pub const HELP: &str = "\
Exit codes:
  0  ok
  1  failed
  2  wrong usage: an option or argument is not valid
  3  not found
  4  invalid input
  5  refused: a precondition is not met, such as a test that did not pass or a job that has ended
  6  no nuncio answers at the server's address
  7  the mail job ended, but was not sent: FAILED, EXPIRED, UNKNOWN or CANCELLED
     (`send --wait`, `jobs watch NAME`)";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
