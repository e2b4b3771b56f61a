//! Errors as the API tells them: a status with details that a program can read (AIP-193).

use std::collections::HashMap;
use std::time::Duration;

use nuncio_core::violation::{Violation, Violations};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The domain of every [`ErrorInfo`](tonic_types::ErrorInfo) of nuncio.
pub const DOMAIN: &str = "nuncio";

/// Details with the reason, a stable name in upper case, and every value that stands in the message.
pub fn info<const N: usize>(reason: &str, metadata: [(&str, String); N]) -> ErrorDetails {
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

/// A status with its reason and the values that stand in its message.
pub fn status<const N: usize>(
    code: Code,
    reason: &str,
    message: impl Into<String>,
    metadata: [(&str, String); N],
) -> Status {
    Status::with_error_details(code, message, info(reason, metadata))
}

/// `INVALID_ARGUMENT` with every violation as `BadRequest`, each with a reason of its own: the name of its fault.
pub fn invalid(reason: &str, message: impl Into<String>, violations: Violations) -> Status {
    let mut details = info(reason, []);
    let told = violations.into_iter().map(|Violation { field, fault, problem }| {
        let reason = fault.name().to_owned();
        FieldViolation { reason, ..FieldViolation::new(field, problem) }
    });
    details.set_bad_request(told.collect::<Vec<_>>());
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// `UNAVAILABLE` with `RetryInfo`: the same call may succeed after a wait.
pub fn unavailable(reason: &str, message: impl Into<String>, retry_after: Duration) -> Status {
    let mut details = info(reason, []);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::Unavailable, message, details)
}

/// `RESOURCE_EXHAUSTED` with `RetryInfo`: whoever waits has room again.
pub fn exhausted<const N: usize>(
    reason: &str,
    message: impl Into<String>,
    metadata: [(&str, String); N],
    retry_after: Duration,
) -> Status {
    let mut details = info(reason, metadata);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// What must be done before the same call can succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition<'a> {
    /// A stable name in upper case, for example `SMTP_TEST`.
    pub kind: &'a str,
    /// What does not fulfil it, for example `smtpSettings`.
    pub subject: &'a str,
    /// What to do, for a person.
    pub remedy: &'a str,
}

/// `FAILED_PRECONDITION` with `PreconditionFailure`: somebody must do something first.
pub fn failed_precondition<const N: usize>(
    reason: &str,
    message: impl Into<String>,
    metadata: [(&str, String); N],
    precondition: &Precondition<'_>,
) -> Status {
    let mut details = info(reason, metadata);
    let Precondition { kind, subject, remedy } = *precondition;
    details.add_precondition_failure_violation(kind, subject, remedy);
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

/// The reason of a status that nuncio made, if it is one.
pub fn reason(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    (info.domain == DOMAIN).then_some(info.reason)
}

#[cfg(test)]
mod tests;
