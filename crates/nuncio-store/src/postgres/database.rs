//! The connections of a store. Where its URL names several hosts, they lead to the one that is the primary now.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Error, PgConnection, PgPool, Row};
use tokio::time::timeout;

use crate::postgres::url::PostgresUrl;
use crate::write::engine::timed_out;

/// Connections for reads; one of them listens all the time.
const READERS_MAX: u32 = 5;
/// How long a read waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a new connection to one host may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many prepared statements a connection keeps: there are some forty.
const STATEMENTS_KEPT: usize = 100;
const APPLICATION_NAME: &str = "nuncio";

/// For each connection: a commit that was answered is on disk, whatever the database's default; a node that vanished or
/// stands still within a transaction holds its locks, for which all others wait, no longer than five seconds; and a
/// session whose node has vanished ends after half a minute (a Unix socket has no such limits, and ignores them).
const BEGIN_SESSION: &str = "SELECT set_config('idle_in_transaction_session_timeout', '5s', FALSE), \
     set_config('tcp_keepalives_idle', '15', FALSE), set_config('tcp_keepalives_interval', '5', FALSE), \
     set_config('tcp_keepalives_count', '3', FALSE), set_config('tcp_user_timeout', '30s', FALSE), \
     CASE WHEN current_setting('synchronous_commit') = 'off' \
     THEN set_config('synchronous_commit', 'on', FALSE) END, pg_is_in_recovery() AS standby";

/// The hosts of a database, and the connections to the one that may be written.
pub(super) struct Database {
    hosts: Vec<PgConnectOptions>,
    /// Which of them was the primary when it was last looked for.
    primary: AtomicUsize,
    pub(super) readers: PgPool,
}

/// The host that was asked may not be written.
#[derive(Debug, thiserror::Error)]
#[error("the host is a standby, and no other one is the primary")]
pub(super) struct Standby;

impl Standby {
    fn error() -> Error {
        Error::Io(io::Error::other(Self))
    }

    /// Whether it is why there is no connection.
    pub(super) fn is_told_by(error: &Error) -> bool {
        let Error::Io(error) = error else { return false };
        error.get_ref().and_then(|source| source.downcast_ref::<Self>()).is_some()
    }
}

impl Database {
    /// It connects when there is something to ask.
    pub(super) fn new(url: &PostgresUrl) -> Self {
        let hosts: Vec<_> = url.hosts().iter().cloned().map(with_ours).collect();
        let readers = PgPoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|connection, _pool| Box::pin(begin_session(connection)))
            .connect_lazy_with(hosts[0].clone());
        Self { hosts, primary: AtomicUsize::new(0), readers }
    }

    /// A connection to the primary. New ones for reads go there as well from now on.
    ///
    /// Fails if no host is it: with what one has answered, rather than with the silence of another.
    pub(super) async fn connect(&self) -> sqlx::Result<PgConnection> {
        let before = self.primary.load(Ordering::Acquire);
        let mut told = None;
        for turn in 0..self.hosts.len() {
            let host = (before + turn) % self.hosts.len();
            match connect_to(&self.hosts[host]).await {
                Ok(connection) => {
                    self.lead_to(host);
                    return Ok(connection);
                }
                Err(error) if told.as_ref().is_none_or(is_silence) => told = Some(error),
                Err(_further) => {}
            }
        }
        Err(told.expect("a URL names a host"))
    }

    fn lead_to(&self, host: usize) {
        if self.primary.swap(host, Ordering::AcqRel) == host {
            return;
        }
        let options = &self.hosts[host];
        tracing::info!(
            server.address = options.get_host(),
            server.port = options.get_port(),
            "another host is the primary of the job store's database"
        );
        self.readers.set_connect_options(options.clone());
    }
}

fn is_silence(error: &Error) -> bool {
    matches!(error, Error::Io(_)) && !Standby::is_told_by(error)
}

async fn connect_to(host: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let connect = async {
        let mut connection = host.connect().await?;
        begin_session(&mut connection).await?;
        Ok(connection)
    };
    timeout(CONNECT_TIMEOUT, connect).await.map_err(|_elapsed| timed_out())?
}

async fn begin_session(connection: &mut PgConnection) -> sqlx::Result<()> {
    let answer = sqlx::query(BEGIN_SESSION).fetch_one(connection).await?;
    if answer.try_get("standby")? {
        return Err(Standby::error());
    }
    Ok(())
}

fn with_ours(options: PgConnectOptions) -> PgConnectOptions {
    let options = match options.get_application_name() {
        Some(_named) => options,
        None => options.application_name(APPLICATION_NAME),
    };
    options
        .statement_cache_capacity(STATEMENTS_KEPT)
        // What was slow is no news of ours, and statements carry guests' data.
        .disable_statement_logging()
}
