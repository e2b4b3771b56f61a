//! `DirectoryService`: converts at the edge, decides nothing.

mod delete_many;
mod errors;
mod import;
mod person;

use std::sync::Arc;

use nuncio_api::convert::directory::guest_id;
use nuncio_api::convert::enums::known_all;
use nuncio_api::convert::field_mask::Mask;
use nuncio_api::convert::time::timestamp_from;
use nuncio_api::page_token::ListError;
use nuncio_api::page_token::by_id::{id_page, next_id_page};
use nuncio_api::v1;
use nuncio_api::v1::directory_service_server::DirectoryService;
use nuncio_core::directory::guest::{Guest, GuestState};
use nuncio_core::directory::lifecycle::GuestAction;
use nuncio_core::directory::user::{User, UserKind};
use nuncio_core::ports::clock::Clock;
use nuncio_core::violation::Violations;
use nuncio_directory::change::Entry;
use nuncio_directory::directory::{Directory, Wanted};
use nuncio_directory::list::{Filter, GuestFilter, UserFilter};
use nuncio_directory::subject::Subject as _;
use prost::Message;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::error;

use crate::directory::errors::{
    check_etag, invalid_name, not_changed, not_done, not_found, not_read, store,
};
use crate::directory::person::Person;

/// How many imports a node takes at once: each holds a batch of rows.
const IMPORTS_MAX: usize = 4;
/// The most values of a filter that are read.
const FILTER_VALUES_MAX: usize = 100;
/// The longest text of a filter, in characters.
const FILTER_CHARS_MAX: usize = 512;

pub(crate) struct DirectoryApi {
    directory: Directory,
    clock: Arc<dyn Clock>,
    imports: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// What an update asks for.
struct Update<M> {
    given: M,
    mask: Option<prost_types::FieldMask>,
    allow_missing: bool,
    validate_only: bool,
}

impl DirectoryApi {
    pub(crate) fn new(
        directory: Directory,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
    ) -> Self {
        Self { directory, clock, imports: Arc::new(Semaphore::new(IMPORTS_MAX)), shutdown }
    }

    async fn get<P: Person>(&self, name: &str) -> Result<P::Message, Status> {
        let id = P::id_of(name).map_err(|error| invalid_name(name, &error))?;
        let found = self.directory.get::<P>(&id).await.map_err(not_read)?;
        found.map(|entry| P::told(&entry)).ok_or_else(|| not_found::<P>(&id))
    }

    async fn update<P: Person>(&self, update: Update<P::Message>) -> Result<P::Message, Status> {
        let Update { given, mask, allow_missing, validate_only } = update;
        let name = P::name_of(&given);
        let id = P::id_of(name).map_err(|error| invalid_name(name, &error))?;
        let mut violations = Violations::default();
        let mask = Mask::read::<P::Message>(&mut violations, mask);
        if !violations.is_empty() {
            return Err(errors::invalid_person::<P>(violations));
        }
        let now = self.clock.now();
        let etag = P::etag_of(&given).to_owned();
        let decide = |before: Option<&Entry<P>>| {
            if before.is_none() && !(allow_missing && etag.is_empty()) {
                return Err(not_found::<P>(&id));
            }
            check_etag(&etag, before)?;
            let before = before.map(|entry| &entry.subject);
            let after = P::updated(given.clone(), &mask, id.clone(), before, now);
            after.map_err(|violations| {
                errors::invalid_person::<P>(violations.under(P::FIELD_PREFIX))
            })
        };
        if validate_only {
            let before = self.directory.get::<P>(&id).await.map_err(not_read)?;
            return decide(before.as_ref()).map(|after| P::message(&after));
        }
        let done = self.directory.change(&id, now, |before| {
            let after = decide(before)?;
            let is_same = before.is_some_and(|entry| after.is_same_as(&entry.subject));
            Ok(if is_same { Wanted::Keep } else { Wanted::Put(after) })
        });
        let entry = done.await.map_err(not_changed)?.entry;
        entry.map(|entry| P::told(&entry)).ok_or_else(|| not_found::<P>(&id))
    }

    async fn delete<P: Person>(
        &self,
        name: &str,
        etag: &str,
        allow_missing: bool,
    ) -> Result<(), Status> {
        let id = P::id_of(name).map_err(|error| invalid_name(name, &error))?;
        let decide = |before: Option<&Entry<P>>| {
            if before.is_none() && !allow_missing {
                return Err(not_found::<P>(&id));
            }
            if before.is_some() {
                check_etag(etag, before)?;
            }
            Ok(Wanted::Remove)
        };
        let done = self.directory.change(&id, self.clock.now(), decide).await;
        done.map(|_done| ()).map_err(not_changed)
    }

    /// Does something with a guest that needs no mail.
    async fn act(&self, name: &str, etag: &str, action: GuestAction) -> Result<v1::Guest, Status> {
        let id = guest_id(name).map_err(|error| invalid_name(name, &error))?;
        let now = self.clock.now();
        let decide = |before: Option<&Entry<Guest>>| {
            let before = before.ok_or_else(|| not_found::<Guest>(&id))?;
            check_etag(etag, Some(before))?;
            let after = before.subject.after(&action, now);
            let after = after.map_err(|refused| not_done(&before.subject, &refused))?;
            let is_same = after.is_same_as(&before.subject);
            Ok(if is_same { Wanted::Keep } else { Wanted::Put(after) })
        };
        let entry = self.directory.change(&id, now, decide).await.map_err(not_changed)?.entry;
        entry.map(|entry| Guest::told(&entry)).ok_or_else(|| not_found::<Guest>(&id))
    }

    /// A page, and the token of the next one. `bare` is the request without size and token of the page.
    async fn list<P: Person>(
        &self,
        filter: &(dyn Filter<P> + Sync),
        bare: &impl Message,
        page_size: i32,
        page_token: &str,
    ) -> Result<(Vec<P::Message>, String), Status> {
        let page = id_page(page_size, page_token, bare)?;
        let found = self.directory.list(filter, page.after, page.limit).await;
        let found = found.map_err(|source| store(&source))?;
        for broken in found.broken {
            error!("left out of a list: {broken}");
        }
        let next = found.next.map(|last| next_id_page(bare, &last)).unwrap_or_default();
        Ok((found.entries.iter().map(P::told).collect(), next))
    }
}

#[tonic::async_trait]
impl DirectoryService for DirectoryApi {
    async fn get_guest(
        &self,
        request: Request<v1::GetGuestRequest>,
    ) -> Result<Response<v1::GetGuestResponse>, Status> {
        let guest = self.get::<Guest>(&request.into_inner().name).await?;
        Ok(Response::new(v1::GetGuestResponse { guest: Some(guest) }))
    }

    async fn list_guests(
        &self,
        request: Request<v1::ListGuestsRequest>,
    ) -> Result<Response<v1::ListGuestsResponse>, Status> {
        let mut bare = request.into_inner();
        let page_size = std::mem::take(&mut bare.page_size);
        let page_token = std::mem::take(&mut bare.page_token);
        let filter = guest_filter(&bare)?;
        let (guests, next_page_token) = self.list(&filter, &bare, page_size, &page_token).await?;
        Ok(Response::new(v1::ListGuestsResponse { guests, next_page_token }))
    }

    async fn update_guest(
        &self,
        request: Request<v1::UpdateGuestRequest>,
    ) -> Result<Response<v1::UpdateGuestResponse>, Status> {
        let v1::UpdateGuestRequest { guest, update_mask: mask, allow_missing, validate_only } =
            request.into_inner();
        let given = guest.unwrap_or_default();
        let update = Update { given, mask, allow_missing, validate_only };
        let guest = self.update::<Guest>(update).await?;
        Ok(Response::new(v1::UpdateGuestResponse { guest: Some(guest) }))
    }

    async fn delete_guest(
        &self,
        request: Request<v1::DeleteGuestRequest>,
    ) -> Result<Response<v1::DeleteGuestResponse>, Status> {
        let v1::DeleteGuestRequest { name, etag, allow_missing } = request.into_inner();
        self.delete::<Guest>(&name, &etag, allow_missing).await?;
        Ok(Response::new(v1::DeleteGuestResponse {}))
    }

    async fn approve_guest(
        &self,
        request: Request<v1::ApproveGuestRequest>,
    ) -> Result<Response<v1::ApproveGuestResponse>, Status> {
        let v1::ApproveGuestRequest { name, etag } = request.into_inner();
        let guest = self.act(&name, &etag, GuestAction::Approve).await?;
        Ok(Response::new(v1::ApproveGuestResponse { guest: Some(guest) }))
    }

    async fn deny_guest(
        &self,
        request: Request<v1::DenyGuestRequest>,
    ) -> Result<Response<v1::DenyGuestResponse>, Status> {
        let v1::DenyGuestRequest { name, etag, reason } = request.into_inner();
        let guest = self.act(&name, &etag, GuestAction::Deny { reason }).await?;
        Ok(Response::new(v1::DenyGuestResponse { guest: Some(guest) }))
    }

    async fn activate_guest(
        &self,
        request: Request<v1::ActivateGuestRequest>,
    ) -> Result<Response<v1::ActivateGuestResponse>, Status> {
        let v1::ActivateGuestRequest { name, etag } = request.into_inner();
        let guest = self.act(&name, &etag, GuestAction::Activate).await?;
        Ok(Response::new(v1::ActivateGuestResponse { guest: Some(guest) }))
    }

    async fn extend_guest(
        &self,
        request: Request<v1::ExtendGuestRequest>,
    ) -> Result<Response<v1::ExtendGuestResponse>, Status> {
        let v1::ExtendGuestRequest { name, etag, valid_to_time } = request.into_inner();
        let mut violations = Violations::default();
        let valid_to = timestamp_from(&mut violations, "valid_to_time", valid_to_time);
        if valid_to_time.is_none() {
            violations.add("valid_to_time", "is missing; give the new end of the access");
        }
        let Some(valid_to) = valid_to else {
            return Err(errors::invalid_person::<Guest>(violations));
        };
        let guest = self.act(&name, &etag, GuestAction::Extend { valid_to }).await?;
        Ok(Response::new(v1::ExtendGuestResponse { guest: Some(guest) }))
    }

    async fn suspend_guest(
        &self,
        request: Request<v1::SuspendGuestRequest>,
    ) -> Result<Response<v1::SuspendGuestResponse>, Status> {
        let v1::SuspendGuestRequest { name, etag, reason } = request.into_inner();
        let guest = self.act(&name, &etag, GuestAction::Suspend { reason }).await?;
        Ok(Response::new(v1::SuspendGuestResponse { guest: Some(guest) }))
    }

    async fn reinstate_guest(
        &self,
        request: Request<v1::ReinstateGuestRequest>,
    ) -> Result<Response<v1::ReinstateGuestResponse>, Status> {
        let v1::ReinstateGuestRequest { name, etag } = request.into_inner();
        let guest = self.act(&name, &etag, GuestAction::Reinstate).await?;
        Ok(Response::new(v1::ReinstateGuestResponse { guest: Some(guest) }))
    }

    async fn import_guests(
        &self,
        request: Request<Streaming<v1::ImportGuestsRequest>>,
    ) -> Result<Response<v1::ImportGuestsResponse>, Status> {
        let summary = self.import::<Guest, _>(request.into_inner()).await?;
        Ok(Response::new(v1::ImportGuestsResponse { summary: Some(summary) }))
    }

    async fn delete_guests(
        &self,
        request: Request<Streaming<v1::DeleteGuestsRequest>>,
    ) -> Result<Response<v1::DeleteGuestsResponse>, Status> {
        let summary = self.delete_many::<Guest, _>(request.into_inner()).await?;
        Ok(Response::new(v1::DeleteGuestsResponse { summary: Some(summary) }))
    }

    async fn delete_users(
        &self,
        request: Request<Streaming<v1::DeleteUsersRequest>>,
    ) -> Result<Response<v1::DeleteUsersResponse>, Status> {
        let summary = self.delete_many::<User, _>(request.into_inner()).await?;
        Ok(Response::new(v1::DeleteUsersResponse { summary: Some(summary) }))
    }

    async fn get_user(
        &self,
        request: Request<v1::GetUserRequest>,
    ) -> Result<Response<v1::GetUserResponse>, Status> {
        let user = self.get::<User>(&request.into_inner().name).await?;
        Ok(Response::new(v1::GetUserResponse { user: Some(user) }))
    }

    async fn list_users(
        &self,
        request: Request<v1::ListUsersRequest>,
    ) -> Result<Response<v1::ListUsersResponse>, Status> {
        let mut bare = request.into_inner();
        let page_size = std::mem::take(&mut bare.page_size);
        let page_token = std::mem::take(&mut bare.page_token);
        let filter = user_filter(&bare)?;
        let (users, next_page_token) = self.list(&filter, &bare, page_size, &page_token).await?;
        Ok(Response::new(v1::ListUsersResponse { users, next_page_token }))
    }

    async fn update_user(
        &self,
        request: Request<v1::UpdateUserRequest>,
    ) -> Result<Response<v1::UpdateUserResponse>, Status> {
        let v1::UpdateUserRequest { user, update_mask: mask, allow_missing, validate_only } =
            request.into_inner();
        let given = user.unwrap_or_default();
        let update = Update { given, mask, allow_missing, validate_only };
        let user = self.update::<User>(update).await?;
        Ok(Response::new(v1::UpdateUserResponse { user: Some(user) }))
    }

    async fn delete_user(
        &self,
        request: Request<v1::DeleteUserRequest>,
    ) -> Result<Response<v1::DeleteUserResponse>, Status> {
        let v1::DeleteUserRequest { name, etag, allow_missing } = request.into_inner();
        self.delete::<User>(&name, &etag, allow_missing).await?;
        Ok(Response::new(v1::DeleteUserResponse {}))
    }

    async fn import_users(
        &self,
        request: Request<Streaming<v1::ImportUsersRequest>>,
    ) -> Result<Response<v1::ImportUsersResponse>, Status> {
        let summary = self.import::<User, _>(request.into_inner()).await?;
        Ok(Response::new(v1::ImportUsersResponse { summary: Some(summary) }))
    }
}

fn guest_filter(request: &v1::ListGuestsRequest) -> Result<GuestFilter, ListError> {
    let mut violations = Violations::default();
    check_count(&mut violations, "states", request.states.len());
    let states =
        known_all::<v1::GuestState, GuestState>(&mut violations, "states", &request.states);
    let before = request.valid_to_before_time;
    let valid_to_before = timestamp_from(&mut violations, "valid_to_before_time", before);
    for (field, text) in [
        ("guest_type", &request.guest_type),
        ("sponsor_email", &request.sponsor_email),
        ("location", &request.location),
        ("text", &request.text),
    ] {
        check_text(&mut violations, field, text);
    }
    let filter = || GuestFilter {
        states,
        guest_type: request.guest_type.clone(),
        sponsor_email: request.sponsor_email.clone(),
        location: request.location.clone(),
        valid_to_before,
        text: request.text.clone(),
    };
    violations.none_or(filter).map_err(ListError::Filter)
}

fn user_filter(request: &v1::ListUsersRequest) -> Result<UserFilter, ListError> {
    let mut violations = Violations::default();
    check_count(&mut violations, "kinds", request.kinds.len());
    let kinds = known_all::<v1::UserKind, UserKind>(&mut violations, "kinds", &request.kinds);
    let before = request.password_expire_before_time;
    let password_expires_before =
        timestamp_from(&mut violations, "password_expire_before_time", before);
    check_text(&mut violations, "text", &request.text);
    let filter = || UserFilter {
        kinds,
        password_expires_before,
        include_system_alarms_in_emails: request.include_system_alarms_in_emails,
        text: request.text.clone(),
    };
    violations.none_or(filter).map_err(ListError::Filter)
}

fn check_count(violations: &mut Violations, field: &str, count: usize) {
    if FILTER_VALUES_MAX < count {
        violations.add(field, format!("{count} values; at most {FILTER_VALUES_MAX}"));
    }
}

fn check_text(violations: &mut Violations, field: &str, text: &str) {
    if FILTER_CHARS_MAX < text.chars().count() {
        violations.add(field, format!("is longer than {FILTER_CHARS_MAX} characters"));
    }
}

#[cfg(test)]
mod tests;
