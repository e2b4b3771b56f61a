//! Why a command ended. There is one reader, the person at the terminal, so it is a sentence and its causes.

use std::error::Error;
use std::fmt;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// A sentence about what went wrong.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// Says what was being done when an error came up.
pub(crate) trait Context<T> {
    /// Puts `what` before the error, as in `cannot read .deny.toml: no such file`.
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure(format!("{what}: {error}")))
    }
}
