//! What a client sees when something goes wrong. The cause goes to the log, not to the client.

use std::time::Duration;

use nuncio_api::error::{Precondition, failed_precondition, invalid, status, unavailable};
use nuncio_core::job::{JobState, MailJobId, NotAMailJobName};
use nuncio_core::ports::job_store::{CancelError, StoreError};
use nuncio_delivery::intake::IntakeError;
use nuncio_runtime::chain::Chain;
use tonic::{Code, Status};
use tracing::error;

/// When a client may try again while the store is down.
const STORE_RETRY: Duration = Duration::from_secs(2);

pub(crate) fn not_accepted(error: IntakeError) -> Status {
    let message = error.to_string();
    match error {
        IntakeError::Invalid(violations) => invalid("INVALID_MAIL_JOB", message, violations),
        IntakeError::UnknownTemplate { name, known } => {
            let metadata = [("template", name), ("known", known)];
            status(Code::NotFound, "TEMPLATE_NOT_FOUND", message, metadata)
        }
        IntakeError::RequestIdReused { existing } => {
            let message = format!("{message}; use a new request id for new content");
            let metadata = [("mail_job", existing.to_string())];
            status(Code::AlreadyExists, "REQUEST_ID_REUSED", message, metadata)
        }
        IntakeError::Store(source) => store(&source),
    }
}

pub(crate) fn not_cancelled(error: CancelError) -> Status {
    match error {
        CancelError::NotFound(id) => not_found(id),
        CancelError::NotWaiting { id, state } => {
            let message = error.to_string();
            let metadata = [("mail_job", id.to_string()), ("state", state.name().to_owned())];
            let remedy = if state == JobState::Sending {
                "it is being sent at this moment; look again when it has ended"
            } else {
                "it has ended; nothing is left to cancel"
            };
            let precondition = Precondition { kind: "STATE", subject: &id.to_string(), remedy };
            failed_precondition("MAIL_JOB_NOT_CANCELLABLE", message, metadata, &precondition)
        }
        CancelError::Store(source) => store(&source),
    }
}

pub(crate) fn not_found(id: MailJobId) -> Status {
    let message = format!("mail job `{id}` does not exist; it may have been removed after its end");
    status(Code::NotFound, "MAIL_JOB_NOT_FOUND", message, [("mail_job", id.to_string())])
}

pub(crate) fn invalid_name(error: &NotAMailJobName) -> Status {
    status(Code::InvalidArgument, "INVALID_NAME", error.to_string(), [("name", error.0.clone())])
}

pub(crate) fn store(source: &StoreError) -> Status {
    error!("the client is told to try again: {}", Chain(source));
    match source {
        StoreError::Full(_) => {
            let message = "the job store is full; nothing was stored: make room on the node's disk";
            status(Code::ResourceExhausted, "STORE_FULL", message, [])
        }
        StoreError::Unusable(_) => {
            let message = "the job store cannot be used at the moment; nothing was stored";
            unavailable("STORE_UNAVAILABLE", message, STORE_RETRY)
        }
    }
}
