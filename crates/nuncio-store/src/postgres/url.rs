//! Where the database is and who asks for it.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// What this store needs says libpq by these values of its parameter
/// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS>).
const TARGET: &str = "target_session_attrs";
const TARGETS: [&str; 2] = ["primary", "read-write"];

/// What else may stand behind the question mark, as the driver knows it.
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

/// The URL of a database, `postgres://user:password@host:port,host:port/database?sslmode=verify-full`.
///
/// Of several hosts, the one is used that is the primary at the time. Nothing that shows the URL shows the password.
#[derive(Clone)]
pub struct PostgresUrl {
    /// For each host; there is one.
    hosts: Vec<PgConnectOptions>,
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
    #[error("nuncio needs the primary: `target_session_attrs` is `read-write`, or left out")]
    Target,
    #[error(
        "what stands behind its `?` is unknown; known are `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, \
         `options`, `application_name`, `host`, `hostaddr`, `port`, `statement-cache-capacity` and \
         `target_session_attrs`"
    )]
    Parameter,
}

impl FromStr for PostgresUrl {
    type Err = PostgresUrlError;

    fn from_str(url: &str) -> Result<Self, PostgresUrlError> {
        if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(PostgresUrlError::Scheme);
        }
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let query = driver_query(query)?;
        let hosts: Vec<PgConnectOptions> = one_host_each(address)
            .iter()
            .map(|address| format!("{address}?{query}").parse())
            .collect::<Result<_, _>>()
            .map_err(|_secret| PostgresUrlError::Form)?;
        let database = hosts[0].get_database().filter(|name| !name.is_empty());
        let database = database.ok_or(PostgresUrlError::Database)?;
        let names: Vec<_> = hosts.iter().map(host_name).collect();
        let shown =
            format!("postgres://{}@{}/{database}", hosts[0].get_username(), names.join(","));
        Ok(Self { hosts, shown, text: url.to_owned() })
    }
}

impl PostgresUrl {
    /// How each of its hosts is reached.
    pub(super) fn hosts(&self) -> &[PgConnectOptions] {
        &self.hosts
    }
}

/// The query without what the driver does not know.
fn driver_query(query: &str) -> Result<String, PostgresUrlError> {
    let mut kept = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_known =
            name.is_empty() || name.starts_with("options[") || PARAMETERS.contains(&name);
        match name {
            TARGET if TARGETS.contains(&value) => {}
            TARGET => return Err(PostgresUrlError::Target),
            _ if is_known => kept.push(pair),
            // The driver would log it, with its value.
            _ => return Err(PostgresUrlError::Parameter),
        }
    }
    Ok(kept.join("&"))
}

/// The same address for each of its hosts, which the driver does not know to take together.
fn one_host_each(address: &str) -> Vec<String> {
    let start = address.find("://").map_or(0, |at| at + "://".len());
    let end = address[start..].find('/').map_or(address.len(), |at| start + at);
    let hosts = address[start..end].rfind('@').map_or(start, |at| start + at + 1);
    let each = address[hosts..end].split(',');
    each.map(|host| format!("{}{host}{}", &address[..hosts], &address[end..])).collect()
}

fn host_name(host: &PgConnectOptions) -> String {
    match host.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", host.get_host(), host.get_port()),
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
