//! What a client sees when something goes wrong that several services know. The cause goes to the log.

use std::fmt::Display;
use std::time::Duration;

use nuncio_api::error::{Precondition, failed_precondition, status, unavailable};
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

/// Saved settings that nobody can read, such as those of a later version.
pub(crate) fn not_readable(problem: &impl Display) -> Status {
    error!("saved settings cannot be read: {problem}");
    status(Code::Internal, "SETTINGS_NOT_READABLE", problem.to_string(), [])
}

pub(crate) fn no_store(error: &StoreError) -> Status {
    error!("the store could not be used: {}", Chain(error));
    unavailable("STORE_UNAVAILABLE", error.to_string(), STORE_RETRY)
}

/// A change of settings would send more reminders at once than its caller expects.
pub(crate) fn too_many_due(due_count: i64) -> Status {
    let remedy = "look at the preview; then save with `max_due_count` of at least this number";
    let precondition = Precondition { kind: "DUE_COUNT", subject: "reminderSettings", remedy };
    let message = format!("{due_count} reminders would be sent at once; nothing was saved");
    let metadata = [("due_count", due_count.to_string())];
    failed_precondition("TOO_MANY_REMINDERS_DUE", message, metadata, &precondition)
}
