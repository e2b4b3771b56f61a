//! `PortalService`: converts at the edge.

use jiff::Timestamp;
use nuncio_api::convert::enums::known;
use nuncio_api::convert::portal::refused_sender;
use nuncio_api::trace::of_call;
use nuncio_api::v1;
use nuncio_api::v1::portal_service_server::PortalService;
use nuncio_core::address::EmailAddress;
use nuncio_core::portal::PortalEvent;
use nuncio_core::ports::records::{Changeset, CommitError};
use nuncio_core::trace::TraceParent;
use nuncio_core::violation::Violations;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tonic::{Code, Request, Response, Status};

use super::errors::*;
use super::keys;
use super::notice::*;
use super::requests::{RequestId, Seen};
use super::{Portal, TRIES_MAX};
use crate::approvals::service as approvals;
use crate::errors::store;
use crate::portal::bulk;

/// How many entries a page has where the caller says nothing, and at most (AIP-158).
const PAGE_SIZE: u32 = 50;
const PAGE_SIZE_MAX: u32 = 1000;
/// The longest request id, in characters.
const REQUEST_ID_CHARS_MAX: usize = 128;

pub(crate) struct PortalMail {
    pub(crate) portal: Portal,
}

/// The answer to a notice as it is remembered.
#[derive(Serialize, Deserialize)]
struct Answer {
    mails: Vec<ToldMail>,
}

impl Portal {
    async fn notify(
        &self,
        request: v1::NotifyGuestRequest,
        trace: Option<TraceParent>,
    ) -> Result<v1::NotifyGuestResponse, Status> {
        let validate_only = request.validate_only;
        let content = v1::NotifyGuestRequest { request_id: String::new(), ..request.clone() };
        let content = content.encode_to_vec();
        let id = self.request_id("NotifyGuest", &request.request_id, &content).await?;
        let notice = read_notice(request, trace)?;
        for _try in 0..TRIES_MAX {
            if let Some(answer) = self.answered::<Answer>(id.as_ref()).await? {
                return Ok(response(answer.mails));
            }
            let made = self.make(&notice, &self.guest_mail()).await.map_err(not_made)?;
            let mut told: Vec<_> =
                made.mails.iter().map(|(mail, job)| ToldMail::of(mail, job)).collect();
            if validate_only {
                for mail in &mut told {
                    mail.job.clear();
                }
                return Ok(response(told));
            }
            let now = self.now();
            let mut changes = Changeset::new(now);
            changes
                .writes
                .extend(made.known.as_ref().map(|entry| noted(entry, made.access_mails(), now)));
            if let Some(id) = &id {
                changes.writes.push(id.answer(to_json(&Answer { mails: told.clone() }), now));
            }
            changes.jobs = made.mails.into_iter().map(|(_, job)| job).collect();
            match self.commit(changes).await {
                Ok(()) => return Ok(response(told)),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(not_committed(error)),
            }
        }
        Err(contended())
    }

    /// The id of a request; none if it has none.
    pub(crate) async fn request_id(
        &self,
        method: &str,
        id: &str,
        content: &[u8],
    ) -> Result<Option<RequestId>, Status> {
        if id.is_empty() {
            return Ok(None);
        }
        if REQUEST_ID_CHARS_MAX < id.len() || !id.bytes().all(|b| b.is_ascii_graphic()) {
            let mut violations = Violations::default();
            let problem = format!(
                "must be 1 to {REQUEST_ID_CHARS_MAX} visible ASCII characters, such as a UUID"
            );
            violations.add("request_id", problem);
            return Err(invalid_notice(violations));
        }
        let key = keys::key(&*self.settings, self.now()).await.map_err(|error| no_key(&error))?;
        Ok(RequestId::new(method, id, content, &key))
    }

    /// The answer that a request was given before.
    pub(crate) async fn answered<A: for<'de> Deserialize<'de>>(
        &self,
        id: Option<&RequestId>,
    ) -> Result<Option<A>, Status> {
        let Some(id) = id else { return Ok(None) };
        match id.seen(self.records()).await.map_err(|error| store(&error))? {
            Seen::Never => Ok(None),
            Seen::Answered(answer) => {
                serde_json::from_str(&answer).map(Some).map_err(|_| request_id_reused())
            }
            Seen::Reused => Err(request_id_reused()),
        }
    }
}

pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("these types have no keys but strings")
}

fn response(mails: Vec<ToldMail>) -> v1::NotifyGuestResponse {
    v1::NotifyGuestResponse { mails: mails.into_iter().map(v1::NoticeMail::from).collect() }
}

fn read_notice(
    request: v1::NotifyGuestRequest,
    trace: Option<TraceParent>,
) -> Result<NoticeRequest, Status> {
    use v1::notify_guest_request::Target as Given;
    let mut violations = Violations::default();
    let event = read_event(&mut violations, request.event);
    let (name, guest) = match request.target {
        Some(Given::Name(name)) => (Some(name), None),
        Some(Given::Guest(guest)) => (None, Some(guest)),
        None => (None, None),
    };
    let target = Target::read(&mut violations, name, guest);
    let password = read_password(&mut violations, "password", request.password);
    let reason = read_reason(&mut violations, "reason", request.reason, REASON_CHARS_MAX);
    let options = Options::read(&mut violations, request.options);
    let (Some(event), Some(target), true) = (event, target, violations.is_empty()) else {
        return Err(invalid_notice(violations));
    };
    Ok(NoticeRequest { event, target, password, reason, options, trace })
}

pub(crate) fn read_event(violations: &mut Violations, number: i32) -> Option<PortalEvent> {
    let event = known::<v1::PortalEvent, PortalEvent>(violations, "event", number);
    if event.is_none() && violations.iter().all(|one| one.field != "event") {
        violations.add("event", "is missing; say what happened");
    }
    event
}

/// The limit of a page, and the id behind which it begins.
pub(crate) fn page(size: i32, token: &str) -> Result<(u32, Option<String>), Status> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let limit = match u32::try_from(size) {
        Ok(0) => PAGE_SIZE,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => {
            let message =
                format!("page size {size} is negative; leave it out, or give 1 to {PAGE_SIZE_MAX}");
            let metadata = [("page_size", size.to_string())];
            return Err(nuncio_api::error::status(
                Code::InvalidArgument,
                "INVALID_PAGE_SIZE",
                message,
                metadata,
            ));
        }
    };
    if token.is_empty() {
        return Ok((limit, None));
    }
    let decoded = URL_SAFE_NO_PAD.decode(token).ok().and_then(|id| String::from_utf8(id).ok());
    let after = decoded.filter(|id| !id.is_empty()).ok_or_else(|| {
        let message = "the page token is none of this service; begin again without one";
        nuncio_api::error::status(Code::InvalidArgument, "INVALID_PAGE_TOKEN", message, [])
    })?;
    Ok((limit, Some(after)))
}

pub(crate) fn next_page_token(last: Option<&str>) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    last.map(|id| URL_SAFE_NO_PAD.encode(id)).unwrap_or_default()
}

#[tonic::async_trait]
impl PortalService for PortalMail {
    async fn notify_guest(
        &self,
        request: Request<v1::NotifyGuestRequest>,
    ) -> Result<Response<v1::NotifyGuestResponse>, Status> {
        let trace = of_call(&request);
        self.portal.notify(request.into_inner(), trace).await.map(Response::new)
    }

    async fn bulk_notify_guests(
        &self,
        request: Request<v1::BulkNotifyGuestsRequest>,
    ) -> Result<Response<v1::BulkNotifyGuestsResponse>, Status> {
        let trace = of_call(&request);
        bulk::service::notify(&self.portal, request.into_inner(), trace).await.map(Response::new)
    }

    async fn get_bulk(
        &self,
        request: Request<v1::GetBulkRequest>,
    ) -> Result<Response<v1::GetBulkResponse>, Status> {
        let bulk = bulk::service::get(&self.portal, &request.into_inner().name).await?;
        Ok(Response::new(v1::GetBulkResponse { bulk: Some(bulk) }))
    }

    async fn request_approval(
        &self,
        request: Request<v1::RequestApprovalRequest>,
    ) -> Result<Response<v1::RequestApprovalResponse>, Status> {
        let trace = of_call(&request);
        let approval = approvals::request(&self.portal, request.into_inner(), trace).await?;
        Ok(Response::new(v1::RequestApprovalResponse { approval: Some(approval) }))
    }

    async fn get_approval(
        &self,
        request: Request<v1::GetApprovalRequest>,
    ) -> Result<Response<v1::GetApprovalResponse>, Status> {
        let approval = approvals::get(&self.portal, &request.into_inner().name).await?;
        Ok(Response::new(v1::GetApprovalResponse { approval: Some(approval) }))
    }

    async fn list_approvals(
        &self,
        request: Request<v1::ListApprovalsRequest>,
    ) -> Result<Response<v1::ListApprovalsResponse>, Status> {
        approvals::list(&self.portal, request.into_inner()).await.map(Response::new)
    }

    async fn decide_approval(
        &self,
        request: Request<v1::DecideApprovalRequest>,
    ) -> Result<Response<v1::DecideApprovalResponse>, Status> {
        let approval = approvals::decide(&self.portal, request.into_inner()).await?;
        Ok(Response::new(v1::DecideApprovalResponse { approval: Some(approval) }))
    }

    async fn resend_approval(
        &self,
        request: Request<v1::ResendApprovalRequest>,
    ) -> Result<Response<v1::ResendApprovalResponse>, Status> {
        let approval = approvals::resend(&self.portal, &request.into_inner().name).await?;
        Ok(Response::new(v1::ResendApprovalResponse { approval: Some(approval) }))
    }

    async fn cancel_approval(
        &self,
        request: Request<v1::CancelApprovalRequest>,
    ) -> Result<Response<v1::CancelApprovalResponse>, Status> {
        let approval = approvals::cancel(&self.portal, &request.into_inner().name).await?;
        Ok(Response::new(v1::CancelApprovalResponse { approval: Some(approval) }))
    }

    async fn list_senders(
        &self,
        request: Request<v1::ListSendersRequest>,
    ) -> Result<Response<v1::ListSendersResponse>, Status> {
        let v1::ListSendersRequest { page_size, page_token } = request.into_inner();
        let (limit, after) = page(page_size, &page_token)?;
        let listed = self.portal.senders.list(after, limit).await;
        let senders = listed.map_err(|error| store(&error))?;
        let is_full = usize::try_from(limit).is_ok_and(|limit| limit <= senders.len());
        let last =
            senders.last().filter(|_| is_full).map(|one| one.address.as_str().to_lowercase());
        Ok(Response::new(v1::ListSendersResponse {
            senders: senders.into_iter().map(refused_sender).collect(),
            next_page_token: next_page_token(last.as_deref()),
        }))
    }

    async fn retry_sender(
        &self,
        request: Request<v1::RetrySenderRequest>,
    ) -> Result<Response<v1::RetrySenderResponse>, Status> {
        let address = request.into_inner().address;
        let mut violations = Violations::default();
        let parsed: Option<EmailAddress> = violations.check("address", address.parse());
        let sender = parsed.ok_or_else(|| invalid_notice(violations))?;
        let now: Timestamp = self.portal.now();
        let known =
            self.portal.senders.forget(&sender, now).await.map_err(|error| store(&error))?;
        self.portal.intake.observer.sender_taken(&sender);
        if known {
            return Ok(Response::new(v1::RetrySenderResponse {}));
        }
        let message = format!("sender `{sender}` is not known as refused; it is tried anyway");
        let metadata = [("address", sender.to_string())];
        Err(nuncio_api::error::status(Code::NotFound, "SENDER_NOT_FOUND", message, metadata))
    }
}
