//! The store of jobs of a node: a file of its own, or a database that it shares.

pub(crate) mod identity;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::job::Job;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::{Dead, Incarnation, JobStore, StoreError};
use nuncio_core::ports::records::RecordStore;
use nuncio_core::ports::sealed::SealedMails;
use nuncio_core::ports::sealer::Sealers;
use nuncio_nodes::election::Elections;
use nuncio_store::postgres::{self, PostgresJobStore};
use nuncio_store::sqlite::{self, SqliteJobStore};
use tracing::warn;

use crate::config::Config;

/// The file of the job store in the data folder.
const STORE_FILE: &str = "jobs.sqlite";

/// From when on the clock of the machine is worth a line in the log.
const CLOCK_DIFFERENCE_TOLD: Duration = Duration::from_secs(2);

/// An open store, of the engine that the configuration asks for.
pub(crate) enum Store {
    Sqlite(Arc<SqliteJobStore>),
    Postgres(Arc<PostgresJobStore>),
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
}

impl Store {
    /// Mails are sealed by `keys`.
    pub(crate) async fn open(
        config: &Config,
        keys: Arc<dyn Sealers>,
    ) -> Result<Self, OpenStoreError> {
        if let Some(url) = &config.store_url {
            return Ok(Self::Postgres(Arc::new(PostgresJobStore::open(url, keys).await?)));
        }
        let path = config.data_dir.join(STORE_FILE);
        Ok(Self::Sqlite(Arc::new(SqliteJobStore::open(&path, keys).await?)))
    }

    /// Whether other nodes may work on it too.
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(_) => true,
        }
    }

    /// Takes back what the last run left half done, if this node is alone with its store. In a shared one another
    /// node may be at it: there the leases tell.
    pub(crate) async fn take_back(
        &self,
        incarnation: &Incarnation,
        now: Timestamp,
    ) -> Result<Vec<Job>, StoreError> {
        match self {
            Self::Sqlite(store) => store.rescue(Dead::AllBut(incarnation.clone()), now).await,
            Self::Postgres(_) => Ok(Vec::new()),
        }
    }

    /// The time that the node goes by: that of its machine, or one that it has in common with the other nodes of its
    /// database. It tells a difference of the two.
    pub(crate) fn clock(&self, machine: &Arc<dyn Clock>) -> Arc<dyn Clock> {
        let clock = match self {
            Self::Sqlite(_) => return Arc::clone(machine),
            Self::Postgres(store) => store.clock(),
        };
        let ahead = machine.now().duration_since(clock.now());
        if CLOCK_DIFFERENCE_TOLD <= ahead.unsigned_abs() {
            let seconds = ahead.as_secs();
            warn!(
                seconds,
                "the clock of this machine is {seconds} s ahead of the database's; nuncio goes by the database's"
            );
        }
        clock
    }

    /// How it is settled what this node does of that which only one node with its store may do.
    pub(crate) fn elections(
        &self,
        clock: &Arc<dyn Clock>,
        incarnation: &Incarnation,
        node: &str,
    ) -> Elections {
        match self {
            Self::Sqlite(_) => Elections::alone(),
            Self::Postgres(_) => Elections::among(
                self.records(),
                Arc::clone(clock),
                incarnation.clone(),
                node.to_owned(),
            ),
        }
    }

    pub(crate) fn port(&self) -> Arc<dyn JobStore> {
        match self {
            Self::Sqlite(store) => Arc::<SqliteJobStore>::clone(store),
            Self::Postgres(store) => Arc::<PostgresJobStore>::clone(store),
        }
    }

    /// What roles know beside jobs, in the same transactions.
    pub(crate) fn records(&self) -> Arc<dyn RecordStore> {
        match self {
            Self::Sqlite(store) => Arc::<SqliteJobStore>::clone(store),
            Self::Postgres(store) => Arc::<PostgresJobStore>::clone(store),
        }
    }

    /// Its mails, and the keys that have sealed them.
    pub(crate) fn sealed(&self) -> Arc<dyn SealedMails> {
        match self {
            Self::Sqlite(store) => Arc::<SqliteJobStore>::clone(store),
            Self::Postgres(store) => Arc::<PostgresJobStore>::clone(store),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}
