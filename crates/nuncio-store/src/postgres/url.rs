//! Where the database is and who asks for it.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// What may stand behind the question mark, as the driver knows it.
const PARAMETERS: [&str; 10] = [
    "application_name",
    "host",
    "hostaddr",
    "options",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
];

/// The URL of a database, `postgres://user:password@host:port/database?sslmode=verify-full`.
///
/// Nothing that shows it shows the password.
#[derive(Clone)]
pub struct PostgresUrl {
    options: PgConnectOptions,
    shown: String,
    text: String,
}

/// Why a text is no such URL. It holds nothing of the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostgresUrlError {
    #[error("it does not begin with `postgres://`")]
    Scheme,
    #[error("it is no URL of the form `postgres://user:password@host:port/database`")]
    Form,
    #[error("it names no database, as in `postgres://user:password@host:port/database`")]
    Database,
    #[error(
        "what stands behind its `?` is unknown; known are `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, \
         `options`, `application_name`, `host`, `hostaddr`, `port` and `statement-cache-capacity`"
    )]
    Parameter,
}

impl FromStr for PostgresUrl {
    type Err = PostgresUrlError;

    fn from_str(url: &str) -> Result<Self, PostgresUrlError> {
        if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(PostgresUrlError::Scheme);
        }
        let query = url.split_once('?').map_or("", |(_address, query)| query);
        let names = query.split('&').filter_map(|pair| pair.split('=').next());
        let known = |name: &str| {
            name.is_empty() || name.starts_with("options[") || PARAMETERS.contains(&name)
        };
        // The driver would log it, with its value.
        if !names.into_iter().all(known) {
            return Err(PostgresUrlError::Parameter);
        }
        let options: PgConnectOptions = url.parse().map_err(|_secret| PostgresUrlError::Form)?;
        let database = options.get_database().filter(|name| !name.is_empty());
        let database = database.ok_or(PostgresUrlError::Database)?;
        let host = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let shown = format!("postgres://{}@{host}/{database}", options.get_username());
        Ok(Self { options, shown, text: url.to_owned() })
    }
}

impl PostgresUrl {
    pub(super) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PostgresUrl {}

/// User, host, port and database.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({})", self.shown)
    }
}

#[cfg(test)]
mod tests;
