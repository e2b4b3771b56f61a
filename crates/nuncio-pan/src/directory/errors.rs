//! What a client sees when something goes wrong. The cause goes to the log, not to the client.

use std::time::Duration;

use nuncio_api::convert::directory::NotAName;
use nuncio_api::error::{Precondition, failed_precondition, invalid, status, unavailable};
use nuncio_core::directory::guest::Guest;
use nuncio_core::directory::lifecycle::Refused;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::violation::Violations;
use nuncio_directory::change::Entry;
use nuncio_directory::directory::{ChangeError, DirectoryError};
use nuncio_runtime::chain::Chain;
use tonic::{Code, Status};
use tracing::error;

use super::person::Person;

/// When a client may try again while the store is down, or others write the same records.
const STORE_RETRY: Duration = Duration::from_secs(2);

pub(super) fn invalid_name(name: &str, error: &NotAName) -> Status {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(256).collect();
    let message = format!("`{shown}` {error}");
    status(Code::InvalidArgument, "INVALID_NAME", message, [("name", shown)])
}

pub(super) fn not_found<P: Person>(id: &P::Id) -> Status {
    let message = format!("`{id}` does not exist");
    status(Code::NotFound, P::NOT_FOUND, message, [("name", id.to_string())])
}

pub(super) fn invalid_person<P: Person>(violations: Violations) -> Status {
    invalid(P::INVALID, format!("the {} is not valid", P::NOUN), violations)
}

/// The etag must be that of the present state, if one is given.
pub(super) fn check_etag<P: Person>(etag: &str, before: Option<&Entry<P>>) -> Result<(), Status> {
    let present = before.map(Entry::etag).unwrap_or_default();
    if etag.is_empty() || etag == present {
        return Ok(());
    }
    let message = format!(
        "the {} has changed since the etag was told; get it, look, and change it again",
        P::NOUN
    );
    Err(status(Code::Aborted, "ETAG_MISMATCH", message, [("etag", present)]))
}

pub(super) fn not_done(guest: &Guest, refused: &Refused) -> Status {
    let message = refused.to_string();
    let name = guest.id.to_string();
    let remedy = match refused {
        Refused::End { .. } | Refused::Reason => {
            let field = if matches!(refused, Refused::Reason) { "reason" } else { "valid_to_time" };
            let mut violations = Violations::default();
            violations.add(field, &message);
            return invalid_person::<Guest>(violations);
        }
        Refused::State { .. } => "look at the guest's state; UpdateGuest can set another one",
        Refused::NotYetValid { .. } => "wait, or set an earlier `valid_from_time` with UpdateGuest",
        Refused::NoLongerValid { .. } => "extend the guest",
        Refused::StillValid { .. } => "wait, or set an earlier `valid_to_time` with UpdateGuest",
    };
    let metadata = [("guest", name.clone()), ("state", guest.state.name().to_owned())];
    let precondition = Precondition { kind: "STATE", subject: &name, remedy };
    failed_precondition(refused.code(), message, metadata, &precondition)
}

pub(super) fn not_changed(error: ChangeError<Status>) -> Status {
    match error {
        ChangeError::Refused(status) => status,
        ChangeError::Directory(source) => not_read(source),
    }
}

pub(super) fn not_read(error: DirectoryError) -> Status {
    match error {
        DirectoryError::Store(source) => store(&source),
        DirectoryError::Broken(broken) => {
            error!("a stored guest or user cannot be read: {}", Chain(&broken));
            let message = "the stored record cannot be read by this version of nuncio";
            status(Code::Internal, "RECORD_UNREADABLE", message, [("id", broken.id)])
        }
        DirectoryError::Contended { .. } => {
            unavailable("STORE_UNAVAILABLE", error.to_string(), STORE_RETRY)
        }
    }
}

pub(super) fn store(source: &StoreError) -> Status {
    error!("the client is told to try again: {}", Chain(source));
    match source {
        StoreError::Full(_) => {
            let message = "the store is full; nothing was stored: make room on the node's disk";
            status(Code::ResourceExhausted, "STORE_FULL", message, [])
        }
        StoreError::Unusable(_) => {
            let message = "the store cannot be used at the moment; call again";
            unavailable("STORE_UNAVAILABLE", message, STORE_RETRY)
        }
    }
}
