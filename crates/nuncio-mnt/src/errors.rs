//! What a client sees when something goes wrong. The cause goes to the log, not to the client.

use std::time::Duration;

use nuncio_api::error::{Precondition, failed_precondition, invalid, status, unavailable};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::settings::SaveError;
use nuncio_core::violation::Violations;
use nuncio_runtime::chain::Chain;
use tonic::{Code, Status};
use tracing::error;

use crate::intake::TakeError;

/// When a client may try again while the store is down.
const STORE_RETRY: Duration = Duration::from_secs(2);
/// When a client may try again after this node went down.
const RESUME_PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn invalid_alarm(violations: Violations) -> Status {
    invalid("INVALID_ALARM", "the alarm is not valid", violations)
}

pub(crate) fn not_taken(error: &TakeError) -> Status {
    match error {
        TakeError::Store(source) => store(source),
        TakeError::Stopping => draining(),
    }
}

pub(crate) fn draining() -> Status {
    let message = "this node goes down; call again, with the same request ids";
    unavailable("NODE_DRAINING", message, RESUME_PAUSE)
}

pub(crate) fn request_id_reused(alarm: &str) -> Status {
    let message = format!(
        "request id was used for another event, of `alarms/{alarm}`; use a new one for a new event"
    );
    let metadata = [("alarm", format!("alarms/{alarm}"))];
    status(Code::AlreadyExists, "REQUEST_ID_REUSED", message, metadata)
}

pub(crate) fn invalid_name(name: &str, form: &str) -> Status {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
    let message = format!("`{shown}` is no name; it looks like `{form}`");
    status(Code::InvalidArgument, "INVALID_NAME", message, [("name", shown)])
}

pub(crate) fn not_found(reason: &str, name: &str) -> Status {
    let message = format!("`{name}` does not exist");
    status(Code::NotFound, reason, message, [("name", name.to_owned())])
}

pub(crate) fn not_firing(name: &str) -> Status {
    let remedy = "only an alarm that fires can be acknowledged; look at its state";
    let precondition = Precondition { kind: "STATE", subject: name, remedy };
    let message = format!("`{name}` does not fire");
    failed_precondition("ALARM_NOT_FIRING", message, [("alarm", name.to_owned())], &precondition)
}

pub(crate) fn changed(name: &str) -> Status {
    let message = format!("`{name}` is written by others all the time; call again");
    status(Code::Aborted, "ALARM_CHANGED", message, [("name", name.to_owned())])
}

pub(crate) fn not_saved(error: SaveError) -> Status {
    let message = error.to_string();
    match error {
        SaveError::EtagMismatch { present } => {
            let message = format!("{message}; get them, look, and save again with it");
            status(Code::Aborted, "ETAG_MISMATCH", message, [("etag", present)])
        }
        SaveError::Store(_) => {
            error!("alarm settings were not saved: {}", Chain(&error));
            unavailable("SETTINGS_STORE_UNAVAILABLE", message, STORE_RETRY)
        }
    }
}

pub(crate) fn store(source: &StoreError) -> Status {
    error!("the client is told to try again: {}", Chain(source));
    match source {
        StoreError::Full(_) => {
            let message = "the store is full; nothing was stored: make room on the node's disk";
            status(Code::ResourceExhausted, "STORE_FULL", message, [])
        }
        StoreError::Unusable(_) => {
            let message = "the store cannot be used at the moment; call again, with the same \
                           request ids, so that nothing is taken twice";
            unavailable("STORE_UNAVAILABLE", message, STORE_RETRY)
        }
    }
}
