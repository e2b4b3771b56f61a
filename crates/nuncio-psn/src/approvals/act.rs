//! What is done with an approval: decided, sent again, called back, looked after.
//!
//! Guest, approval and mails change in one transaction. Credentials that wait are released after it: until they are,
//! the approval stays due, so that whoever dies in between leaves that to the next one; to release twice is harmless.

use jiff::Timestamp;
use nuncio_core::address::Mailbox;
use nuncio_core::class::MailClass;
use nuncio_core::directory::guest::{Guest, GuestId};
use nuncio_core::directory::lifecycle::{GuestAction, Refused as GuestRefused};
use nuncio_core::job::{MailJobId, NewJob};
use nuncio_core::portal::PortalEvent;
use nuncio_core::portal::approval::{
    Approval, ApprovalId, ApprovalState, Decision, NotPending, Verdict,
};
use nuncio_core::portal::plan::{Notice, NoticeOptions, PlannedMail, Refused, plan};
use nuncio_core::portal::variables::moment;
use nuncio_core::ports::job_store::{DirectError, Direction, StoreError};
use nuncio_core::ports::records::{Changeset, CommitError, Expected, Record, Write};
use nuncio_core::settings::guest_mail::{GuestMailEvent, GuestMailSettings};
use nuncio_delivery::intake::IntakeError;
use nuncio_directory::directory::DirectoryError;
use nuncio_directory::mails::AccessMail;
use nuncio_runtime::chain::Chain;
use tracing::{error, info, warn};

use super::link::Link;
use super::record::{self, Stored};
use crate::portal::keys::{self, KeyError};
use crate::portal::mailer::{self, Wording};
use crate::portal::{Portal, TRIES_MAX};

/// Why an approval was not changed.
pub(crate) enum NotDone {
    NotFound(ApprovalId),
    NotPending(NotPending),
    GuestGone(GuestId),
    Guest(GuestRefused),
    Refused(Refused),
    /// There are no links without an address of the page.
    PageOff,
    Key(KeyError),
    Mail(IntakeError),
    Directory(DirectoryError),
    Store(StoreError),
    Commit(CommitError),
    /// Others write the same records all the time.
    Contended,
}

impl NotDone {
    /// Tells the operator what a page does not tell everybody.
    pub(crate) fn log(&self) {
        match self {
            Self::NotFound(_)
            | Self::NotPending(_)
            | Self::GuestGone(_)
            | Self::Guest(_)
            | Self::Refused(_)
            | Self::PageOff
            | Self::Contended => {}
            Self::Key(problem) => warn!("approval not decided: {}", Chain(problem)),
            Self::Mail(problem) => warn!("approval not decided: {}", Chain(problem)),
            Self::Directory(problem) => warn!("approval not decided: {}", Chain(problem)),
            Self::Store(problem) => warn!("approval not decided: {}", Chain(problem)),
            Self::Commit(problem) => warn!("approval not decided: {}", Chain(problem)),
        }
    }
}

/// Decides an approval, once.
pub(crate) async fn decide(
    portal: &Portal,
    id: ApprovalId,
    verdict: Verdict,
    decided_by: &str,
    reason: &str,
) -> Result<Approval, NotDone> {
    for _try in 0..TRIES_MAX {
        let Stored { approval, version } = find(portal, id).await?;
        let now = portal.now();
        let decision = Decision {
            verdict,
            decided_at: now,
            decided_by: decided_by.to_owned(),
            reason: reason.to_owned(),
        };
        let mut decided = approval.decided(decision).map_err(NotDone::NotPending)?;
        let entry = portal.directory.get::<Guest>(&approval.guest).await;
        let entry = entry.map_err(NotDone::Directory)?;
        let mut entry = entry.ok_or_else(|| NotDone::GuestGone(approval.guest.clone()))?;
        let (action, event) = match verdict {
            Verdict::Approve => (GuestAction::Approve, PortalEvent::Approved),
            Verdict::Deny => (GuestAction::Deny { reason: reason.to_owned() }, PortalEvent::Denied),
        };
        let guest = entry.subject.after(&action, now).map_err(NotDone::Guest)?;
        let results = results(portal, &guest, event, &approval.portal, now);
        if event.tells_of_access() {
            entry.mails.extend(access_mails(&results, &approval));
        }
        let after = portal.directory.transition(&entry, &action, now);
        let (_guest, change) = after.map_err(NotDone::Guest)?;
        decided.result_jobs = results.iter().map(|job| job.id).collect();
        let mut changes = Changeset::new(now);
        change.add_to(&mut changes);
        changes.jobs = results;
        // Nobody needs to be asked any more.
        changes.cancel.extend(&approval.request_jobs);
        if verdict == Verdict::Deny {
            changes.cancel.extend(std::mem::take(&mut decided.credentials_jobs));
        }
        changes.writes.push(record::put(&decided, Expected::Version(version), now));
        match portal.commit(changes).await {
            Ok(()) => {
                info!(approval = %id, state = decided.state.name(), "approval is decided");
                return Ok(finish(portal, decided).await);
            }
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(NotDone::Commit(error)),
        }
    }
    Err(NotDone::Contended)
}

/// Sends a request again, with new links.
pub(crate) async fn resend(portal: &Portal, id: ApprovalId) -> Result<Approval, NotDone> {
    for _try in 0..TRIES_MAX {
        let Stored { mut approval, version } = find(portal, id).await?;
        let now = portal.now();
        approval.check_pending(now).map_err(NotDone::NotPending)?;
        let entry = portal.directory.get::<Guest>(&approval.guest).await;
        let entry = entry.map_err(NotDone::Directory)?;
        let entry = entry.ok_or_else(|| NotDone::GuestGone(approval.guest.clone()))?;
        let mut wording = Wording::of_guest(&entry.subject, EVENT.name(), now);
        wording.locale.clone_from(&approval.locale);
        wording.portal.clone_from(&approval.portal);
        let jobs = request_jobs(portal, &approval, &wording, &portal.guest_mail()).await?;
        let mut changes = Changeset::new(now);
        changes.cancel = std::mem::take(&mut approval.request_jobs);
        approval.request_jobs = jobs.iter().map(|job| job.id).collect();
        approval.sent_at = now;
        approval.sent_count = approval.sent_count.saturating_add(1);
        changes.jobs = jobs;
        changes.writes.push(record::put(&approval, Expected::Version(version), now));
        match portal.commit(changes).await {
            Ok(()) => return Ok(approval),
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(NotDone::Commit(error)),
        }
    }
    Err(NotDone::Contended)
}

/// Calls a request back.
pub(crate) async fn cancel(portal: &Portal, id: ApprovalId) -> Result<Approval, NotDone> {
    for _try in 0..TRIES_MAX {
        let Stored { approval, version } = find(portal, id).await?;
        let now = portal.now();
        let cancelled = approval.cancelled(now).map_err(NotDone::NotPending)?;
        match portal.commit(ending(cancelled.clone(), version, now)).await {
            Ok(()) => return Ok(cancelled),
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(NotDone::Commit(error)),
        }
    }
    Err(NotDone::Contended)
}

/// Does what is due of an approval: ends it in time, releases credentials, removes it at last.
pub(crate) async fn look(portal: &Portal, record: &Record) -> Result<(), CommitError> {
    let now = portal.now();
    let Some(Stored { approval, version }) = record::decode(record) else {
        error!("an approval cannot be read; it is removed");
        return remove(portal, record, now).await;
    };
    match approval.state {
        ApprovalState::Pending if now < approval.expires_at => Ok(()),
        ApprovalState::Pending => {
            let expired = Approval { state: ApprovalState::Expired, ..approval };
            info!(approval = %expired.id, "approval was not decided in time");
            portal.commit(ending(expired, version, now)).await
        }
        ApprovalState::Approved if !approval.credentials_jobs.is_empty() => {
            finish(portal, approval).await;
            Ok(())
        }
        ApprovalState::Approved
        | ApprovalState::Denied
        | ApprovalState::Expired
        | ApprovalState::Cancelled => remove(portal, record, now).await,
    }
}

/// The event in the labels of mails that ask for an approval.
pub(crate) const EVENT: GuestMailEvent = GuestMailEvent::ApprovalRequest;

/// The mails that ask, one for each approver.
pub(crate) async fn request_jobs(
    portal: &Portal,
    approval: &Approval,
    wording: &Wording,
    settings: &GuestMailSettings,
) -> Result<Vec<NewJob>, NotDone> {
    let base = portal.public_url.as_deref().ok_or(NotDone::PageOff)?;
    if !settings.is_enabled {
        return Err(NotDone::Refused(Refused::Disabled));
    }
    if !settings.sends(EVENT) {
        return Err(NotDone::Refused(Refused::EventOff { event: PortalEvent::Approved }));
    }
    let key = keys::key(&*portal.settings, portal.now()).await.map_err(NotDone::Key)?;
    let mut jobs = Vec::with_capacity(approval.approvers.len());
    for (place, approver) in (0_u8..).zip(&approval.approvers) {
        let url = |verdict| {
            let expires_at = approval.expires_at;
            let link = Link { approval: approval.id, verdict, approver: place, expires_at };
            format!("{base}/approvals/{}", link.token(&key))
        };
        let mut wording = wording.clone();
        // The guest may not be able to log in yet; the request is about him, not from his sponsor.
        wording.sponsor = None;
        wording.tell("approve_url", url(Verdict::Approve));
        wording.tell("deny_url", url(Verdict::Deny));
        wording.tell("links_expire", moment(approval.expires_at, &jiff::tz::TimeZone::UTC));
        let mail = PlannedMail {
            kind: EVENT,
            to: Mailbox::from(approver.clone()),
            cc: None,
            class: MailClass::Approval,
            tells_password: false,
        };
        jobs.push(mailer::job(&portal.intake, settings, &mail, &wording).map_err(NotDone::Mail)?);
    }
    Ok(jobs)
}

/// The mails that tell a guest of a decision. A guest without an address, or a switch that is off, is no reason not
/// to decide.
fn results(
    portal: &Portal,
    guest: &Guest,
    event: PortalEvent,
    texts_of: &str,
    now: Timestamp,
) -> Vec<NewJob> {
    let settings = portal.guest_mail();
    let options = NoticeOptions::default();
    let notice = Notice { event, guest, has_password: false, options };
    let mut wording = Wording::of_guest(guest, event.name(), now);
    wording.tell("reason", guest.state_reason.clone());
    texts_of.clone_into(&mut wording.portal);
    let planned = plan(&notice, &settings).unwrap_or_else(|refused| {
        info!("the guest is not told of the decision: {refused}");
        Vec::new()
    });
    let made = planned.iter().filter_map(|mail| {
        let made = mailer::job(&portal.intake, &settings, mail, &wording);
        made.map_err(|problem| warn!("mail of a decision not made: {}", Chain(&problem))).ok()
    });
    made.collect()
}

/// The mails that must not go out once the approved access is gone: those of the result, and the credentials.
fn access_mails(results: &[NewJob], approval: &Approval) -> Vec<AccessMail> {
    let results = results.iter().map(|job| AccessMail { job: job.id, until: job.expires_at });
    let until = approval.expires_at + MailClass::Credentials.time_to_live();
    let credentials = approval.credentials_jobs.iter().map(|job| AccessMail { job: *job, until });
    results.chain(credentials).collect()
}

/// An approval at its end: nobody is asked any more, and credentials that wait are for nobody.
fn ending(mut approval: Approval, version: i64, now: Timestamp) -> Changeset {
    let mut changes = Changeset::new(now);
    changes.cancel.extend(&approval.request_jobs);
    changes.cancel.extend(std::mem::take(&mut approval.credentials_jobs));
    changes.writes.push(record::put(&approval, Expected::Version(version), now));
    changes
}

/// Releases the credentials of an approved guest, and notes it. If that does not work now, it is tried again when the
/// approval is looked at.
async fn finish(portal: &Portal, approval: Approval) -> Approval {
    if approval.state != ApprovalState::Approved || approval.credentials_jobs.is_empty() {
        return approval;
    }
    for job in &approval.credentials_jobs {
        if let Err(problem) = release(portal, *job).await {
            warn!(approval = %approval.id, "credentials not released yet: {}", Chain(&problem));
            return approval;
        }
    }
    match note_released(portal, approval.id).await {
        Ok(noted) => noted.unwrap_or(approval),
        Err(problem) => {
            warn!(approval = %approval.id, "release not noted yet: {}", Chain(&problem));
            approval
        }
    }
}

/// Lets a waiting mail go. One that is under way, or has ended, needs it no more.
async fn release(portal: &Portal, job: MailJobId) -> Result<(), StoreError> {
    let (store, now) = (&portal.intake.store, portal.now());
    let Some(present) = store.get(job).await? else { return Ok(()) };
    // It never comes due by itself: it would be due when its time to live ends.
    if !present.state.is_waiting() || present.due_at < present.expires_at {
        return Ok(());
    }
    for direction in [Direction::Hold, Direction::Release] {
        match store.direct(job, direction, now).await {
            Ok(_) => {}
            Err(DirectError::Store(error)) => return Err(error),
            Err(
                DirectError::NotFound(_)
                | DirectError::NotHoldable { .. }
                | DirectError::NotHeld { .. }
                | DirectError::NotRetryable { .. }
                | DirectError::TooLate(_)
                | DirectError::MayBeDuplicate(_),
            ) => return Ok(()),
        }
    }
    Ok(())
}

/// Moves the released mails to the results.
async fn note_released(portal: &Portal, id: ApprovalId) -> Result<Option<Approval>, CommitError> {
    let Some(stored) = record::find(portal.records(), id).await? else { return Ok(None) };
    let Stored { mut approval, version } = stored;
    if approval.credentials_jobs.is_empty() {
        return Ok(Some(approval));
    }
    let released = std::mem::take(&mut approval.credentials_jobs);
    approval.result_jobs.extend(released);
    let now = portal.now();
    let mut changes = Changeset::new(now);
    changes.writes.push(record::put(&approval, Expected::Version(version), now));
    portal.commit(changes).await?;
    Ok(Some(approval))
}

async fn remove(portal: &Portal, record: &Record, now: Timestamp) -> Result<(), CommitError> {
    let mut changes = Changeset::new(now);
    let expected = Expected::Version(record.version);
    changes.writes.push(Write::Delete { key: record.key.clone(), expected });
    portal.commit(changes).await
}

async fn find(portal: &Portal, id: ApprovalId) -> Result<Stored, NotDone> {
    let found = record::find(portal.records(), id).await.map_err(NotDone::Store)?;
    found.ok_or(NotDone::NotFound(id))
}
