//! Bulks as a caller asks for and sees them.

use std::collections::HashMap;

use jiff::Timestamp;
use nuncio_api::convert::time::{duration_from, timestamp};
use nuncio_api::v1;
use nuncio_core::directory::guest::Guest;
use nuncio_core::job::Reason;
use nuncio_core::mail::MailboxDraft;
use nuncio_core::portal::PortalEvent;
use nuncio_core::ports::records::{Changeset, CommitError, Expected};
use nuncio_core::settings::guest_mail::GuestMailSettings;
use nuncio_core::trace::TraceParent;
use nuncio_core::violation::Violations;
use nuncio_directory::change::Entry;
use nuncio_directory::mails::AccessMail;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};

use super::outcome::Tally;
use super::record::*;
use crate::approvals::random_id;
use crate::errors::store;
use crate::portal::errors::*;
use crate::portal::notice::*;
use crate::portal::service::{read_event, to_json};
use crate::portal::{Portal, TRIES_MAX};

/// How many guests are stored in one transaction: with three mails each it stays below what a changeset takes.
const CHUNK: usize = 200;
/// How long a summary waits, where the caller says nothing, at least, and at most.
const SUMMARY_WAIT: std::time::Duration = std::time::Duration::from_hours(1);
const SUMMARY_WAIT_MIN: std::time::Duration = std::time::Duration::from_mins(1);
const SUMMARY_WAIT_MAX: std::time::Duration = std::time::Duration::from_hours(48);
/// When a bulk is looked at first.
const FIRST_LOOK: std::time::Duration = std::time::Duration::from_secs(5);

/// A bulk as a caller gives it, read.
struct Request {
    notices: Vec<Result<NoticeRequest, Violations>>,
    bulk: BulkV1,
    validate_only: bool,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    bulk: String,
}

pub(crate) async fn notify(
    portal: &Portal,
    request: v1::BulkNotifyGuestsRequest,
    trace: Option<TraceParent>,
) -> Result<v1::BulkNotifyGuestsResponse, Status> {
    let content = v1::BulkNotifyGuestsRequest { request_id: String::new(), ..request.clone() };
    let content = content.encode_to_vec();
    let request_id = portal.request_id("BulkNotifyGuests", &request.request_id, &content).await?;
    let request = read(request, trace.as_ref(), portal.now())?;
    if request.validate_only {
        let settings = portal.guest_mail();
        let mut guests = Vec::new();
        for (index, notice) in request.notices.iter().enumerate() {
            let (mut guest, _made) = decide(portal, notice, &settings).await?;
            for mail in &mut guest.mails {
                mail.job.clear();
            }
            guests.push((index, guest));
        }
        return Ok(answer(String::new(), guests));
    }
    if let Some(known) = portal.answered::<Answer>(request_id.as_ref()).await? {
        return found(portal, known.bulk).await;
    }
    let id = match &request_id {
        Some(request_id) => request_id.digest().chars().take(32).collect(),
        None => random_id(&*portal.intake.entropy).hex(),
    };
    let count = request.notices.len();
    for first in (0..count).step_by(CHUNK) {
        store_chunk(portal, &request, &id, first..count.min(first + CHUNK)).await?;
    }
    for _try in 0..TRIES_MAX {
        let present = find(portal.records(), &id).await.map_err(|error| store(&error))?;
        let Some((version, bulk)) = present else { break };
        let now = portal.now();
        let mut changes = Changeset::new(now);
        if let Some(request_id) = &request_id {
            changes.writes.push(request_id.answer(to_json(&Answer { bulk: id.clone() }), now));
        }
        let bulk = BulkV1 { is_complete: true, ..bulk };
        let due_at = (now + FIRST_LOOK).min(bulk.deadline);
        changes.writes.push(put_bulk(&id, &bulk, Expected::Version(version), due_at));
        match portal.commit(changes).await {
            Ok(()) => return found(portal, id).await,
            Err(CommitError::Conflict { .. }) => {
                if portal.answered::<Answer>(request_id.as_ref()).await?.is_some() {
                    return found(portal, id).await;
                }
            }
            Err(error) => return Err(not_committed(error)),
        }
    }
    Err(contended())
}

pub(crate) async fn get(portal: &Portal, name: &str) -> Result<v1::Bulk, Status> {
    let id = name.strip_prefix("bulks/").filter(|id| !id.is_empty()).ok_or_else(|| {
        let message = "is not a bulk's name; it looks like `bulks/` with 32 hexadecimal digits";
        nuncio_api::error::status(Code::InvalidArgument, "INVALID_NAME", message, [])
    })?;
    let records = portal.records();
    let Some((_, bulk)) = find(records, id).await.map_err(|error| store(&error))? else {
        let message = format!("bulk `{name}` does not exist; it may have been removed");
        let metadata = [("bulk", name.to_owned())];
        return Err(nuncio_api::error::status(Code::NotFound, "BULK_NOT_FOUND", message, metadata));
    };
    let guests = guests(records, id, 0).await.map_err(|error| store(&error))?;
    let tally = Tally::of(&*portal.intake.store, &guests, bulk.total, bulk.is_over).await;
    let tally = tally.map_err(|error| store(&error))?;
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let event = PortalEvent::ALL.into_iter().find(|event| event.name() == bulk.event);
    let failures = tally.failures.iter().map(|(index, username, reason)| v1::BulkFailure {
        index: count(*index),
        username: username.clone(),
        reason: reason.clone(),
    });
    Ok(v1::Bulk {
        name: name.to_owned(),
        event: event.map(v1::PortalEvent::from).unwrap_or_default().into(),
        total_count: count(bulk.total),
        sent_count: count(tally.sent),
        failed_count: count(tally.failures.len()),
        waiting_count: count(bulk.total - tally.sent - tally.failures.len()),
        failures: failures.collect(),
        summary_job: bulk.summary_job.unwrap_or_default(),
        create_time: Some(timestamp(bulk.created_at)),
    })
}

/// The answer to a bulk that is stored.
async fn found(portal: &Portal, id: String) -> Result<v1::BulkNotifyGuestsResponse, Status> {
    let guests = guests(portal.records(), &id, 0).await.map_err(|error| store(&error))?;
    Ok(answer(format!("bulks/{id}"), guests))
}

fn answer(name: String, guests: Vec<(usize, BulkGuestV1)>) -> v1::BulkNotifyGuestsResponse {
    let results = guests.into_iter().map(|(index, guest)| v1::BulkGuestResult {
        index: i32::try_from(index).unwrap_or(i32::MAX),
        mails: guest.mails.into_iter().map(v1::NoticeMail::from).collect(),
        refusal: guest.refusal.map(|RefusalV1 { code, message, remedy }| v1::Reason {
            code,
            message,
            remedy,
            reply: None,
        }),
    });
    v1::BulkNotifyGuestsResponse { name, results: results.collect() }
}

/// Stores some of the guests, but for those that are stored already: then the call was repeated.
async fn store_chunk(
    portal: &Portal,
    request: &Request,
    id: &str,
    places: std::ops::Range<usize>,
) -> Result<(), Status> {
    for _try in 0..TRIES_MAX {
        let keys: Vec<_> = places.clone().map(|index| guest_key(id, index)).collect();
        let stored = portal.records().read(&keys).await.map_err(|error| store(&error))?;
        let settings = portal.guest_mail();
        let mut changes = Changeset::new(portal.now());
        let mut known: HashMap<String, (Entry<Guest>, Vec<AccessMail>)> = HashMap::new();
        for (index, stored) in places.clone().zip(stored) {
            if stored.is_some() {
                continue;
            }
            let (guest, made) = decide(portal, &request.notices[index], &settings).await?;
            changes.writes.push(put_guest(id, index, &guest));
            let Some(made) = made else { continue };
            let access = made.access_mails();
            if let Some(entry) = made.known {
                // Somebody may stand in it twice.
                let id = entry.subject.id.to_string();
                known.entry(id).or_insert_with(|| (entry, Vec::new())).1.extend(access);
            }
            changes.jobs.extend(made.mails.into_iter().map(|(_, job)| job));
        }
        let now = changes.now;
        changes.writes.extend(known.into_values().map(|(entry, mails)| noted(&entry, mails, now)));
        if changes.writes.is_empty() {
            return Ok(());
        }
        if find(portal.records(), id).await.map_err(|error| store(&error))?.is_none() {
            let (bulk, due_at) = (&request.bulk, request.bulk.deadline);
            changes.writes.push(put_bulk(id, bulk, Expected::Absent, due_at));
        }
        match portal.commit(changes).await {
            Ok(()) => return Ok(()),
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(not_committed(error)),
        }
    }
    Err(contended())
}

/// What is to be written of a guest, with the mails if there are any.
async fn decide(
    portal: &Portal,
    notice: &Result<NoticeRequest, Violations>,
    settings: &GuestMailSettings,
) -> Result<(BulkGuestV1, Option<Made>), Status> {
    let (username, made) = match notice {
        Ok(notice) => (username(&notice.target), portal.make(notice, settings).await),
        Err(violations) => (String::new(), Err(NotMade::Invalid(violations.clone()))),
    };
    match made {
        Ok(made) => {
            let mails = made.mails.iter().map(|(mail, job)| ToldMail::of(mail, job)).collect();
            let username = made.guest.username.clone();
            Ok((BulkGuestV1 { username, mails, refusal: None }, Some(made)))
        }
        Err(problem) => {
            let Reason { code, message, remedy, .. } = refusal(problem)?;
            let refusal = Some(RefusalV1 { code, message, remedy });
            Ok((BulkGuestV1 { username, mails: Vec::new(), refusal }, None))
        }
    }
}

/// What a refused guest is called; texts of a caller may be long.
fn username(target: &Target) -> String {
    let name = match target {
        Target::Known(id) => id.as_str().to_owned(),
        Target::Given(guest) => guest.username.clone(),
    };
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn read(
    request: v1::BulkNotifyGuestsRequest,
    trace: Option<&TraceParent>,
    now: Timestamp,
) -> Result<Request, Status> {
    let mut violations = Violations::default();
    let event = read_event(&mut violations, request.event);
    let total = request.guests.len();
    if total == 0 || GUESTS_MAX < total {
        let problem = format!("{total} guests; give 1 to {GUESTS_MAX}, or make several calls");
        violations.add("guests", problem);
    }
    let reason = read_reason(&mut violations, "reason", request.reason, REASON_CHARS_MAX);
    let options = Options::read(&mut violations, request.options);
    let wait = duration_from(&mut violations, "summary_wait", request.summary_wait);
    let wait = wait.unwrap_or(SUMMARY_WAIT);
    if !(SUMMARY_WAIT_MIN..=SUMMARY_WAIT_MAX).contains(&wait) {
        violations.add("summary_wait", "must be 1 minute to 48 hours");
    }
    let summary_to = request.summary_to.map(|to| read_summary_to(&mut violations, to));
    let (Some(event), true) = (event, violations.is_empty()) else {
        return Err(invalid_notice(violations));
    };
    let notices = request.guests.into_iter().map(|guest| {
        use v1::bulk_guest::Target as Given;
        let mut wrong = Violations::default();
        let (name, given) = match guest.target {
            Some(Given::Name(name)) => (Some(name), None),
            Some(Given::Guest(guest)) => (None, Some(guest)),
            None => (None, None),
        };
        let target = Target::read(&mut wrong, name, given);
        let password = read_password(&mut wrong, "password", guest.password);
        let (Some(target), true) = (target, wrong.is_empty()) else { return Err(wrong) };
        let (reason, options, trace) = (reason.clone(), options.clone(), trace.cloned());
        Ok(NoticeRequest { event, target, password, reason, options, trace })
    });
    let notices = notices.collect();
    let bulk = BulkV1 {
        event: event.name().to_owned(),
        total,
        created_at: now,
        deadline: now + wait,
        is_complete: false,
        ended: 0,
        looks: 0,
        summary_to,
        summary_job: None,
        is_over: false,
        locale: options.locale,
        portal: options.portal,
    };
    Ok(Request { notices, bulk, validate_only: request.validate_only })
}

fn read_summary_to(violations: &mut Violations, to: v1::Mailbox) -> SummaryTo {
    let MailboxDraft { address, display_name } = to.into();
    let parsed: Result<nuncio_core::address::EmailAddress, _> = address.parse();
    violations.check("summary_to.address", parsed);
    let chars_max = nuncio_core::address::DISPLAY_NAME_CHARS_MAX;
    if display_name.chars().any(char::is_control) || chars_max < display_name.chars().count() {
        let problem = format!("must be one line of at most {chars_max} characters");
        violations.add("summary_to.display_name", problem);
    }
    SummaryTo { address, name: display_name }
}
