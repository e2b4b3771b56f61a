//! Opening the file: one process, a schema that is known, nothing damaged.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nuncio_core::ports::sealer::Sealers;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::watch;

use crate::seal::{self, KeyError};
use crate::sqlite::SqliteJobStore;
use crate::sqlite::engine::{SQLITE_CORRUPT, SQLITE_NOTADB, SqliteEngine, sqlite_code};
use crate::sqlite::stage;
use crate::sqlite::values::ROWS_MAX;
use crate::write::{RecordNews, Writer};

/// The schema, embedded. Migrations only go forward.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How many reads run at once.
const READERS_MAX: u32 = 4;
/// How long a statement waits for a lock. Only an operator's `sqlite3` can hold one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How large the write-ahead log grows before its pages move into the file: 32 MiB at 4 KiB a page.
/// SQLite's own 1000 pages would make every few commits wait for a second fsync.
const CHECKPOINT_PAGES: &str = "8192";
/// How much of the write-ahead log stays on disk after a burst: 64 MiB.
const JOURNAL_BYTES_KEPT: &str = "67108864";
/// How many pages the writer keeps in memory, in KiB (negative, as SQLite wants it): 16 MiB.
const WRITER_CACHE_KIB: &str = "-16384";
/// How many prepared texts a connection keeps: some twenty, some of them for five numbers of rows.
const STATEMENTS_KEPT: usize = 100;
/// How many rows of an answer may wait for whoever asked, so that the database does not wait: as many as one
/// statement writes.
const ROWS_KEPT: usize = ROWS_MAX;
/// Up to this size the whole file is checked on opening, which takes a fraction of a second: 32 MiB.
const CHECKED_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "another nuncio runs on this data folder: it holds `{}`; stop it, or give this one a folder of \
         its own", lock.display()
    )]
    InUse { lock: PathBuf },
    #[error("`{}` cannot be written; check that its folder exists, is writable and has room", path.display())]
    NotWritable { path: PathBuf, source: io::Error },
    #[error(
        "`{}` is damaged or no job store; restore a backup of it, or move it and its `-wal` and `-shm` \
         away to start with an empty store", path.display()
    )]
    Damaged { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "`{}` was written by a newer nuncio: this one does not know its schema {version}; run the newer \
         nuncio, or restore a backup made before the upgrade", path.display()
    )]
    Newer { path: PathBuf, version: i64 },
    #[error("the mails in `{}` cannot be opened", path.display())]
    Keys { path: PathBuf, source: KeyError },
    #[error("`{}` could not be opened", path.display())]
    Unusable { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
}

/// What the file contains is not what was written.
#[derive(Debug, thiserror::Error)]
#[error("the check of the file found: {0}")]
struct CheckFailed(String);

/// Limits that tests set lower.
#[derive(Default)]
pub(super) struct Limits {
    /// The most pages of the file, as if the disk were full then.
    pub(super) pages_max: Option<u32>,
}

pub(super) async fn open(
    path: &Path,
    keys: Arc<dyn Sealers>,
    limits: Limits,
) -> Result<SqliteJobStore, OpenError> {
    let lock = lock(path)?;
    let bytes = create(path)?;
    let at = |error| classify(path, error);
    let mut options = writer_options(path);
    if let Some(pages) = limits.pages_max {
        options = options.pragma("max_page_count", pages.to_string());
    }
    let mut connection = connect(&options).await.map_err(at)?;
    if bytes <= CHECKED_BYTES_MAX {
        check(&mut connection, path).await?;
    }
    migrate(&mut connection, path).await?;
    check_keys(&mut connection, path, &*keys).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .connect_with(common_options(path).pragma("query_only", "ON"))
        .await
        .map_err(at)?;
    let changed = watch::Sender::new(());
    let engine = SqliteEngine::new(options, connection, changed.clone());
    let writer = Writer::start([engine], RecordNews::of_this_node());
    Ok(SqliteJobStore { writer, readers, changed, keys, lock })
}

/// A connection to write by.
pub(super) async fn connect(options: &SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    let mut connection = options.connect().await?;
    sqlx::raw_sql(stage::TABLES).execute(&mut connection).await?;
    Ok(connection)
}

/// Two processes could share the file, but not the certainty of being alone with it, on which rescue
/// at the start relies.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let lock = PathBuf::from(lock);
    let not_writable = |source| OpenError::NotWritable { path: lock.clone(), source };
    let file = private(&lock).map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { lock }),
        Err(TryLockError::Error(source)) => Err(not_writable(source)),
    }
}

/// Makes the file if it is not there, for its owner's eyes only, and gives its size. SQLite gives its
/// other files the same permissions.
fn create(path: &Path) -> Result<u64, OpenError> {
    let not_writable = |source| OpenError::NotWritable { path: path.to_owned(), source };
    let file = private(path).map_err(not_writable)?;
    Ok(file.metadata().map_err(not_writable)?.len())
}

fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn common_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS_KEPT)
        .row_buffer_size(ROWS_KEPT)
        // What was slow is no news of ours, and statements carry guests' data.
        .disable_statement_logging()
}

pub(super) fn writer_options(path: &Path) -> SqliteConnectOptions {
    common_options(path)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode, NORMAL would not sync each commit: an accepted job could be lost.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", JOURNAL_BYTES_KEPT)
        .pragma("cache_size", WRITER_CACHE_KIB)
        .pragma("temp_store", "MEMORY")
        // What is deleted was a mail, perhaps with a password: overwrite it where that costs no write.
        .pragma("secure_delete", "FAST")
}

async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let found =
        sqlx::query_scalar::<_, String>("PRAGMA quick_check(1)").fetch_one(connection).await;
    match found.map_err(|error| classify(path, error))?.as_str() {
        "ok" => Ok(()),
        other => {
            let source = Box::new(CheckFailed(other.to_owned()));
            Err(OpenError::Damaged { path: path.to_owned(), source })
        }
    }
}

async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    match MIGRATIONS.run_direct(None, connection, false).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => {
            Err(OpenError::Newer { path: path.to_owned(), version })
        }
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(classify(path, error))
        }
        Err(error) => Err(OpenError::Unusable { path: path.to_owned(), source: Box::new(error) }),
    }
}

/// Nobody may write what the others, or the next start, cannot read.
async fn check_keys(
    connection: &mut SqliteConnection,
    path: &Path,
    keys: &dyn Sealers,
) -> Result<(), OpenError> {
    let at = |error| classify(path, error);
    let noted = sqlx::query_as("SELECT key_id, proof FROM mail_keys").fetch_all(&mut *connection);
    let noted: Vec<_> = noted.await.map_err(at)?;
    let sealer = keys.current();
    let usable = seal::check(&noted, &*sealer);
    usable.map_err(|source| OpenError::Keys { path: path.to_owned(), source })?;
    if noted.is_empty() {
        let note = sqlx::query("INSERT INTO mail_keys (key_id, proof) VALUES (?, ?)");
        let note = note.bind(sealer.key_id()).bind(seal::proof(&*sealer));
        note.execute(connection).await.map_err(at)?;
    } else {
        keys.seal_with_one_of(
            &noted.into_iter().map(|(key_id, _proof)| key_id).collect::<Vec<_>>(),
        );
    }
    Ok(())
}

fn classify(path: &Path, error: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    match sqlite_code(&error) {
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => {
            OpenError::Damaged { path, source: Box::new(error) }
        }
        Some(_) | None => OpenError::Unusable { path, source: Box::new(error) },
    }
}
