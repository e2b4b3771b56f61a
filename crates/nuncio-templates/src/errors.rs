//! What a client sees when something goes wrong. The cause goes to the log, not to the client.

use std::time::Duration;

use nuncio_api::error::{invalid, status, unavailable};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::template::TemplateError;
use nuncio_core::violation::Violations;
use nuncio_delivery::intake::IntakeError;
use nuncio_runtime::chain::Chain;
use tonic::{Code, Status};
use tracing::error;

use crate::share::WriteError;

/// When a client may try again while the store is down.
const STORE_RETRY: Duration = Duration::from_secs(2);

pub(crate) fn store(source: &StoreError) -> Status {
    error!("the client is told to try again: {}", Chain(source));
    match source {
        StoreError::Full(_) => {
            let message = "the store is full; nothing was stored: make room on the node's disk";
            status(Code::ResourceExhausted, "STORE_FULL", message, [])
        }
        StoreError::Unusable(_) => {
            let message =
                "the store cannot be used at the moment; look what was saved, and call again";
            unavailable("STORE_UNAVAILABLE", message, STORE_RETRY)
        }
    }
}

pub(crate) fn not_found(name: &str) -> Status {
    let message = format!("template `{name}` does not exist; `ListTemplates` tells those that do");
    status(Code::NotFound, "TEMPLATE_NOT_FOUND", message, [("name", name.to_owned())])
}

pub(crate) fn not_written(error: WriteError, name: &str) -> Status {
    let message = error.to_string();
    match error {
        WriteError::NotFound => {
            let message = format!("{message}: `{name}`; to save new ones set `allow_missing`");
            status(Code::NotFound, "TEMPLATE_NOT_FOUND", message, [("name", name.to_owned())])
        }
        WriteError::EtagMismatch { present } => {
            let message = format!("{message}; get them, look at them and save again");
            status(Code::Aborted, "ETAG_MISMATCH", message, [("present", present)])
        }
        WriteError::TooMany => {
            let message =
                format!("{message}; use the portal `default` for what portals have in common");
            status(Code::ResourceExhausted, "TOO_MANY_TEMPLATES", message, [])
        }
        WriteError::Store(source) => store(&source),
    }
}

pub(crate) fn invalid_template(violations: Violations) -> Status {
    invalid("INVALID_TEMPLATE", "the template is not valid", violations)
}

pub(crate) fn not_rendered(error: TemplateError) -> Status {
    match error {
        TemplateError::Unknown { name, .. } => not_found(&name),
        TemplateError::Invalid { variables, locale, portal } => {
            let mut violations = Violations::default();
            for (variable, problem) in variables {
                violations.add(format!("variables.{variable}"), problem);
            }
            for problem in [locale, portal].into_iter().flatten() {
                violations.add("name", problem);
            }
            invalid_template(violations)
        }
        TemplateError::Broken(problem) => {
            let mut violations = Violations::default();
            violations.add("name", problem);
            invalid_template(violations)
        }
    }
}

pub(crate) fn not_accepted(error: IntakeError) -> Status {
    let message = error.to_string();
    match error {
        IntakeError::Invalid(violations) => invalid("INVALID_MAIL_JOB", message, violations),
        IntakeError::UnknownTemplate { name, .. } => not_found(&name),
        IntakeError::RequestIdReused { existing } => {
            let message = format!("{message}; use a new request id for new content");
            let metadata = [("mail_job", existing.to_string())];
            status(Code::AlreadyExists, "REQUEST_ID_REUSED", message, metadata)
        }
        IntakeError::Store(source) => store(&source),
    }
}
