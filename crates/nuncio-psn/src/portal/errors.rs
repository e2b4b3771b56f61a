//! What a client of portal mail sees when something goes wrong.

use nuncio_api::error::{Precondition, failed_precondition, invalid, status};
use nuncio_core::directory::guest::GuestId;
use nuncio_core::job::Reason;
use nuncio_core::portal::plan::Refused;
use nuncio_core::ports::records::CommitError;
use nuncio_core::violation::{Violation, Violations};
use nuncio_delivery::intake::IntakeError;
use nuncio_directory::directory::DirectoryError;
use nuncio_runtime::chain::Chain;
use tonic::{Code, Status};
use tracing::error;

use super::keys::KeyError;
use super::notice::NotMade;
use crate::errors::{not_accepted, store};

pub(crate) fn invalid_notice(violations: Violations) -> Status {
    invalid("INVALID_NOTICE", "the request is not valid", violations)
}

pub(crate) fn request_id_reused() -> Status {
    let message = "request id was used for another request; use a new one for new content";
    status(Code::AlreadyExists, "REQUEST_ID_REUSED", message, [])
}

pub(crate) fn guest_not_found(id: &GuestId) -> Status {
    let message = format!("guest `{id}` does not exist");
    status(Code::NotFound, "GUEST_NOT_FOUND", message, [("guest", id.to_string())])
}

/// Others write the same records all the time.
pub(crate) fn contended() -> Status {
    let message = "the guest was changed by somebody else meanwhile; call again";
    status(Code::Aborted, "GUEST_CHANGED", message, [])
}

pub(crate) fn no_key(problem: &KeyError) -> Status {
    error!("no portal key: {}", Chain(problem));
    let message = "the settings cannot be used at the moment; call again";
    nuncio_api::error::unavailable("STORE_UNAVAILABLE", message, std::time::Duration::from_secs(2))
}

pub(crate) fn directory(problem: DirectoryError) -> Status {
    match problem {
        DirectoryError::Store(source) => store(&source),
        DirectoryError::Contended { .. } => contended(),
        DirectoryError::Broken(broken) => {
            error!("a guest cannot be read: {}", Chain(&broken));
            status(Code::DataLoss, "GUEST_UNREADABLE", broken.to_string(), [])
        }
    }
}

/// What of a commit is not a conflict.
pub(crate) fn not_committed(problem: CommitError) -> Status {
    match problem {
        CommitError::Store(source) => store(&source),
        CommitError::Conflict { .. } => contended(),
        CommitError::RequestIdReused { .. } => request_id_reused(),
    }
}

pub(crate) fn refused(refused: &Refused) -> Status {
    let mut violations = Violations::default();
    match refused {
        Refused::PasswordMissing { .. } | Refused::PasswordUnwanted { .. } => {
            violations.add("password", format!("{refused}: {}", refused.remedy()));
            return invalid_notice(violations);
        }
        Refused::Disabled
        | Refused::EventOff { .. }
        | Refused::State { .. }
        | Refused::PasswordOwn
        | Refused::NoAddress
        | Refused::NoSponsor => {}
    }
    let state = match refused {
        Refused::State { state, .. } => state.name(),
        Refused::Disabled
        | Refused::EventOff { .. }
        | Refused::PasswordOwn
        | Refused::NoAddress
        | Refused::NoSponsor
        | Refused::PasswordMissing { .. }
        | Refused::PasswordUnwanted { .. } => "",
    };
    let precondition = Precondition { kind: "GUEST", subject: "guest", remedy: refused.remedy() };
    let message = refused.to_string();
    failed_precondition(refused.code(), message, [("state", state.to_owned())], &precondition)
}

pub(crate) fn not_made(problem: NotMade) -> Status {
    match problem {
        NotMade::Invalid(violations) => invalid_notice(violations),
        NotMade::GuestNotFound(id) => guest_not_found(&id),
        NotMade::Refused(problem) => refused(&problem),
        NotMade::Mail(problem) => mail_not_made(problem),
        NotMade::Directory(problem) => directory(problem),
    }
}

pub(crate) fn mail_not_made(problem: IntakeError) -> Status {
    match problem {
        IntakeError::Invalid(violations) => invalid_notice(violations),
        other @ (IntakeError::UnknownTemplate { .. }
        | IntakeError::RequestIdReused { .. }
        | IntakeError::Store(_)) => not_accepted(other),
    }
}

/// Why a guest of a bulk was refused; none if it is no matter of this guest.
pub(crate) fn refusal(problem: NotMade) -> Result<Reason, Status> {
    match problem {
        NotMade::Refused(Refused::Disabled) => Err(refused(&Refused::Disabled)),
        NotMade::Refused(refused) => {
            Ok(Reason::new(refused.code(), refused.to_string()).remedy(refused.remedy()))
        }
        NotMade::GuestNotFound(id) => {
            Ok(Reason::new("GUEST_NOT_FOUND", format!("guest `{id}` does not exist")))
        }
        NotMade::Invalid(violations) | NotMade::Mail(IntakeError::Invalid(violations)) => {
            let one =
                |Violation { field, fault: _, problem }: Violation| format!("{field}: {problem}");
            let all: Vec<_> = violations.into_iter().map(one).collect();
            Ok(Reason::new("INVALID_NOTICE", all.join("; ")))
        }
        NotMade::Mail(problem) => Err(mail_not_made(problem)),
        NotMade::Directory(problem) => Err(directory(problem)),
    }
}
