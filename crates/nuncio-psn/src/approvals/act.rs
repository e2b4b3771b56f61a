//! What is done with an approval: decided, sent again, called back, looked after.
//!
//! Guest, approval and mails change in one transaction. Credentials are made at the decision, so that they tell how the
//! guest stands then. Where the directory has decided, the approval is due at once, and whoever looks makes them.

use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nuncio_core::address::Mailbox;
use nuncio_core::class::MailClass;
use nuncio_core::directory::guest::{Guest, GuestId};
use nuncio_core::directory::lifecycle::{GuestAction, Refused as GuestRefused};
use nuncio_core::job::NewJob;
use nuncio_core::portal::PortalEvent;
use nuncio_core::portal::approval::{
    Approval, ApprovalId, ApprovalState, Decision, NotPending, Verdict,
};
use nuncio_core::portal::plan::{Notice, PlannedMail, Refused, plan};
use nuncio_core::portal::variables::moment;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Changeset, CommitError, Expected, Record, Write};
use nuncio_core::ports::sealer::UnsealError;
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::guest_mail::{GuestMailEvent, GuestMailSettings};
use nuncio_delivery::intake::IntakeError;
use nuncio_directory::approvals::sealed::password_context;
use nuncio_directory::approvals::{self as record, Stored};
use nuncio_directory::directory::DirectoryError;
use nuncio_directory::mails::AccessMail;
use nuncio_runtime::chain::Chain;
use tracing::{error, info, warn};

use super::link::Link;
use crate::portal::keys::{self, KeyError};
use crate::portal::mailer::{self, Wording};
use crate::portal::{Portal, TRIES_MAX};

/// How soon credentials are tried again that could not be made into mails.
const RETRY: Duration = Duration::from_mins(1);

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
    /// The password that has waited cannot be read.
    Sealed(UnsealError),
    Mail(IntakeError),
    Directory(DirectoryError),
    Store(StoreError),
    Commit(CommitError),
    /// Others write the same records all the time.
    Contended,
}

/// Why credentials are no mails.
enum NotMade {
    Sealed(UnsealError),
    Mail(IntakeError),
}

impl From<NotMade> for NotDone {
    fn from(problem: NotMade) -> Self {
        match problem {
            NotMade::Sealed(problem) => Self::Sealed(problem),
            NotMade::Mail(problem) => Self::Mail(problem),
        }
    }
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
            Self::Sealed(problem) => warn!("approval not decided: {}", Chain(problem)),
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
        let guest = match entry.subject.after(&action, now) {
            Ok(guest) => guest,
            Err(refused) => match approval.settled_by(Some(&entry.subject), now) {
                // The directory was faster than its request: it was made in the same moment.
                Some(settled) => {
                    let state = settled.state;
                    match portal.commit(ending(&settled, version, now)).await {
                        Ok(()) => return Err(NotDone::NotPending(NotPending { id, state })),
                        Err(CommitError::Conflict { .. }) => continue,
                        Err(error) => return Err(NotDone::Commit(error)),
                    }
                }
                None => return Err(NotDone::Guest(refused)),
            },
        };
        let results = results(portal, &guest, event, &decided, now).map_err(NotDone::from)?;
        if event.tells_of_access() {
            entry.mails.extend(access_mails(&results));
        }
        let after = portal.directory.transition(&entry, &action, now);
        let (_guest, change) = after.map_err(NotDone::Guest)?;
        decided.credentials = None;
        decided.result_jobs = results.iter().map(|(_, job)| job.id).collect();
        let mut changes = Changeset::new(now);
        change.add_to(&mut changes);
        changes.jobs = results.into_iter().map(|(_, job)| job).collect();
        // Nobody needs to be asked any more.
        changes.cancel.extend(&approval.request_jobs);
        changes.writes.push(record::put(&decided, Expected::Version(version), now));
        match portal.commit(changes).await {
            Ok(()) => {
                info!(approval = %id, state = decided.state.name(), "approval is decided");
                return Ok(decided);
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
        let zone = &entry.subject.time_zone;
        let jobs = request_jobs(portal, &approval, &wording, zone, &portal.guest_mail()).await?;
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
        match portal.commit(ending(&cancelled, version, now)).await {
            Ok(()) => return Ok(cancelled),
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(NotDone::Commit(error)),
        }
    }
    Err(NotDone::Contended)
}

/// Does what is due of an approval: ends it in time, sends credentials, removes it at last.
pub(crate) async fn look(portal: &Portal, record: &Record) -> Result<(), CommitError> {
    let now = portal.now();
    let Some(Stored { approval, version }) = record::decode(record) else {
        error!("an approval cannot be read; it is removed");
        return remove(portal, record, now).await;
    };
    match approval.state {
        ApprovalState::Pending if now < approval.expires_at => Ok(()),
        ApprovalState::Pending => {
            let state = ApprovalState::Expired;
            let expired = Approval { state, credentials: None, ..approval };
            info!(approval = %expired.id, "approval was not decided in time");
            portal.commit(ending(&expired, version, now)).await
        }
        ApprovalState::Approved if approval.credentials.is_some() => {
            send_credentials(portal, record, approval).await
        }
        ApprovalState::Approved
        | ApprovalState::Denied
        | ApprovalState::Expired
        | ApprovalState::Cancelled => remove(portal, record, now).await,
    }
}

/// The event in the labels of mails that ask for an approval.
pub(crate) const EVENT: GuestMailEvent = GuestMailEvent::ApprovalRequest;

/// The mails that ask, one for each approver. All times in them are those of the guest's place, `zone`: where an
/// approver is nobody knows.
pub(crate) async fn request_jobs(
    portal: &Portal,
    approval: &Approval,
    wording: &Wording,
    zone: &TimeZone,
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
        wording.tell("links_expire", moment(approval.expires_at, zone));
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

/// The mails that tell a guest of a decision, with the credentials that have waited for it. A guest without an
/// address, or a switch that is off, is no reason not to decide; credentials that cannot be made are one.
fn results(
    portal: &Portal,
    guest: &Guest,
    event: PortalEvent,
    approval: &Approval,
    now: Timestamp,
) -> Result<Vec<(PlannedMail, NewJob)>, NotMade> {
    let settings = portal.guest_mail();
    let password = password(portal, approval).map_err(NotMade::Sealed)?;
    let waiting = approval.credentials.as_ref();
    let mut options = waiting.map(|waiting| waiting.options).unwrap_or_default();
    // He may have lost his sponsor since.
    options.copy_me &= guest.sponsor.is_some();
    let notice = Notice { event, guest, has_password: password.is_some(), options };
    let mut wording = Wording::of_guest(guest, event.name(), now);
    wording.tell("reason", guest.state_reason.clone());
    approval.portal.clone_into(&mut wording.portal);
    for (key, value) in waiting.iter().flat_map(|waiting| &waiting.labels) {
        wording.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    wording.password = password;
    let planned = plan(&notice, &settings).unwrap_or_else(|refused| {
        info!("the guest is not told of the decision: {refused}");
        Vec::new()
    });
    let mut mails = Vec::with_capacity(planned.len());
    for mail in planned {
        match mailer::job(&portal.intake, &settings, &mail, &wording) {
            Ok(job) => mails.push((mail, job)),
            Err(problem) if mail.tells_password => return Err(NotMade::Mail(problem)),
            Err(problem) => warn!("mail of a decision not made: {}", Chain(&problem)),
        }
    }
    Ok(mails)
}

/// The mails that must not go out once the approved access is gone.
fn access_mails(results: &[(PlannedMail, NewJob)]) -> impl Iterator<Item = AccessMail> {
    results.iter().map(|(_, job)| AccessMail { job: job.id, until: job.expires_at })
}

/// An approval at its end: nobody is asked any more.
fn ending(approval: &Approval, version: i64, now: Timestamp) -> Changeset {
    let mut changes = Changeset::new(now);
    changes.cancel.extend(&approval.request_jobs);
    changes.writes.push(record::put(approval, Expected::Version(version), now));
    changes
}

/// Makes the credentials of a guest who was approved in the directory into mails.
async fn send_credentials(
    portal: &Portal,
    record: &Record,
    approval: Approval,
) -> Result<(), CommitError> {
    let now = portal.now();
    let entry = match portal.directory.get::<Guest>(&approval.guest).await {
        Ok(entry) => entry,
        Err(problem) => return put_off(portal, record, &told(&problem)).await,
    };
    let mut changes = Changeset::new(now);
    let mut sent = Approval { credentials: None, ..approval.clone() };
    if let Some(entry) = &entry {
        let mails = match results(portal, &entry.subject, PortalEvent::Approved, &approval, now) {
            Ok(mails) => mails,
            Err(NotMade::Sealed(problem)) => {
                return put_off(portal, record, &told(&problem)).await;
            }
            Err(NotMade::Mail(problem)) => {
                return put_off(portal, record, &told(&problem)).await;
            }
        };
        // Who approves in the directory tells the guest himself, or nobody does.
        let mails = mails.into_iter().filter(|(mail, _)| mail.kind != GuestMailEvent::Approved);
        let mails: Vec<_> = mails.collect();
        changes.writes.push(entry.told(access_mails(&mails), now));
        changes.jobs = mails.into_iter().map(|(_, job)| job).collect();
        sent.result_jobs.extend(changes.jobs.iter().map(|job| job.id));
    }
    changes.writes.push(record::put(&sent, Expected::Version(record.version), now));
    portal.commit(changes).await
}

/// An error as text: the chain itself must not be held while something is awaited.
fn told(problem: &dyn Error) -> String {
    Chain(problem).to_string()
}

/// Looks again in a while.
async fn put_off(portal: &Portal, record: &Record, problem: &str) -> Result<(), CommitError> {
    warn!("credentials of an approved guest are not sent yet: {problem}");
    let mut changes = Changeset::new(portal.now());
    changes.writes.push(Write::Put {
        key: record.key.clone(),
        expected: Expected::Version(record.version),
        owner: record.owner.clone(),
        due_at: Some(portal.now() + RETRY),
        content: record.content.clone(),
    });
    portal.commit(changes).await
}

/// The password that has waited, if there is one.
fn password(portal: &Portal, approval: &Approval) -> Result<Option<Sensitive>, UnsealError> {
    let Some(credentials) = &approval.credentials else { return Ok(None) };
    let keys = portal.keys.current();
    let clear = keys.open(&password_context(approval.id), &credentials.sealed_password)?;
    let text = String::from_utf8(clear).map_err(|_no_text| UnsealError::Malformed)?;
    Ok(Some(Sensitive::from(text)))
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
