//! A store in memory, for tests.

mod records;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::job::{Attempt, CallerId, Job, JobState, MailJobId, NewJob, RequestKey};
use nuncio_core::mail::Mail;
use nuncio_core::ports::job_store::*;
use tokio::sync::watch;

use crate::life;
use crate::memory::records::Records;

/// A [`JobStore`] and [`RecordStore`](nuncio_core::ports::records::RecordStore) that forgets everything when it is dropped.
///
/// It does no I/O and never waits, so it fits tests with paused time. It searches by looking at every
/// job, so it fits some thousand of them; records have their indexes.
#[derive(Debug)]
pub struct MemoryJobStore {
    tables: Mutex<Tables>,
    changed: watch::Sender<()>,
    records_changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Tables {
    records: Records,
    jobs: BTreeMap<MailJobId, Row>,
    requests: HashMap<(CallerId, String), Request>,
    changes: BTreeMap<ChangeSeq, Job>,
    last_change: ChangeSeq,
}

#[derive(Debug)]
struct Row {
    job: Job,
    /// Gone when nobody needs it any more: it may hold a guest's password.
    mail: Option<Mail>,
    attempts: Vec<Attempt>,
    fence: i64,
    holder: Option<Holder>,
    rescues: u32,
}

/// Who has a job now.
#[derive(Debug)]
struct Holder {
    incarnation: Incarnation,
    until: Timestamp,
    body_entered: bool,
}

#[derive(Debug)]
struct Request {
    fingerprint: [u8; 32],
    job: MailJobId,
}

impl Default for MemoryJobStore {
    fn default() -> Self {
        Self {
            tables: Mutex::default(),
            changed: watch::Sender::new(()),
            records_changed: watch::Sender::new(()),
        }
    }
}

#[async_trait]
impl JobStore for MemoryJobStore {
    async fn submit(&self, new: NewJob) -> Result<Submitted, SubmitError> {
        let mut tables = self.tables();
        let submitted = tables.submit(new)?;
        self.wake(matches!(submitted, Submitted::New(_)));
        Ok(submitted)
    }

    async fn get(&self, id: MailJobId) -> Result<Option<Job>, StoreError> {
        Ok(self.tables().jobs.get(&id).map(|row| row.job.clone()))
    }

    async fn attempts(&self, id: MailJobId, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        let tables = self.tables();
        let attempts = tables.jobs.get(&id).map_or(&[][..], |row| &row.attempts);
        Ok(attempts[attempts.len().saturating_sub(count(limit))..].to_vec())
    }

    async fn usage(
        &self,
        now: Timestamp,
        asker: &Incarnation,
    ) -> Result<Vec<MailboxUsage>, StoreError> {
        let tables = self.tables();
        let exact = now - USAGE_EXACT;
        let mut sums: BTreeMap<(Timestamp, Option<&str>), MailboxUsage> = BTreeMap::new();
        for attempt in tables.jobs.values().flat_map(|row| &row.attempts) {
            let Some(used) = attempt.used.as_ref() else { continue };
            if attempt.ended_at <= now - USAGE_PERIOD || now + USAGE_EXACT < attempt.ended_at {
                continue;
            }
            let ended_at = match Duration::try_from(exact.duration_since(attempt.ended_at)) {
                Ok(before) => exact - USAGE_STEP * steps_in(before),
                Err(_after) => attempt.ended_at,
            };
            let mailbox = used.mailbox.as_ref();
            let sum = sums.entry((ended_at, mailbox.map(EmailAddress::as_str)));
            let sum = sum.or_insert_with(|| MailboxUsage {
                mailbox: mailbox.cloned(),
                ended_at,
                messages: 0,
                recipients: 0,
            });
            sum.messages += 1;
            sum.recipients += used.recipients;
        }
        let mut told: Vec<_> = sums.into_values().collect();
        told.extend(tables.under_way_but_at(asker, now));
        told.sort_by_key(|one| one.ended_at);
        Ok(told)
    }

    async fn list(&self, query: &JobQuery) -> Result<JobPage, StoreError> {
        let tables = self.tables();
        let there = tables.jobs.values().rev().map(|row| &row.job);
        let there = there
            .skip_while(|job| query.before.is_some_and(|before| before <= job.id))
            .take_while(|job| query.from.is_none_or(|from| from <= job.id));
        let mut page = JobPage::default();
        let mut last = None;
        for (examined, job) in there.enumerate() {
            let enough = query.examine_max.is_some_and(|most| count(most) <= examined);
            if enough || count(query.limit) <= page.jobs.len() {
                page.next = last;
                break;
            }
            last = Some(job.id);
            page.jobs.extend(query.fits(job).then(|| job.clone()));
        }
        Ok(page)
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        let mut tables = self.tables();
        let mut found = tables.ids(|row| {
            let job = &row.job;
            let is_due = job.due_at <= claim.now && claim.now < job.expires_at;
            job.state.is_waiting() && is_due && !claim.except.contains(&job.id)
        });
        found.sort_by_key(|id| {
            let job = &tables.jobs[id].job;
            (job.class, job.due_at, *id)
        });
        let (mut taken, mut patient) = (0, 0);
        found.retain(|id| {
            let class = tables.jobs[id].job.class;
            let fits = 0 < claim.left_for(class, taken, patient);
            taken += u32::from(fits);
            patient += u32::from(fits && class.is_patient());
            fits
        });
        let claimed = found.into_iter().map(|id| {
            let row = tables.row(id);
            row.fence += 1;
            row.holder = Some(Holder {
                incarnation: claim.holder.clone(),
                until: claim.until,
                body_entered: claim.into_body,
            });
            let lease = Lease { job: id, fence: row.fence };
            let mail = row.mail.clone().expect("a job that waits has its mail");
            let job = tables.change(id, |job| life::claimed(job, claim.now));
            Claimed { lease, job, mail }
        });
        let claimed: Vec<_> = claimed.collect();
        self.wake(!claimed.is_empty());
        Ok(claimed)
    }

    async fn extend(&self, lease: &Lease, until: Timestamp) -> Result<(), LeaseError> {
        self.tables().held(lease)?.until = until;
        Ok(())
    }

    async fn enter_body(&self, lease: &Lease) -> Result<(), LeaseError> {
        self.tables().held(lease)?.body_entered = true;
        Ok(())
    }

    async fn settle(&self, lease: Lease, settlement: Settlement) -> Result<Job, LeaseError> {
        let mut tables = self.tables();
        tables.held(&lease)?;
        let job = tables.change(lease.job, |job| life::settled(job, &settlement));
        tables.row(lease.job).attempts.extend(settlement.attempt);
        self.wake(true);
        Ok(job)
    }

    async fn cancel(&self, id: MailJobId, now: Timestamp) -> Result<Job, CancelError> {
        let mut tables = self.tables();
        let row = tables.jobs.get(&id).ok_or(CancelError::NotFound(id))?;
        let cancelled = life::cancelled(row.job.clone(), now)?;
        let job = tables.change(id, |_| cancelled);
        self.wake(true);
        Ok(job)
    }

    async fn direct(
        &self,
        id: MailJobId,
        direction: Direction,
        now: Timestamp,
    ) -> Result<Job, DirectError> {
        let mut tables = self.tables();
        let row = tables.jobs.get(&id).ok_or(DirectError::NotFound(id))?;
        let directed = life::directed(row.job.clone(), direction, row.mail.is_some(), now)?;
        let Some(directed) = directed else { return Ok(row.job.clone()) };
        let job = tables.change(id, |_| directed);
        self.wake(true);
        Ok(job)
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
        let mut tables = self.tables();
        let mut found = tables.ids(|row| row.job.state.is_waiting() && row.job.expires_at <= now);
        found.sort_by_key(|id| tables.jobs[id].job.expires_at);
        found.truncate(count(limit));
        for id in &found {
            tables.change(*id, |job| life::expired(job, now));
        }
        let too_late = tables.ids(|row| {
            row.mail.is_some() && row.job.state == JobState::Unknown && row.job.expires_at <= now
        });
        for id in too_late.into_iter().take(count(limit)) {
            tables.row(id).mail = None;
        }
        self.wake(!found.is_empty());
        Ok(found.iter().map(|id| tables.jobs[id].job.clone()).collect())
    }

    async fn rescue(&self, dead: Dead, now: Timestamp) -> Result<Vec<Job>, StoreError> {
        let mut tables = self.tables();
        let found = tables.ids(|row| {
            row.holder.as_ref().is_some_and(|holder| match &dead {
                Dead::LeaseEnded => holder.until <= now,
                Dead::AllBut(alive) => holder.incarnation != *alive,
            })
        });
        for id in &found {
            let row = tables.row(*id);
            row.rescues += 1;
            let body_entered = row.holder.as_ref().is_some_and(|holder| holder.body_entered);
            let (job, attempt) = life::rescued(row.job.clone(), body_entered, row.rescues, now);
            row.attempts.push(attempt);
            tables.change(*id, |_| job);
        }
        self.wake(!found.is_empty());
        Ok(found.iter().map(|id| tables.jobs[id].job.clone()).collect())
    }

    async fn release_held(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let found = tables.ids(|row| {
            row.job.state == JobState::Held && now < row.job.due_at && !row.job.is_held_by_caller()
        });
        for id in &found {
            tables.row(*id).job.due_at = now;
        }
        self.wake(!found.is_empty());
        Ok(found.len() as u64)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let tables = self.tables();
        let waiting = tables.jobs.values().filter(|row| row.job.state.is_waiting());
        Ok(waiting.map(|row| row.job.due_at).min())
    }

    async fn changes(
        &self,
        after: ChangeSeq,
        id: Option<MailJobId>,
        limit: u32,
    ) -> Result<Vec<Change>, StoreError> {
        let tables = self.tables();
        let behind = tables.changes.range(ChangeSeq(after.0.saturating_add(1))..);
        let wanted = behind.filter(|(_, job)| id.is_none_or(|id| job.id == id));
        let changes = wanted.map(|(seq, job)| Change { seq: *seq, job: job.clone() });
        Ok(changes.take(count(limit)).collect())
    }

    async fn last_change(&self) -> Result<ChangeSeq, StoreError> {
        Ok(self.tables().last_change)
    }

    fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let tables = self.tables();
        let number = |state| {
            let there = tables.jobs.values().filter(|row| row.job.state == state);
            there.count() as u64
        };
        let due_at = |is_patient| {
            let waits = |job: &Job| match job.state {
                JobState::Queued | JobState::Deferred => job.class.is_patient() == is_patient,
                JobState::Sending
                | JobState::Held
                | JobState::Sent
                | JobState::Failed
                | JobState::Expired
                | JobState::Cancelled
                | JobState::Unknown => false,
            };
            let waiting = tables.jobs.values().filter(|row| waits(&row.job));
            waiting.map(|row| row.job.due_at).min()
        };
        Ok(Backlog {
            urgent_due_at: due_at(false),
            patient_due_at: due_at(true),
            queued: number(JobState::Queued),
            sending: number(JobState::Sending),
            deferred: number(JobState::Deferred),
            held: number(JobState::Held),
        })
    }

    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let mut tables = self.tables();
        let mut found = tables.ids(|row| row.job.state.is_final() && row.job.updated_at < before);
        found.sort_by_key(|id| tables.jobs[id].job.updated_at);
        found.truncate(count(limit));
        for id in &found {
            tables.jobs.remove(id);
        }
        let Tables { jobs, requests, changes, .. } = &mut *tables;
        requests.retain(|_, request| jobs.contains_key(&request.job));
        changes.retain(|_, job| jobs.contains_key(&job.id));
        Ok(u32::try_from(found.len()).expect("the limit is a u32"))
    }
}

impl MemoryJobStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("no method panics half way")
    }

    /// Call it with the tables still locked: who is woken then finds the change.
    fn wake(&self, something_changed: bool) {
        if something_changed {
            self.changed.send_replace(());
        }
    }
}

impl Tables {
    /// What others have under way, if there is any.
    fn under_way_but_at(&self, asker: &Incarnation, now: Timestamp) -> Option<MailboxUsage> {
        let is_others =
            |row: &&Row| row.holder.as_ref().is_some_and(|holder| holder.incarnation != *asker);
        let others: Vec<_> = self.jobs.values().filter(is_others).collect();
        let recipients = others.iter().map(|row| row.job.recipients.len()).sum::<usize>();
        let number = |count| u32::try_from(count).expect("tests have some dozens of them");
        let (messages, recipients) = (number(others.len()), number(recipients));
        let usage = MailboxUsage { mailbox: None, ended_at: now, messages, recipients };
        (0 < messages).then_some(usage)
    }

    /// Stores the job, or finds out why not without a change.
    fn submit(&mut self, new: NewJob) -> Result<Submitted, SubmitError> {
        if let Some(known) = self.known(&new)? {
            return Ok(Submitted::Existing(self.jobs[&known].job.clone()));
        }
        if self.jobs.contains_key(&new.id) {
            let cause = format!("the job id `{}` is taken", new.id);
            return Err(StoreError::Unusable(cause.into()).into());
        }
        if let Some(RequestKey { caller, request_id, fingerprint }) = new.request.clone() {
            let request = Request { fingerprint, job: new.id };
            self.requests.insert((caller, request_id), request);
        }
        let job = Job::submitted(&new);
        let row = Row {
            job: job.clone(),
            mail: Some(new.mail),
            attempts: Vec::new(),
            fence: 0,
            holder: None,
            rescues: 0,
        };
        self.jobs.insert(job.id, row);
        self.note(job.clone());
        Ok(Submitted::New(job))
    }

    /// The job that was stored before for the same request.
    fn known(&self, new: &NewJob) -> Result<Option<MailJobId>, SubmitError> {
        let Some(request) = &new.request else { return Ok(None) };
        let key = (request.caller.clone(), request.request_id.clone());
        match self.requests.get(&key) {
            Some(known) if known.fingerprint != request.fingerprint => {
                Err(SubmitError::RequestIdReused { existing: known.job })
            }
            known => Ok(known.map(|known| known.job)),
        }
    }

    fn ids(&self, wanted: impl Fn(&Row) -> bool) -> Vec<MailJobId> {
        self.jobs.iter().filter(|(_, row)| wanted(row)).map(|(id, _)| *id).collect()
    }

    fn row(&mut self, id: MailJobId) -> &mut Row {
        self.jobs.get_mut(&id).expect("the id was just found")
    }

    /// The holder of a job, if this lease is the last one and has not been settled.
    fn held(&mut self, lease: &Lease) -> Result<&mut Holder, LeaseError> {
        let row = self.jobs.get_mut(&lease.job).filter(|row| row.fence == lease.fence);
        row.and_then(|row| row.holder.as_mut()).ok_or(LeaseError::Lost(lease.job))
    }

    fn change(&mut self, id: MailJobId, change: impl FnOnce(Job) -> Job) -> Job {
        let row = self.row(id);
        row.job = change(row.job.clone());
        if row.job.state != JobState::Sending {
            row.holder = None;
        }
        if !life::keeps_mail(row.job.state) {
            row.mail = None;
        }
        let job = row.job.clone();
        self.note(job.clone());
        job
    }

    fn note(&mut self, job: Job) {
        self.last_change.0 += 1;
        self.changes.insert(self.last_change, job);
    }
}

/// How many whole steps lie in a time of less than a day.
fn steps_in(time: Duration) -> u32 {
    u32::try_from(time.as_micros() / USAGE_STEP.as_micros()).expect("a day has 288 of them")
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).expect("a usize has at least 32 bits")
}

#[cfg(test)]
mod tests;
