//! Shows an error together with what caused it.

use std::error::Error;
use std::fmt;

/// Displays an error and its sources on one line: `cannot start: cannot bind: address in use`.
///
/// An error's own `Display` says only what it knows itself. This adapter is what puts the chain
/// together, at the two places where an error ends: the log and the terminal.
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct CannotStart(#[source] std::io::Error);

    #[test]
    fn the_chain_says_everything_once() {
        let error = CannotStart(std::io::Error::other("address in use"));

        assert_eq!(Chain(&error).to_string(), "cannot start: address in use");
    }
}
