//! Why a command failed, and how that is told.

use std::io;
use std::path::PathBuf;

use nuncio_api::client::ConnectError;
use nuncio_api::client::tls::{TlsFailure, tls_failure};
use nuncio_api::error::reason;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{FieldViolation, StatusExt};

use crate::command::settings::bundle::file::Finding;
use crate::exit::Exit;
use crate::globals::Format;
use crate::output::{Line, Output, Tone};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server's answer.
    #[error("{}", .0.message())]
    Status(Box<Status>),
    /// What was given makes no request.
    #[error("{problem}")]
    Input { problem: String, remedy: &'static str },
    #[error("file `{}` cannot be read", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("file `{}` cannot be written", path.display())]
    Written { path: PathBuf, source: io::Error },
    #[error("the result cannot be written")]
    Output(#[from] io::Error),
    /// A part of an import was done.
    #[error("the import broke off after {done} rows, which stay as they are")]
    BrokenOff {
        done: i64,
        #[source]
        failure: Box<Failure>,
    },
    /// What a file of settings says cannot be.
    #[error("the settings cannot be imported; nothing was saved")]
    Findings(Vec<Finding>),
    /// Some parts of a file of settings were saved.
    #[error("the import broke off; saved: {}", if done.is_empty() { "nothing".to_owned() } else { done.join(", ") })]
    HalfImported {
        done: Vec<&'static str>,
        #[source]
        failure: Box<Failure>,
    },
    /// The answer of the server is not complete, as from another version.
    #[error("the server's answer has no {0}; is it another version?")]
    Incomplete(&'static str),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// Everything there is to tell about a failure.
struct Told {
    /// A stable name: that of the API's error, or one of the client's own.
    reason: String,
    message: String,
    violations: Vec<FieldViolation>,
    remedies: Vec<String>,
}

impl Failure {
    pub(crate) fn input(problem: impl Into<String>, remedy: &'static str) -> Self {
        Self::Input { problem: problem.into(), remedy }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Connect(ConnectError::Unreachable { .. } | ConnectError::Refused { .. }) => {
                Exit::Unreachable
            }
            Self::Connect(ConnectError::InvalidAddress { .. } | ConnectError::Tls(_))
            | Self::Input { .. }
            | Self::File { .. }
            | Self::Findings(_) => Exit::Invalid,
            Self::Status(status) => exit_of(status),
            Self::BrokenOff { failure, .. } | Self::HalfImported { failure, .. } => failure.exit(),
            // Whoever closed the pipe has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            Self::Written { .. } | Self::Output(_) | Self::Incomplete(_) => Exit::Failed,
        }
    }

    /// Whether the connection broke or the server is on its way down, so that the same call may succeed.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Connect(error) => matches!(error, ConnectError::Unreachable { .. }),
            Self::Status(status) => {
                status.code() == Code::Unavailable || exit_of(status) == Exit::Unreachable
            }
            Self::BrokenOff { failure, .. } | Self::HalfImported { failure, .. } => {
                failure.is_passing()
            }
            Self::Input { .. }
            | Self::Findings(_)
            | Self::File { .. }
            | Self::Written { .. }
            | Self::Output(_)
            | Self::Incomplete(_) => false,
        }
    }

    /// Tells the failure: what is wrong, all of it, and what to do.
    pub(crate) fn tell(&self, server: &str, out: &mut Output) -> io::Result<()> {
        if self.exit() == Exit::Ok {
            return Ok(());
        }
        let told = self.told(server);
        match out.format() {
            Format::Json => {
                let violations = told.violations.iter().map(|one| {
                    json!({
                        "field": one.field,
                        "reason": one.reason,
                        "description": one.description,
                    })
                });
                out.error_value(&json!({ "error": {
                    "reason": told.reason,
                    "message": told.message,
                    "violations": violations.collect::<Vec<_>>(),
                    "remedies": told.remedies,
                }}))
            }
            Format::Table => {
                out.note(Line::new().push(Tone::Bad, "error: ").plain(told.message))?;
                for FieldViolation { field, description, .. } in told.violations {
                    out.note(
                        Line::new()
                            .plain("  ")
                            .push(Tone::Strong, field)
                            .plain(format!(": {description}")),
                    )?;
                }
                for remedy in told.remedies {
                    out.note(Line::new().push(Tone::Good, "  do: ").plain(remedy))?;
                }
                Ok(())
            }
        }
    }

    fn told(&self, server: &str) -> Told {
        let own = |reason: &str, remedies: Vec<String>| Told {
            reason: reason.to_owned(),
            message: chain(self),
            violations: Vec::new(),
            remedies,
        };
        match self {
            Self::Connect(ConnectError::Unreachable { address, .. }) => {
                unreachable_told(address, &chain(self))
            }
            Self::Connect(ConnectError::Refused { address, source }) => {
                refused_told(address, source)
            }
            Self::Connect(ConnectError::Tls(_)) => own("INVALID_CREDENTIALS", vec![]),
            Self::Connect(ConnectError::InvalidAddress { .. }) => own("INVALID_ADDRESS", vec![]),
            Self::Status(status)
                if exit_of(status) == Exit::Unreachable || is_of_transport(status) =>
            {
                match tls_failure(status.as_ref()) {
                    Some(failure) => refused_told(server, &failure),
                    None => broken_told(server, status.message()),
                }
            }
            Self::Status(status) => told_by_server(status),
            Self::Findings(findings) => Told {
                violations: findings
                    .iter()
                    .map(|one| FieldViolation::new(one.field.clone(), one.problem.clone()))
                    .collect(),
                ..own("INVALID_SETTINGS_FILE", vec![])
            },
            Self::BrokenOff { failure, .. } | Self::HalfImported { failure, .. } => {
                let told = failure.told(server);
                let again = "when that is mended, import the same file again: it goes on";
                let remedies = told.remedies.into_iter().chain([again.to_owned()]).collect();
                Told { message: format!("{self}: {}", told.message), remedies, ..told }
            }
            Self::Input { remedy, .. } => own("INVALID_INPUT", vec![(*remedy).to_owned()]),
            Self::File { .. } => own("FILE_NOT_READABLE", vec![]),
            Self::Written { .. } => own("FILE_NOT_WRITABLE", vec![]),
            Self::Output(_) => own("OUTPUT_NOT_WRITABLE", vec![]),
            Self::Incomplete(_) => own("INCOMPLETE_ANSWER", vec![]),
        }
    }
}

fn exit_of(status: &Status) -> Exit {
    let from_nuncio = reason(status).is_some();
    match status.code() {
        Code::Ok => Exit::Ok,
        Code::NotFound => Exit::NotFound,
        Code::InvalidArgument | Code::OutOfRange | Code::AlreadyExists => Exit::Invalid,
        Code::FailedPrecondition
        | Code::Aborted
        | Code::PermissionDenied
        | Code::Unauthenticated => Exit::Refused,
        // Without a reason of nuncio's own it is the transport that speaks.
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
            if !from_nuncio =>
        {
            Exit::Unreachable
        }
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Unknown
        | Code::ResourceExhausted
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => Exit::Failed,
    }
}

fn refused_told(server: &str, TlsFailure { code, cause, remedy }: &TlsFailure) -> Told {
    Told {
        reason: code.clone(),
        message: format!("no safe connection to {server}: {cause}"),
        violations: Vec::new(),
        remedies: vec![remedy.clone()],
    }
}

fn unreachable_told(server: &str, detail: &str) -> Told {
    let message = if detail.is_empty() || detail.contains(server) {
        detail.to_owned()
    } else {
        format!("no nuncio answers at {server}: {detail}")
    };
    Told {
        reason: "SERVER_UNREACHABLE".to_owned(),
        message,
        violations: Vec::new(),
        remedies: vec![
            "start one with `nuncio serve`, or name another with `--server` or `NUNCIO_SERVER`"
                .to_owned(),
        ],
    }
}

/// Whether a status came about on this side of the connection.
fn is_of_transport(status: &Status) -> bool {
    reason(status).is_none() && std::error::Error::source(status).is_some()
}

/// Somebody was there, but did not speak as a node does.
fn broken_told(server: &str, detail: &str) -> Told {
    let mut told = unreachable_told(server, detail);
    if server.starts_with("http://") {
        told.remedies.push("if that node has a certificate, give `https://…`".to_owned());
    }
    told
}

fn told_by_server(status: &Status) -> Told {
    let details = status.get_error_details();
    let reason = reason(status).unwrap_or_else(|| format!("{:?}", status.code()));
    let mut violations = Vec::new();
    let mut remedies = Vec::new();
    if let Some(request) = details.bad_request() {
        violations.extend(request.field_violations.iter().cloned());
    }
    if let Some(failure) = details.precondition_failure() {
        remedies.extend(failure.violations.iter().map(|one| one.description.clone()));
    }
    remedies.extend(own_remedy(&reason).map(str::to_owned));
    if let Some(wait) = details.retry_info().and_then(|info| info.retry_delay) {
        remedies.push(format!("try again in {} s", wait.as_secs().max(1)));
    }
    Told { reason, message: status.message().to_owned(), violations, remedies }
}

/// Which command of this program helps. What else to do is told by the server.
fn own_remedy(reason: &str) -> Option<&'static str> {
    match reason {
        "SMTP_SETTINGS_NOT_SET" => Some("set them with `nuncio settings smtp save --test …`"),
        "SMTP_SETTINGS_NOT_TESTED" => {
            Some("add `--test`, which tests exactly these values and saves them if they pass")
        }
        "ETAG_MISMATCH" => Some("look at what is there now with `get`, then save again"),
        "CREDENTIALS_MISSING" => {
            Some("give `--token-file`, or `--cert-file` with `--key-file`, of a caller")
        }
        "NOT_SERVED" => Some(
            "name a node that serves it by `--server`; `nuncio nodes` lists the nodes with their roles",
        ),
        "CALLER_NOT_FOUND" => Some("see which there are with `nuncio callers list`"),
        "GUEST_NOT_FOUND" => Some("see which there are with `nuncio guests list`"),
        "USER_NOT_FOUND" => Some("see which there are with `nuncio users list`"),
        "TEMPLATE_NOT_FOUND" => Some("see which there are with `nuncio templates list`"),
        "MAIL_JOB_NOT_FOUND" => Some("see which there are with `nuncio jobs list`"),
        "MAIL_JOB_MAY_BE_DUPLICATED" => Some("add `--allow-duplicate` to send it again"),
        "REQUEST_ID_REUSED" => Some("give another `--request-id`, or the same content as before"),
        "INVALID_PAGE_TOKEN" => Some("begin again without `--page-token`"),
        "INVALID_RESUME_TOKEN" => Some("begin again without `--resume-token`"),
        _ => None,
    }
}

/// An error with all its causes, each told once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
