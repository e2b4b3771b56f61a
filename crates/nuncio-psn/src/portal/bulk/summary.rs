//! Looks after bulks until their mails have ended: makes the summary, and removes what is old.

use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::address::{EmailAddress, Mailbox};
use nuncio_core::class::MailClass;
use nuncio_core::job::NewJob;
use nuncio_core::portal::plan::PlannedMail;
use nuncio_core::ports::records::{Changeset, CommitError, Expected, Record, Write};
use nuncio_core::settings::guest_mail::GuestMailEvent;
use nuncio_core::template::Variables;
use nuncio_runtime::chain::Chain;
use tracing::{error, warn};

use super::outcome::{Outcome, Tally, outcome};
use super::record::*;
use crate::portal::Portal;
use crate::portal::mailer::{self, Wording};

/// The first and the longest pause between two looks at a bulk.
const LOOK_MIN: Duration = Duration::from_secs(5);
const LOOK_MAX: Duration = Duration::from_mins(1);
/// How much of the failures stands in a summary, in characters: a variable of a template holds 65,536.
const FAILURES_CHARS_MAX: usize = 60_000;
/// How many guests of an old bulk are removed at once.
const REMOVED: usize = 500;

/// Looks at a bulk that is due.
pub(crate) async fn look(portal: &Portal, record: &Record) -> Result<(), CommitError> {
    let id = record.key.id.as_str();
    let now = portal.now();
    let Some(bulk) = decode::<BulkV1>(record) else {
        error!("a bulk cannot be read; it is put off");
        return put_off(portal, record, now + KEPT).await;
    };
    if bulk.is_over {
        return remove(portal, record).await;
    }
    let is_last = bulk.deadline <= now;
    let ended = ended(portal, id, &bulk).await?;
    let looks = bulk.looks.saturating_add(1);
    if !is_last && (!bulk.is_complete || ended < bulk.total) {
        let pause = LOOK_MIN.saturating_mul(2_u32.saturating_pow(bulk.looks.min(16))).min(LOOK_MAX);
        let due_at =
            if bulk.is_complete { (now + pause).min(bulk.deadline) } else { bulk.deadline };
        let bulk = BulkV1 { ended, looks, ..bulk };
        let mut changes = Changeset::new(now);
        changes.writes.push(put_bulk(id, &bulk, Expected::Version(record.version), due_at));
        return portal.commit(changes).await;
    }
    let guests = guests(portal.records(), id, 0).await?;
    let tally = Tally::of(&*portal.intake.store, &guests, bulk.total, true).await?;
    let job = bulk.summary_to.as_ref().and_then(|to| summary(portal, &bulk, to, &tally));
    let summary_job = job.as_ref().map(|job| job.id.to_string());
    let bulk = BulkV1 { ended, looks, summary_job, is_over: true, ..bulk };
    let mut changes = Changeset::new(now);
    let due_at = bulk.created_at + KEPT;
    changes.writes.push(put_bulk(id, &bulk, Expected::Version(record.version), due_at));
    changes.jobs.extend(job);
    portal.commit(changes).await
}

/// The place of the first guest whose mails have not all ended.
async fn ended(portal: &Portal, id: &str, bulk: &BulkV1) -> Result<usize, CommitError> {
    let mut ended = bulk.ended;
    for (index, guest) in guests(portal.records(), id, bulk.ended).await? {
        match outcome(&*portal.intake.store, &guest).await? {
            Outcome::Waiting(_) => break,
            Outcome::Sent | Outcome::Failed(_) => ended = index + 1,
        }
    }
    Ok(ended)
}

/// The job of the summary. What keeps it from being made is told in the log: the bulk itself is done.
fn summary(portal: &Portal, bulk: &BulkV1, to: &SummaryTo, tally: &Tally) -> Option<NewJob> {
    let settings = portal.guest_mail();
    let kind = GuestMailEvent::BulkSummary;
    if !settings.sends(kind) {
        return None;
    }
    let address: EmailAddress = to.address.parse().ok()?;
    let display_name = Some(to.name.clone()).filter(|name| !name.is_empty());
    let name = display_name.clone().unwrap_or_else(|| to.address.clone());
    let mut wording = Wording {
        variables: Variables::new(),
        password: None,
        locale: bulk.locale.clone(),
        portal: bulk.portal.clone(),
        sponsor: None,
        labels: [("portal-event".to_owned(), kind.name().to_owned())].into(),
        not_before: None,
        time_to_live: None,
        trace: None,
    };
    wording.tell("sponsor_name", name);
    wording.tell("sponsor_email", to.address.clone());
    wording.tell("event", bulk.event.clone());
    wording.tell("total", bulk.total.to_string());
    wording.tell("created", tally.sent.to_string());
    wording.tell("failed", tally.failures.len().to_string());
    wording.tell("failures", tally.lines(FAILURES_CHARS_MAX));
    let mail = PlannedMail {
        kind,
        to: Mailbox { address, display_name },
        cc: None,
        class: MailClass::Bulk,
        tells_password: false,
    };
    let made = mailer::job(&portal.intake, &settings, &mail, &wording);
    made.map_err(|problem| warn!("no summary was made: {}", Chain(&problem))).ok()
}

async fn put_off(portal: &Portal, record: &Record, due_at: Timestamp) -> Result<(), CommitError> {
    let mut changes = Changeset::new(portal.now());
    changes.writes.push(Write::Put {
        key: record.key.clone(),
        expected: Expected::Version(record.version),
        owner: record.owner.clone(),
        due_at: Some(due_at),
        content: record.content.clone(),
    });
    portal.commit(changes).await
}

/// Removes an old bulk with its guests; with many of them in several steps.
async fn remove(portal: &Portal, record: &Record) -> Result<(), CommitError> {
    let id = record.key.id.as_str();
    let guests = guests(portal.records(), id, 0).await?;
    for some in guests.chunks(REMOVED) {
        let mut changes = Changeset::new(portal.now());
        changes.writes = some
            .iter()
            .map(|(index, _)| Write::Delete { key: guest_key(id, *index), expected: Expected::Any })
            .collect();
        portal.commit(changes).await?;
    }
    let mut changes = Changeset::new(portal.now());
    changes.writes.push(Write::Delete { key: record.key.clone(), expected: Expected::Any });
    portal.commit(changes).await
}
