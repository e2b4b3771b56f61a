//! What a client sees when something goes wrong. The cause goes to the log, not to the client.

use std::time::Duration;

use nuncio_api::error::{Precondition, failed_precondition, invalid, status, unavailable};
use nuncio_core::job::{JobState, MailJobId, NotAMailJobName};
use nuncio_core::ports::job_store::{CancelError, DirectError, StoreError};
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

pub(crate) fn not_directed(error: DirectError) -> Status {
    let message = error.to_string();
    let (reason, id, state, remedy) = match error {
        DirectError::NotFound(id) => return not_found(id),
        DirectError::Store(source) => return store(&source),
        DirectError::NotHoldable { id, state } => {
            ("MAIL_JOB_NOT_HOLDABLE", id, state, if_not_waiting(state))
        }
        DirectError::NotHeld { id, state } => {
            let remedy = match state {
                JobState::Held => "see its reason for what it waits for; retry it to try it now",
                JobState::Deferred => "retry it to try it now",
                JobState::Queued => "nothing keeps it; it is sent when its turn comes",
                JobState::Sending
                | JobState::Sent
                | JobState::Failed
                | JobState::Expired
                | JobState::Cancelled
                | JobState::Unknown => if_not_waiting(state),
            };
            ("MAIL_JOB_NOT_HELD_BY_CALLER", id, state, remedy)
        }
        DirectError::NotRetryable { id, state } => {
            let remedy = match state {
                JobState::Queued => "it waits for its first attempt, which comes by itself",
                JobState::Sent => {
                    "it was accepted for at least one recipient; submit a new job for others"
                }
                JobState::Failed | JobState::Expired | JobState::Cancelled => {
                    "its mail was removed at its end; submit it again"
                }
                JobState::Sending | JobState::Deferred | JobState::Held | JobState::Unknown => {
                    if_not_waiting(state)
                }
            };
            ("MAIL_JOB_NOT_RETRYABLE", id, state, remedy)
        }
        DirectError::TooLate(id) => {
            let remedy = "its mail was removed when its time to live ended; submit it again";
            ("MAIL_JOB_NOT_RETRYABLE", id, JobState::Unknown, remedy)
        }
        DirectError::MayBeDuplicate(id) => {
            let remedy = "ask a recipient or look into the mailbox's sent items; if it did not arrive, \
                          retry it and allow a duplicate";
            ("MAIL_JOB_MAY_BE_DUPLICATED", id, JobState::Unknown, remedy)
        }
    };
    let metadata = [("mail_job", id.to_string()), ("state", state.name().to_owned())];
    let precondition = Precondition { kind: "STATE", subject: &id.to_string(), remedy };
    failed_precondition(reason, message, metadata, &precondition)
}

fn if_not_waiting(state: JobState) -> &'static str {
    if state == JobState::Sending {
        "it is being sent at this moment; look again when that has ended"
    } else {
        "it has ended; submit a new job instead"
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
            // A commit whose answer was lost may be on disk, so nothing is said of what was stored.
            let message = "the job store cannot be used at the moment; call again, and to create a job \
                           use the same request id, so that it is not made twice";
            unavailable("STORE_UNAVAILABLE", message, STORE_RETRY)
        }
    }
}
