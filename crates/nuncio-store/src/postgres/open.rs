//! Opening the database: it answers, it may be written, its schema is known.

use std::sync::Arc;
use std::time::Duration;

use nuncio_core::ports::sealer::Sealers;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Error, PgConnection, PgPool};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::postgres::PostgresJobStore;
use crate::postgres::engine::{PostgresEngine, sqlstate};
use crate::postgres::signals::{self, Signals};
use crate::postgres::url::PostgresUrl;
use crate::seal::{self, KeyError};
use crate::write::engine::timed_out;
use crate::write::{RecordNews, Writer};

/// The schema, embedded. Migrations only go forward.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How many groups are written side by side, because a commit also waits for the network. They queue up for
/// their commits, so more would not help.
const WRITERS: usize = 3;
/// Connections for reads; one of them listens all the time.
const READERS_MAX: u32 = 5;
/// How long a read waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a new connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many prepared statements a connection keeps: there are some forty.
const STATEMENTS_KEPT: usize = 100;
const APPLICATION_NAME: &str = "nuncio";

/// For each connection: a commit that was answered is on disk, whatever the database's default; a node that vanished or
/// stands still within a transaction holds its locks, for which all others wait, no longer than five seconds; and a
/// session whose node has vanished ends after half a minute (a Unix socket has no such limits, and ignores them).
const SESSION: &str = "SELECT set_config('idle_in_transaction_session_timeout', '5s', FALSE), \
     set_config('tcp_keepalives_idle', '15', FALSE), set_config('tcp_keepalives_interval', '5', FALSE), \
     set_config('tcp_keepalives_count', '3', FALSE), set_config('tcp_user_timeout', '30s', FALSE), \
     CASE WHEN current_setting('synchronous_commit') = 'off' \
     THEN set_config('synchronous_commit', 'on', FALSE) END";

/// Writers whose last commit is so long ago have learned of its end, or are gone.
const REMOVE_DEAD_WRITERS: &str =
    "DELETE FROM mail_job_writers WHERE seen_at < now() - INTERVAL '1 day'";

/// Why a store was not opened. `url` is what may be shown of it: no password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("`{url}` does not answer; check host, port, firewall and whether PostgreSQL runs")]
    Unreachable { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "`{url}` does not let nuncio in; check user, password and database, and that the user may create \
         tables there"
    )]
    Refused { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("`{url}` cannot be written: it is a standby; name the primary")]
    ReadOnly { url: String },
    #[error(
        "`{url}` is reached without TLS or with a certificate that is not trusted; see `sslmode`"
    )]
    Tls { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "`{url}` was written by a newer nuncio: this one does not know its schema {version}; run the newer \
         nuncio, or restore a backup made before the upgrade"
    )]
    Newer { url: String, version: i64 },
    #[error("the mails in `{url}` cannot be opened")]
    Keys { url: String, source: KeyError },
    #[error("`{url}` could not be opened")]
    Unusable { url: String, source: Box<dyn std::error::Error + Send + Sync> },
}

pub(super) async fn open(
    url: &PostgresUrl,
    keys: Arc<dyn Sealers>,
) -> Result<PostgresJobStore, OpenError> {
    let at = |error| classify(url, error);
    let options = options(url);
    let mut connection = connect(&options).await.map_err(at)?;
    check(&mut connection, url).await?;
    migrate(&mut connection, url).await?;
    check_keys(&mut connection, url, &*keys).await?;
    sqlx::query(REMOVE_DEAD_WRITERS).execute(&mut connection).await.map_err(at)?;
    drop(connection);
    let readers: PgPool = PgPoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _pool| {
            Box::pin(async move { sqlx::query(SESSION).execute(connection).await.map(drop) })
        })
        .connect_lazy_with(options.clone());
    let (seen, time) = signals::read(&readers).await.map_err(at)?;
    let signals = Arc::new(Signals::new(seen, time));
    let listening = Mutex::new(signals::start(&readers, &signals));
    let engines = (0..WRITERS).map(|_| PostgresEngine::new(options.clone(), signals.clone()));
    let telling = signals.clone();
    let news = RecordNews::shared(signals.records.clone(), move || telling.records_committed());
    let writer = Writer::start(engines, news);
    Ok(PostgresJobStore { writer, readers, signals, keys, listening })
}

/// A connection with the settings of a session.
pub(super) async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let connect = async {
        let mut connection = options.connect().await?;
        sqlx::query(SESSION).execute(&mut connection).await?;
        Ok(connection)
    };
    timeout(CONNECT_TIMEOUT, connect).await.map_err(|_elapsed| timed_out())?
}

fn options(url: &PostgresUrl) -> PgConnectOptions {
    let options = url.options();
    let options = match options.get_application_name() {
        Some(_named) => options,
        None => options.application_name(APPLICATION_NAME),
    };
    options
        .statement_cache_capacity(STATEMENTS_KEPT)
        // What was slow is no news of ours, and statements carry guests' data.
        .disable_statement_logging()
}

async fn check(connection: &mut PgConnection, url: &PostgresUrl) -> Result<(), OpenError> {
    let (standby, fsync): (bool, String) =
        sqlx::query_as("SELECT pg_is_in_recovery(), current_setting('fsync')")
            .fetch_one(connection)
            .await
            .map_err(|error| classify(url, error))?;
    if standby {
        return Err(OpenError::ReadOnly { url: url.to_string() });
    }
    if fsync != "on" {
        tracing::warn!(%url, "this database may lose accepted jobs when its machine fails: `fsync` is off");
    }
    Ok(())
}

/// Nodes that start together wait for each other here.
async fn migrate(connection: &mut PgConnection, url: &PostgresUrl) -> Result<(), OpenError> {
    match MIGRATIONS.run_direct(None, connection, false).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => {
            Err(OpenError::Newer { url: url.to_string(), version })
        }
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(classify(url, error))
        }
        Err(error) => Err(OpenError::Unusable { url: url.to_string(), source: Box::new(error) }),
    }
}

/// Nobody may write what the other nodes cannot read. Nodes that start together wait for each other here.
async fn check_keys(
    connection: &mut PgConnection,
    url: &PostgresUrl,
    keys: &dyn Sealers,
) -> Result<(), OpenError> {
    let at = |error| classify(url, error);
    let mut tx = connection.begin().await.map_err(at)?;
    let lock = sqlx::query("LOCK TABLE mail_keys IN EXCLUSIVE MODE");
    lock.execute(&mut *tx).await.map_err(at)?;
    let noted = sqlx::query_as("SELECT key_id, proof FROM mail_keys").fetch_all(&mut *tx);
    let noted: Vec<_> = noted.await.map_err(at)?;
    let sealer = keys.current();
    let usable = seal::check(&noted, &*sealer);
    usable.map_err(|source| OpenError::Keys { url: url.to_string(), source })?;
    if noted.is_empty() {
        let note = sqlx::query("INSERT INTO mail_keys (key_id, proof) VALUES ($1, $2)");
        let note = note.bind(sealer.key_id()).bind(seal::proof(&*sealer));
        note.execute(&mut *tx).await.map_err(at)?;
    } else {
        keys.seal_with_one_of(
            &noted.into_iter().map(|(key_id, _proof)| key_id).collect::<Vec<_>>(),
        );
    }
    tx.commit().await.map_err(at)
}

fn classify(url: &PostgresUrl, error: Error) -> OpenError {
    let url = url.to_string();
    // <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    let state = sqlstate(&error).unwrap_or_default();
    let unreachable =
        matches!(error, Error::Io(_) | Error::PoolTimedOut) || state.starts_with("57P");
    let refused = state.starts_with("28") || ["3D000", "42501"].contains(&state.as_str());
    let tls = matches!(error, Error::Tls(_));
    let source = Box::new(error);
    match () {
        () if unreachable => OpenError::Unreachable { url, source },
        () if refused => OpenError::Refused { url, source },
        () if tls => OpenError::Tls { url, source },
        () if state == "25006" => OpenError::ReadOnly { url },
        () => OpenError::Unusable { url, source },
    }
}
