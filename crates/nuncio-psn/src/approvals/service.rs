//! Approvals as a caller of the API asks for and sees them.

use jiff::Timestamp;
use nuncio_api::convert::directory::guest_id;
use nuncio_api::convert::enums::{known, known_all};
use nuncio_api::convert::portal::approval as told;
use nuncio_api::convert::time::duration_from;
use nuncio_api::error::{Precondition, failed_precondition, status};
use nuncio_api::v1;
use nuncio_core::address::EmailAddress;
use nuncio_core::directory::guest::{Guest, GuestState};
use nuncio_core::job::{MailJobId, NewJob};
use nuncio_core::portal::PortalEvent;
use nuncio_core::portal::approval::*;
use nuncio_core::portal::plan::{Notice, Refused, plan};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Changeset, CommitError, Expected, Write};
use nuncio_core::ports::sealer::Sealer;
use nuncio_core::secret::Sensitive;
use nuncio_core::trace::TraceParent;
use nuncio_core::violation::Violations;
use nuncio_directory::approvals as record;
use nuncio_directory::approvals::sealed::password_context;
use nuncio_directory::subject::Subject as _;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};
use tracing::error;

use super::act::{self, EVENT, NotDone};
use super::random_id;
use crate::errors::store;
use crate::portal::errors::*;
use crate::portal::mailer::{self, Wording};
use crate::portal::notice::*;
use crate::portal::service::{next_page_token, page, to_json};
use crate::portal::{Portal, TRIES_MAX};

/// The longest name of who decides, in characters.
const DECIDED_BY_CHARS_MAX: usize = 256;

/// A request for approval, read.
struct Ask {
    target: Target,
    approvers: Vec<EmailAddress>,
    password: Option<Sensitive>,
    valid_for: std::time::Duration,
    options: Options,
    trace: Option<TraceParent>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    approval: String,
}

/// All that is stored of a request.
struct Asked {
    approval: Approval,
    writes: Vec<Write>,
    jobs: Vec<NewJob>,
}

pub(crate) async fn request(
    portal: &Portal,
    request: v1::RequestApprovalRequest,
    trace: Option<TraceParent>,
) -> Result<v1::Approval, Status> {
    let content = v1::RequestApprovalRequest { request_id: String::new(), ..request.clone() };
    let content = content.encode_to_vec();
    let request_id = portal.request_id("RequestApproval", &request.request_id, &content).await?;
    let validate_only = request.validate_only;
    let ask = read(request, trace)?;
    for _try in 0..TRIES_MAX {
        if let Some(Answer { approval }) = portal.answered(request_id.as_ref()).await? {
            return get(portal, &approval).await;
        }
        let now = portal.now();
        // Until the password that it seals is stored.
        let sealer = portal.keys.current();
        let Asked { approval, mut writes, jobs } = prepare(portal, &ask, &*sealer, now).await?;
        if validate_only {
            return Ok(v1::Approval { name: String::new(), ..told(&approval, now) });
        }
        if let Some(request_id) = &request_id {
            let answer = Answer { approval: approval.id.to_string() };
            writes.push(request_id.answer(to_json(&answer), now));
        }
        let mut changes = Changeset::new(now);
        (changes.writes, changes.jobs) = (writes, jobs);
        match portal.commit(changes).await {
            Ok(()) => return with_jobs(portal, &approval).await,
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(not_committed(error)),
        }
    }
    Err(contended())
}

pub(crate) async fn get(portal: &Portal, name: &str) -> Result<v1::Approval, Status> {
    let id = id(name)?;
    let found = record::find(portal.records(), id).await.map_err(|error| store(&error))?;
    match found {
        Some(stored) => with_jobs(portal, &stored.approval).await,
        None => Err(not_done(NotDone::NotFound(id))),
    }
}

pub(crate) async fn list(
    portal: &Portal,
    request: v1::ListApprovalsRequest,
) -> Result<v1::ListApprovalsResponse, Status> {
    let (limit, after) = page(request.page_size, &request.page_token)?;
    let mut violations = Violations::default();
    let states =
        known_all::<v1::ApprovalState, ApprovalState>(&mut violations, "states", &request.states);
    let guest = Some(request.guest).filter(|name| !name.is_empty());
    let guest = guest.and_then(|name| violations.check("guest", guest_id(&name)));
    if !violations.is_empty() {
        let message = "the filter is not valid";
        return Err(nuncio_api::error::invalid("INVALID_FILTER", message, violations));
    }
    let records = record::list(portal.records(), guest.as_ref(), after, limit).await;
    let records = records.map_err(|error| store(&error))?;
    let is_full = usize::try_from(limit).is_ok_and(|limit| limit <= records.len());
    let last = records.last().filter(|_| is_full).map(|record| record.key.id.clone());
    let now = portal.now();
    let approvals = records.iter().filter_map(record::decode).map(|stored| stored.approval);
    let fits = |one: &Approval| states.is_empty() || states.contains(&one.state_at(now));
    Ok(v1::ListApprovalsResponse {
        approvals: approvals.filter(fits).map(|one| told(&one, now)).collect(),
        next_page_token: next_page_token(last.as_deref()),
    })
}

pub(crate) async fn decide(
    portal: &Portal,
    request: v1::DecideApprovalRequest,
) -> Result<v1::Approval, Status> {
    let id = id(&request.name)?;
    let mut violations = Violations::default();
    let verdict =
        known::<v1::ApprovalVerdict, Verdict>(&mut violations, "verdict", request.verdict);
    if verdict.is_none() && violations.is_empty() {
        violations.add("verdict", "is missing; say whether to approve or to deny");
    }
    let max = DECISION_REASON_CHARS_MAX;
    let reason = read_reason(&mut violations, "reason", request.reason, max);
    let by = read_reason(&mut violations, "decided_by", request.decided_by, DECIDED_BY_CHARS_MAX);
    let (Some(verdict), true) = (verdict, violations.is_empty()) else {
        return Err(invalid_notice(violations));
    };
    let decided = act::decide(portal, id, verdict, &by, &reason).await.map_err(not_done)?;
    with_jobs(portal, &decided).await
}

pub(crate) async fn resend(portal: &Portal, name: &str) -> Result<v1::Approval, Status> {
    let sent = act::resend(portal, id(name)?).await.map_err(not_done)?;
    with_jobs(portal, &sent).await
}

pub(crate) async fn cancel(portal: &Portal, name: &str) -> Result<v1::Approval, Status> {
    let cancelled = act::cancel(portal, id(name)?).await.map_err(not_done)?;
    with_jobs(portal, &cancelled).await
}

fn id(name: &str) -> Result<ApprovalId, Status> {
    ApprovalId::from_name(name).map_err(|problem| {
        let shown: String = name.chars().take(100).collect();
        let message = format!("`{shown}` {problem}");
        status(Code::InvalidArgument, "INVALID_NAME", message, [("name", shown)])
    })
}

/// Guest, approval and mails, ready to be stored.
async fn prepare(
    portal: &Portal,
    ask: &Ask,
    sealer: &dyn Sealer,
    now: Timestamp,
) -> Result<Asked, Status> {
    let (guest, write) = guest(portal, &ask.target, now).await?;
    let pending = record::pending_of(portal.records(), &guest.id, now).await;
    if let Some(record::Stored { approval: pending, .. }) =
        pending.map_err(|error| store(&error))?
    {
        let message = format!(
            "approval `{}` of this guest waits for a decision; send it again, or cancel it",
            pending.id
        );
        let metadata = [("approval", pending.id.to_string())];
        return Err(status(Code::AlreadyExists, "APPROVAL_PENDING", message, metadata));
    }
    let settings = portal.guest_mail();
    let mut wording = Wording::of_guest(&guest, EVENT.name(), now);
    wording.trace.clone_from(&ask.trace);
    ask.options.apply(&mut wording);
    wording.locale.clone_from(&ask.options.locale);
    // To the second, as links tell it.
    let expires_at = now + ask.valid_for;
    let expires_at = Timestamp::from_second(expires_at.as_second()).unwrap_or(expires_at);
    let mut approval = Approval {
        id: random_id(&*portal.intake.entropy),
        guest: guest.id.clone(),
        state: ApprovalState::Pending,
        approvers: ask.approvers.clone(),
        created_at: now,
        expires_at,
        sent_at: now,
        sent_count: 1,
        request_jobs: Vec::new(),
        credentials: None,
        result_jobs: Vec::new(),
        decision: None,
        locale: ask.options.locale.clone(),
        portal: ask.options.portal.clone(),
    };
    let jobs = act::request_jobs(portal, &approval, &wording, &guest.time_zone, &settings).await;
    let jobs = jobs.map_err(not_done)?;
    approval.request_jobs = ids(&jobs);
    approval.credentials = credentials(portal, ask, (&guest, approval.id), sealer)?;
    let writes = vec![write, record::put(&approval, Expected::Absent, now)];
    Ok(Asked { approval, writes, jobs })
}

/// The guest of a request, and the write that makes him, or that checks that he is as he was.
async fn guest(portal: &Portal, target: &Target, now: Timestamp) -> Result<(Guest, Write), Status> {
    match target {
        Target::Known(id) => {
            let found = portal.directory.get::<Guest>(id).await.map_err(directory)?;
            let entry = found.ok_or_else(|| guest_not_found(id))?;
            let state = entry.subject.state;
            if state != GuestState::PendingApproval {
                let message = format!("guest `{id}` is {}, not PENDING_APPROVAL", state.name());
                let remedy = "a guest who is in needs no approval";
                let precondition = Precondition { kind: "GUEST", subject: &id.to_string(), remedy };
                let metadata = [("state", state.name().to_owned())];
                return Err(failed_precondition("GUEST_STATE", message, metadata, &precondition));
            }
            let (key, expected) = (Guest::key(id), Expected::Version(entry.version));
            Ok((entry.subject, Write::Require { key, expected }))
        }
        Target::Given(given) => {
            let mut given = (**given).clone();
            if given.name.is_empty() {
                let mut violations = Violations::default();
                violations.add("guest.name", "is missing; a guest who is made needs one");
                return Err(invalid_notice(violations));
            }
            given.state = v1::GuestState::PendingApproval.into();
            let guest = given_guest(given, now).map_err(invalid_notice)?;
            let before = portal.directory.get::<Guest>(&guest.id).await.map_err(directory)?;
            if before.is_some() {
                let message = format!("guest `{}` exists; name him instead", guest.id);
                let metadata = [("guest", guest.id.to_string())];
                return Err(status(Code::AlreadyExists, "GUEST_EXISTS", message, metadata));
            }
            let change = portal.directory.put(None, &guest, now);
            Ok((guest, change.write))
        }
    }
}

/// Seals the password until the approval. That its mails can be made is seen now, while somebody can do about it.
fn credentials(
    portal: &Portal,
    ask: &Ask,
    (guest, id): (&Guest, ApprovalId),
    sealer: &dyn Sealer,
) -> Result<Option<WaitingCredentials>, Status> {
    let Some(password) = &ask.password else { return Ok(None) };
    let settings = portal.guest_mail();
    // As the guest will be when they are sent.
    let approved = Guest { state: GuestState::Created, ..guest.clone() };
    let (event, options) = (PortalEvent::Approved, ask.options.notice);
    let notice = Notice { event, guest: &approved, has_password: true, options };
    let planned = plan(&notice, &settings).map_err(|problem| refused(&problem))?;
    let mut wording = Wording::of_guest(guest, event.name(), portal.now());
    wording.password = Some(password.clone());
    ask.options.apply(&mut wording);
    // The language of the request is that of the approvers.
    wording.locale.clone_from(&guest.language);
    for mail in planned {
        mailer::job(&portal.intake, &settings, &mail, &wording).map_err(mail_not_made)?;
    }
    let clear = password.expose().as_bytes();
    let sealed_password = sealer.seal(&password_context(id), clear);
    let labels = ask.options.labels.clone();
    Ok(Some(WaitingCredentials { sealed_password, options, labels }))
}

fn ids(jobs: &[NewJob]) -> Vec<MailJobId> {
    jobs.iter().map(|job| job.id).collect()
}

/// An approval with its mails as they stand.
async fn with_jobs(portal: &Portal, approval: &Approval) -> Result<v1::Approval, Status> {
    let jobs = async |ids: &[MailJobId]| -> Result<Vec<v1::MailJob>, StoreError> {
        let mut jobs = Vec::with_capacity(ids.len());
        for id in ids {
            jobs.extend(portal.intake.store.get(*id).await?.map(v1::MailJob::from));
        }
        Ok(jobs)
    };
    let failed = |error: StoreError| store(&error);
    Ok(v1::Approval {
        request_jobs: jobs(&approval.request_jobs).await.map_err(failed)?,
        result_jobs: jobs(&approval.result_jobs).await.map_err(failed)?,
        ..told(approval, portal.now())
    })
}

fn read(request: v1::RequestApprovalRequest, trace: Option<TraceParent>) -> Result<Ask, Status> {
    use v1::request_approval_request::Target as Given;
    let mut violations = Violations::default();
    let (name, guest) = match request.target {
        Some(Given::Name(name)) => (Some(name), None),
        Some(Given::Guest(guest)) => (None, Some(guest)),
        None => (None, None),
    };
    let target = Target::read(&mut violations, name, guest);
    let count = request.approvers.len();
    if count == 0 || APPROVERS_MAX < count {
        violations.add("approvers", format!("{count} addresses; give 1 to {APPROVERS_MAX}"));
    }
    let mut approvers: Vec<EmailAddress> = Vec::new();
    for (index, address) in request.approvers.iter().take(APPROVERS_MAX).enumerate() {
        let read = violations.check(format!("approvers[{index}]"), address.parse());
        approvers.extend(read.filter(|one| !approvers.contains(one)));
    }
    let password = read_password(&mut violations, "password", request.password);
    let valid_for = duration_from(&mut violations, "valid_for", request.valid_for);
    let valid_for = valid_for.unwrap_or(APPROVAL_LIFE);
    if !(APPROVAL_LIFE_MIN..=APPROVAL_LIFE_MAX).contains(&valid_for) {
        violations.add("valid_for", "must be 1 minute to 30 days");
    }
    let options = Options::read(&mut violations, request.options);
    let (Some(target), true) = (target, violations.is_empty()) else {
        return Err(invalid_notice(violations));
    };
    Ok(Ask { target, approvers, password, valid_for, options, trace })
}

fn not_done(problem: NotDone) -> Status {
    match problem {
        NotDone::NotFound(id) => {
            let message = format!("approval `{id}` does not exist; it may have been removed");
            let metadata = [("approval", id.to_string())];
            status(Code::NotFound, "APPROVAL_NOT_FOUND", message, metadata)
        }
        NotDone::NotPending(problem) => {
            let metadata =
                [("approval", problem.id.to_string()), ("state", problem.state.name().to_owned())];
            let remedy = "request a new approval, if the guest still needs one";
            let subject = problem.id.to_string();
            let precondition = Precondition { kind: "STATE", subject: &subject, remedy };
            let message = problem.to_string();
            failed_precondition("APPROVAL_NOT_PENDING", message, metadata, &precondition)
        }
        NotDone::GuestGone(id) => {
            let message = format!("guest `{id}` does not exist any more");
            let remedy = "cancel the approval";
            let subject = id.to_string();
            let precondition = Precondition { kind: "GUEST", subject: &subject, remedy };
            failed_precondition("GUEST_GONE", message, [("guest", subject.clone())], &precondition)
        }
        NotDone::Guest(problem) => {
            let precondition =
                Precondition { kind: "GUEST", subject: "guest", remedy: "look at the guest" };
            failed_precondition(problem.code(), problem.to_string(), [], &precondition)
        }
        NotDone::Refused(problem @ Refused::EventOff { .. }) => {
            let message = "requests for approval are switched off in the guest mail settings";
            let precondition =
                Precondition { kind: "SETTINGS", subject: "guest-mail", remedy: problem.remedy() };
            failed_precondition(problem.code(), message, [], &precondition)
        }
        NotDone::Refused(problem) => refused(&problem),
        NotDone::PageOff => {
            let message = "there is no page behind the links: `portal.public_url` is not set";
            let remedy = "set `portal.listen` and `portal.public_url`, or decide by DecideApproval";
            let precondition =
                Precondition { kind: "CONFIGURATION", subject: "portal.public_url", remedy };
            failed_precondition("APPROVAL_PAGE_OFF", message, [], &precondition)
        }
        NotDone::Key(problem) => no_key(&problem),
        NotDone::Sealed(problem) => {
            error!("credentials that wait for an approval cannot be read: {problem}");
            let message = "the credentials that wait for this approval cannot be read";
            let remedy = "restore the key file of the node that took the request, or cancel the request and make \
                          a new one";
            let precondition = Precondition { kind: "KEYS", subject: "keys.file", remedy };
            failed_precondition("CREDENTIALS_NOT_READABLE", message, [], &precondition)
        }
        NotDone::Mail(problem) => mail_not_made(problem),
        NotDone::Directory(problem) => directory(problem),
        NotDone::Store(problem) => store(&problem),
        NotDone::Commit(problem) => not_committed(problem),
        NotDone::Contended => contended(),
    }
}
