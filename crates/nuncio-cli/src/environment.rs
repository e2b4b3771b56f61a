//! What the environment of the process says, beside the options that clap reads from it.

use std::env;
use std::ffi::OsString;

/// What the environment says. It is read once, where the program starts; tests make their own.
#[derive(Clone, Default)]
pub struct Environment {
    /// Whether colours are unwanted (<https://no-color.org>), or the terminal knows none.
    pub no_color: bool,
    /// `NUNCIO_CLIENT_SECRET`: so that the secret stands neither in a file nor in the list of processes.
    pub client_secret: Option<String>,
}

impl Environment {
    pub fn read() -> Self {
        let text = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            no_color: text("NO_COLOR").is_some() || text("TERM").is_some_and(|term| term == "dumb"),
            client_secret: text("NUNCIO_CLIENT_SECRET")
                .map(OsString::into_string)
                .and_then(Result::ok),
        }
    }
}
