//! Sees what becomes of the mails about alarms, and has the second route tell what they cannot.
//!
//! What was decided is written together with what is told, so that a kill in between loses and doubles nothing.

use nuncio_core::caller::Caller;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use nuncio_core::alarm::arrival::{Clear, Event, Raise};
use nuncio_core::alarm::catalogue::{
    ALARM_MAIL_FAILED, MAIL_PROVIDER_DOWN, MAILBOX_CLOSED, SECRET_EXPIRED,
};
use nuncio_core::alarm::draft::DESCRIPTION_CHARS_MAX;
use nuncio_core::alarm::late::{AlarmMail, MailFate, MailOutage};
use nuncio_core::alarm::route::RouteMessage;
use nuncio_core::alarm::settings::AlarmSettings;
use nuncio_core::alarm::standing::Phase;
use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm};
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::{JobStore, StoreError};
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, Record, RecordKey, RecordQuery, RecordStore, Write,
};
use nuncio_runtime::chain::Chain;
use tracing::{debug, error, info, warn};

use crate::intake::{AlarmIntake, Incoming, IncomingRequest};
use crate::muting::firing;
use crate::notice;
use crate::records::{ALARM, ALARM_MAIL, LATE, MAIL_OUTAGE, alarm, mail, outage};
use crate::rounds::store_error;
use crate::rules::Rules;

/// How many mails are looked at in one transaction.
const PAGE: u32 = 100;
/// How many late mails are looked at while none of them goes out: the first to be sent are among the oldest.
const SAMPLE: u32 = 20;
/// The alarms that say that mails do not go out.
const BROKEN: [&str; 3] = [MAILBOX_CLOSED, MAIL_PROVIDER_DOWN, SECRET_EXPIRED];
/// The label of a failed mail's alarm: what the mail was about.
const TYPE_LABEL: &str = "alarm_type";

/// Looks after the mails about alarms until their end.
pub(crate) struct LateMails {
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) jobs: Arc<dyn JobStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Rules,
    pub(crate) alarms: AlarmIntake,
}

/// What one transaction comes to.
struct Step {
    outage: Option<MailOutage>,
    /// As it stands in the store.
    version: Option<i64>,
    messages: Vec<RouteMessage>,
    writes: Vec<Write>,
    ended: usize,
}

impl LateMails {
    /// Looks at mails that are due, and else at late ones if these are. Gives how many were due and are not now.
    pub(crate) async fn run(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let due = self.store.due_records(ALARM_MAIL, now, None, PAGE).await?;
        if !due.is_empty() {
            let is_done = self.look(&due).await?.is_some();
            return Ok(if is_done { due.len() } else { 0 });
        }
        if !self.store.due_records(MAIL_OUTAGE, now, None, 1).await?.is_empty() {
            self.look_at_late().await?;
        }
        Ok(0)
    }

    /// A few of them, and all as soon as one has ended.
    async fn look_at_late(&self) -> Result<(), StoreError> {
        let (mut after, mut limit) = (None, SAMPLE);
        loop {
            let owner = Some(LATE.to_owned());
            let query = RecordQuery { kind: ALARM_MAIL, owner, after, limit };
            let late = self.store.list_records(&query).await?;
            let ended = self.look(&late).await?;
            if ended.is_none_or(|ended| ended == 0) || late.len() < limit as usize {
                return Ok(());
            }
            after = late.last().map(|record| record.key.id.clone());
            limit = PAGE;
        }
    }

    /// Looks at these mails, and gives how many have ended; none if somebody else was faster.
    async fn look(&self, records: &[Record]) -> Result<Option<usize>, StoreError> {
        let now = self.clock.now();
        let rules = self.rules.current();
        let settings = &rules.rules.settings;
        let mut step = self.begin().await?;
        let is_broken = step.outage.as_ref().is_some_and(|outage| 0 < outage.waiting)
            || !firing(&*self.store, BROKEN, 1).await?.is_empty();
        for record in records {
            let found = match mail::read(record) {
                Ok(found) => found,
                Err(problem) => {
                    error!("a mail about alarms is not looked after: {}", Chain(&problem));
                    None
                }
            };
            let Some(found) = found else {
                step.forget(record);
                continue;
            };
            let job = self.jobs.get(found.job).await?;
            let fate = MailFate::of(job.as_ref());
            match &fate {
                MailFate::Waits => step.take_waiting(record, found, is_broken, settings, now),
                MailFate::Sent | MailFate::Lost { .. } | MailFate::Cancelled => {
                    self.tell_end(&found, &fate, now).await?;
                    step.take_end(record, &found, &fate);
                }
            }
        }
        self.commit(step, settings, now).await
    }

    async fn begin(&self) -> Result<Step, StoreError> {
        let record = self.store.read(&[outage::key()]).await?.pop().flatten();
        let version = record.as_ref().map(|record| record.version);
        let outage = record.as_ref().map(outage::read).transpose()?;
        Ok(Step { outage, version, messages: Vec::new(), writes: Vec::new(), ended: 0 })
    }

    async fn commit(
        &self,
        mut step: Step,
        settings: &AlarmSettings,
        now: Timestamp,
    ) -> Result<Option<usize>, StoreError> {
        step.end(settings, now);
        let mut changes = Changeset::new(now);
        changes.writes = step.writes;
        changes.writes.extend(step.messages.iter().map(|one| notice::message(one, now)));
        match self.store.commit(changes).await {
            Ok(_) => {
                for message in &step.messages {
                    info!(message = message.id, "for the second route: {}", message.kind.name());
                }
                Ok(Some(step.ended))
            }
            Err(CommitError::Conflict { key, .. }) => {
                debug!(record.kind = key.kind.0, "somebody else looks after mails about alarms");
                Ok(None)
            }
            Err(error) => Err(store_error(error)),
        }
    }

    /// Raises the alarm that a mail has reached nobody, or clears it when one of its kind has gone out. Done again,
    /// it changes nothing.
    async fn tell_end(
        &self,
        mail: &AlarmMail,
        fate: &MailFate,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let identity = failed(&mail.alarm_type);
        let incoming = match fate {
            MailFate::Waits | MailFate::Cancelled => return Ok(()),
            MailFate::Lost { state, reason } => {
                warn!(job.name = %mail.job, "a mail about alarms has reached nobody: {reason}");
                if mail.alarm_type == ALARM_MAIL_FAILED {
                    // The second route knows, and another mail would fare no better.
                    return Ok(());
                }
                let what = format!("a mail is {}: {} ({reason})", state.name(), mail.subject);
                let alarm = RaisedAlarm {
                    identity,
                    severity: None,
                    description: what.chars().take(DESCRIPTION_CHARS_MAX).collect(),
                    details: format!("{}\n{}", mail.text, mail.job),
                    raised_at: now,
                };
                let event = Event::Raise(Raise { alarm, value: None, is_dated: false });
                let id = format!("{ALARM_MAIL_FAILED}/{}", mail.job);
                let request =
                    Some(IncomingRequest { caller: Caller::local().id, digest: id.clone(), id });
                Incoming { event, request, trace: None }
            }
            MailFate::Sent => {
                let key = RecordKey::new(ALARM, identity.fingerprint().as_str());
                let record = self.store.read(&[key]).await?.pop().flatten();
                let stands = record.as_ref().map(alarm::read).transpose()?;
                if stands.is_none_or(|alarm| alarm.phase != Phase::Firing) {
                    return Ok(());
                }
                let clear = Clear { identity, cleared_at: now, is_dated: false };
                Incoming { event: Event::Clear(clear), request: None, trace: None }
            }
        };
        let taken = self.alarms.take(vec![incoming]).await;
        taken.map(drop).map_err(|problem| StoreError::Unusable(Box::new(problem)))
    }
}

impl Step {
    fn take_waiting(
        &mut self,
        record: &Record,
        mut mail: AlarmMail,
        is_broken: bool,
        settings: &AlarmSettings,
        now: Timestamp,
    ) {
        if mail.is_late {
            return;
        }
        let next = mail.next_look(is_broken, now);
        if next.is_none() {
            let outage = self.outage.get_or_insert_with(|| MailOutage::new(&mail, settings, now));
            self.messages.extend(outage.take_late(&mail, settings, now));
            mail.is_late = true;
        }
        let expected = Expected::Version(record.version);
        self.writes.push(mail::write(&mail, expected, next.unwrap_or(now)));
    }

    fn take_end(&mut self, record: &Record, mail: &AlarmMail, fate: &MailFate) {
        if let Some(outage) = &mut self.outage {
            outage.take_end(fate, mail.is_late);
        }
        self.ended += 1;
        self.forget(record);
    }

    fn forget(&mut self, record: &Record) {
        let expected = Expected::Version(record.version);
        self.writes.push(Write::Delete { key: record.key.clone(), expected });
    }

    /// Tells what was gathered, or that it is over, and writes the outage.
    fn end(&mut self, settings: &AlarmSettings, now: Timestamp) {
        let Some(outage) = &mut self.outage else { return };
        let expected = self.version.map_or(Expected::Absent, Expected::Version);
        if let Some(over) = outage.end(now) {
            self.messages.push(over);
            // One that was never written does not have to be removed.
            if self.version.is_some() {
                self.writes.push(Write::Delete { key: outage::key(), expected });
            }
            return;
        }
        self.messages.extend(outage.take_digest(settings, now));
        self.writes.push(outage::write(outage, settings, expected, now));
    }
}

/// The alarm that mails about a type reach nobody.
fn failed(alarm_type: &str) -> AlarmIdentity {
    AlarmIdentity {
        alarm_type: ALARM_MAIL_FAILED.to_owned(),
        // Any node may have sent it.
        node: String::new(),
        labels: BTreeMap::from([(TYPE_LABEL.to_owned(), alarm_type.to_owned())]),
    }
}
