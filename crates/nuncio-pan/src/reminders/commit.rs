//! What follows from a decision, in one transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nuncio_core::class::MailClass;
use nuncio_core::job::JobState;
use nuncio_core::ports::job_store::{StoreError, Submitted};
use nuncio_core::ports::records::{Changeset, CommitError, Expected, Write};
use nuncio_core::reminder::decide::{Decision, Due, decide};
use nuncio_core::reminder::ledger::LedgerKey;
use nuncio_directory::change::{Change, Entry};
use nuncio_runtime::chain::Chain;
use nuncio_runtime::trace;
use tracing::{Instrument as _, Span, debug, error, info_span};

use super::follow_up::Reminding;
use super::ledger::{LedgerOutcome, LedgerRow};
use super::notes::{Noted, NotedMail};
use super::remindable::Remindable;
use super::round::Taken;
use super::{InForce, Reminders};

/// When somebody is looked at again for whom no mail could be made, or whose mail is under way.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// What became of a look at somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Done,
    /// Somebody else has written meanwhile: the next round looks again.
    Conflict,
}

impl Reminders {
    /// Decides for somebody and does it.
    pub(crate) async fn look<S: Remindable>(
        &self,
        entry: &Entry<S>,
        taken: Taken,
        in_force: &InForce,
        now: Timestamp,
    ) -> Result<Look, StoreError> {
        let (subject, mut noted) =
            (in_force.view(&entry.subject), Noted::read(entry.notes.as_ref()));
        let (mut free, unsure) = self.recheck(&mut noted, &subject.name).await?;
        free.extend(self.untold(&taken, entry.subject.created_at()).await?);
        let mut taken = taken.places();
        taken.retain(|place| !free.contains(place));
        let decision = if unsure {
            Decision { next_look: Some(now + LOOK_AGAIN), ..Decision::default() }
        } else {
            decide(&subject, &in_force.reminders, &taken, now)
        };
        let span = span(&decision);
        let trace = trace::current(&span);
        let mut changes = Changeset::new(now);
        let mut next_look = decision.next_look;
        let mut sent = Vec::new();
        for due in &decision.send {
            match self.job(&entry.subject, due, &in_force.guest_mail, now, trace.as_ref()) {
                Ok(job) => {
                    changes.writes.push(row(due, LedgerOutcome::Mailed(job.id), &free, now));
                    sent.push(NotedMail::new(job.id, &due.key));
                    changes.jobs.push(job);
                }
                Err(problem) => {
                    error!("no reminder could be made for {}: {}", subject.name, Chain(&problem));
                    next_look = next_look.into_iter().chain([now + LOOK_AGAIN]).min();
                }
            }
        }
        for due in &decision.supersede {
            changes.writes.push(row(due, LedgerOutcome::Superseded, &free, now));
        }
        // A row whose mail was cancelled before it went out tells nothing true.
        let written: BTreeSet<_> = changes.writes.iter().map(|write| write.key().clone()).collect();
        let untrue = free.iter().map(LedgerKey::record_key).filter(|key| !written.contains(key));
        changes.writes.extend(untrue.map(|key| Write::Delete { key, expected: Expected::Any }));
        // A mail that still waits, as the provider is away, says less than the one that is made now.
        for mail in &sent {
            let older = noted.open.extract_if(.., |open| open.channel() == mail.channel());
            changes.cancel.extend(older.map(|older| older.job()));
        }
        noted.open.extend(sent);
        match entry.subject.after_expiry(now).filter(|_| decision.expire) {
            Some(after) => {
                let follow_up = Reminding::new(self.settings.clone());
                Change::put(&follow_up, Some(entry), &after, now).add_to(&mut changes);
            }
            None => changes.writes.push(entry.noted(noted.write().as_ref(), next_look)),
        }
        self.commit(changes, &decision, now).instrument(span).await
    }

    async fn commit(
        &self,
        changes: Changeset,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<Look, StoreError> {
        match self.records.commit(changes).await {
            Ok(committed) => {
                for submitted in committed.jobs {
                    match submitted {
                        Submitted::New(_) => self.intake.observer.job_accepted(MailClass::Reminder),
                        Submitted::Existing(_) => {}
                    }
                }
                self.tell(decision, now);
                Ok(Look::Done)
            }
            Err(CommitError::Conflict { key, .. }) => {
                debug!("{} `{}` was written meanwhile; it is looked at again", key.kind.0, key.id);
                Ok(Look::Conflict)
            }
            Err(CommitError::RequestIdReused { .. }) => Ok(Look::Conflict),
            Err(CommitError::Store(source)) => Err(source),
        }
    }

    fn tell(&self, decision: &Decision, now: Timestamp) {
        for due in &decision.send {
            let late = Duration::try_from(now.duration_since(due.since)).unwrap_or_default();
            self.observer.reminder_sent(due.key.channel, late);
        }
        for _superseded in &decision.supersede {
            self.observer.reminder_superseded();
        }
        if decision.expire {
            self.observer.guest_expired();
        }
    }

    /// The places of mails that were cancelled when somebody was removed who has been made again since: what his
    /// record had noted went with it.
    async fn untold(
        &self,
        taken: &Taken,
        created_at: Timestamp,
    ) -> Result<Vec<LedgerKey>, StoreError> {
        let mut untold = Vec::new();
        for (place, job) in taken.mailed_before(created_at) {
            let job = self.intake.store.get(job).await?;
            if job.is_some_and(|job| job.state == JobState::Cancelled) {
                untold.push(place.clone());
            }
        }
        Ok(untold)
    }

    /// Looks at the mails that a change of the subject has cancelled: the places of those that did not go out,
    /// and whether some are still under way.
    async fn recheck(
        &self,
        noted: &mut Noted,
        subject: &str,
    ) -> Result<(BTreeSet<LedgerKey>, bool), StoreError> {
        let mut free = BTreeSet::new();
        let mut unsure = Vec::new();
        for mail in noted.recheck.drain(..) {
            match self.intake.store.get(mail.job()).await?.map(|job| job.state) {
                Some(JobState::Cancelled) => drop(free.insert(mail.place(subject))),
                Some(
                    JobState::Queued | JobState::Sending | JobState::Deferred | JobState::Held,
                ) => unsure.push(mail),
                Some(JobState::Sent | JobState::Failed | JobState::Expired | JobState::Unknown)
                | None => {}
            }
        }
        noted.recheck = unsure;
        Ok((free, !noted.recheck.is_empty()))
    }
}

/// The span in which the mails about somebody are made, if there are any: a trace begins with it.
fn span(decision: &Decision) -> Span {
    if decision.send.is_empty() {
        return Span::none();
    }
    info_span!("reminder.send", otel.kind = "producer", reminder.mails = decision.send.len())
}

/// The row of a place; one that is free again is written over. Rows of a subject are written only together with its
/// record, whose version is checked.
fn row(due: &Due, outcome: LedgerOutcome, free: &BTreeSet<LedgerKey>, now: Timestamp) -> Write {
    let expected = if free.contains(&due.key) { Expected::Any } else { Expected::Absent };
    LedgerRow { key: due.key.clone(), outcome, since: due.since, decided_at: now }.write(expected)
}
