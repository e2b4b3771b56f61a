//! What a client sees when something goes wrong that several services know. The cause goes to the log.

use std::time::Duration;

use nuncio_api::error::{status, unavailable};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::settings::SaveError;
use nuncio_runtime::chain::Chain;
use tonic::{Code, Status};
use tracing::error;

/// When a client may try again while the settings or the store cannot be used.
const STORE_RETRY: Duration = Duration::from_secs(2);

pub(crate) fn not_saved(error: SaveError) -> Status {
    let message = error.to_string();
    match error {
        SaveError::EtagMismatch { present } => {
            let message = format!("{message}; get them, look, and save again with it");
            status(Code::Aborted, "ETAG_MISMATCH", message, [("etag", present)])
        }
        SaveError::Store(_) => {
            error!("settings were not saved: {}", Chain(&error));
            unavailable("SETTINGS_STORE_UNAVAILABLE", message, STORE_RETRY)
        }
    }
}

pub(crate) fn no_store(error: &StoreError) -> Status {
    error!("the store could not be used: {}", Chain(error));
    unavailable("STORE_UNAVAILABLE", error.to_string(), STORE_RETRY)
}
