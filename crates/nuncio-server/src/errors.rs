//! Errors that several services of a node answer with.

use std::time::Duration;

use nuncio_api::error::unavailable;
use nuncio_core::ports::job_store::StoreError;
use nuncio_runtime::chain::Chain;
use tonic::Status;
use tracing::error;

/// When a client may try again while the settings or the store cannot be used.
pub(crate) const STORE_RETRY: Duration = Duration::from_secs(2);

pub(crate) fn no_store(error: &StoreError) -> Status {
    error!("the client is told to try again: {}", Chain(error));
    unavailable("STORE_UNAVAILABLE", "the job store cannot be used at the moment", STORE_RETRY)
}
