//! Opening the database: it answers, it may be written, its schema is known.

use std::sync::Arc;

use nuncio_core::ports::sealer::Sealers;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, Error, PgConnection};
use tokio::sync::Mutex;

use crate::postgres::PostgresJobStore;
use crate::postgres::database::{Database, Standby};
use crate::postgres::engine::{PostgresEngine, READ_ONLY, sqlstate};
use crate::postgres::signals::{self, Signals};
use crate::postgres::url::PostgresUrl;
use crate::seal::{self, KeyError};
use crate::write::{RecordNews, Writer};

/// The schema, embedded. Migrations only go forward.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How many groups are written side by side, because a commit also waits for the network. They queue up for
/// their commits, so more would not help.
const WRITERS: usize = 3;

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
    #[error(
        "`{url}` cannot be written: what answers is a standby or read-only; name the primary, or all hosts of \
         the database"
    )]
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
    let database = Arc::new(Database::new(url));
    let mut connection = database.connect().await.map_err(at)?;
    warn_of_fsync(&mut connection, url).await?;
    migrate(&mut connection, url).await?;
    check_keys(&mut connection, url, &*keys).await?;
    sqlx::query(REMOVE_DEAD_WRITERS).execute(&mut connection).await.map_err(at)?;
    drop(connection);
    let (seen, time) = signals::read(&database.readers).await.map_err(at)?;
    let signals = Arc::new(Signals::new(seen, time));
    let listening = Mutex::new(signals::start(&database, &signals));
    let engines = (0..WRITERS).map(|_| PostgresEngine::new(database.clone(), signals.clone()));
    let telling = signals.clone();
    let news = RecordNews::shared(signals.records.clone(), move || telling.records_committed());
    let writer = Writer::start(engines, news);
    let readers = database.readers.clone();
    Ok(PostgresJobStore { writer, readers, signals, keys, listening })
}

async fn warn_of_fsync(connection: &mut PgConnection, url: &PostgresUrl) -> Result<(), OpenError> {
    let asked = sqlx::query_scalar("SELECT current_setting('fsync')").fetch_one(connection);
    let fsync: String = asked.await.map_err(|error| classify(url, error))?;
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
    let standby = Standby::is_told_by(&error);
    let source = Box::new(error);
    match () {
        () if standby || state == READ_ONLY => OpenError::ReadOnly { url },
        () if unreachable => OpenError::Unreachable { url, source },
        () if refused => OpenError::Refused { url, source },
        () if tls => OpenError::Tls { url, source },
        () => OpenError::Unusable { url, source },
    }
}
