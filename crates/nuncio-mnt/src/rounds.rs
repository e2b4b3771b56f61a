//! Rounds of mails: claim the groups that are due, look at their alarms, and write group, limits and mails in one
//! transaction.
//!
//! Whatever happens between two transactions, nothing is lost and nothing doubled: a claim that nobody ends is
//! taken over when it is over, and only who holds the claim can end the round.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::alarm::group::{Group, GroupClaim, GroupKey, Thread};
use nuncio_core::alarm::kind::AlarmType;
use nuncio_core::alarm::late::FIRST_LOOK;
use nuncio_core::alarm::mute::Muting;
use nuncio_core::alarm::recipient::{Admission, AlarmRecipient};
use nuncio_core::alarm::round::{Addressee, Look, PlannedMail, Round, RoundResult, Say, Seen};
use nuncio_core::alarm::settings::AlarmRules;
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::job_store::{StoreError, Submitted};
use nuncio_core::ports::records::{
    Changeset, CommitError, Committed, Expected, Record, RecordStore, Write,
};
use nuncio_core::trace::TraceParent;
use nuncio_delivery::intake::IntakeError;
use nuncio_runtime::trace;
use tracing::{Instrument as _, Span, debug, info, info_span, warn};

use crate::mails::{Mails, remembered};
use crate::muting::{Pages, muting};
use crate::recipients::{Administrators, routes};
use crate::records::{ALARM, GROUP, alarm, group, mail, recipient};
use crate::rules::Rules;

/// How many groups are worked on at once.
const GROUPS_MAX: u32 = 50;
/// How long others leave a claimed group alone, so how late its mails are at most if who has claimed it dies. A look
/// that takes longer holds on to it.
const CLAIM: Duration = Duration::from_secs(10);
/// How many recipients one mail has at most.
const RECIPIENTS_PER_MAIL: usize = 100;
/// How often the end of a round is tried while others write its group.
const TRIES_MAX: u32 = 10;
/// How many writes one transaction has at most, so that it fits into a changeset with room to spare.
const WRITES_MAX: usize = 500;

/// What rounds need.
#[derive(Clone)]
pub(crate) struct Rounds {
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) rules: Rules,
    pub(crate) administrators: Administrators,
    pub(crate) mails: Mails,
}

/// What holds for all rounds that are made together.
struct Scene {
    rules: AlarmRules,
    muting: Muting,
    token: String,
    now: Timestamp,
    administrators: Vec<crate::recipients::Administrator>,
}

impl Rounds {
    /// Makes the rounds of up to [`GROUPS_MAX`] due groups; gives how many were due.
    pub(crate) async fn run(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let due = self.store.due_records(GROUP, now, None, GROUPS_MAX).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let rules = self.rules.current().rules.clone();
        let scene = Scene {
            muting: muting(&*self.store, &rules).await?,
            administrators: if rules.settings.include_administrators {
                self.administrators.told_of_alarms().await?
            } else {
                Vec::new()
            },
            rules,
            token: self.token(now),
            now,
        };
        for record in &due {
            if let Some(claimed) = self.claim(&scene, record).await? {
                self.round(&scene, claimed).await?;
            }
        }
        Ok(due.len())
    }

    pub(crate) fn token(&self, now: Timestamp) -> String {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let builder = uuid::Builder::from_unix_timestamp_millis(millis, &self.entropy.id_bytes());
        builder.into_uuid().to_string()
    }

    /// Begins a round; none if somebody else was faster, or nothing is left of the group.
    async fn claim(&self, scene: &Scene, record: &Record) -> Result<Option<Group>, StoreError> {
        let mut claimed = group::read(record)?;
        let expected = Expected::Version(record.version);
        let mut changes = Changeset::new(scene.now);
        let forgotten = claimed.is_empty && !claimed.is_dirty;
        if forgotten {
            changes.writes.push(Write::Delete { key: record.key.clone(), expected });
        } else {
            let until = self.clock.now() + CLAIM;
            claimed.claim(GroupClaim { token: scene.token.clone(), until });
            changes.writes.push(group::write(&claimed, expected));
        }
        match self.store.commit(changes).await {
            Ok(_) if forgotten => Ok(None),
            Ok(_) => Ok(Some(claimed)),
            Err(CommitError::Conflict { .. }) => {
                debug!(alarm.group = record.key.id, "somebody else has taken the group");
                Ok(None)
            }
            Err(error) => Err(store_error(error)),
        }
    }

    async fn round(&self, scene: &Scene, claimed: Group) -> Result<(), StoreError> {
        let Some(kind) = scene.rules.find(&claimed.alarm_type) else {
            return self.forget_type(claimed).await;
        };
        let mut round = Round {
            group: claimed,
            kind: &kind,
            rules: &scene.rules,
            muting: &scene.muting,
            now: scene.now,
            seen: Seen::default(),
        };
        let is_whole = self.look(scene, &mut round).await?;
        let say = round.say();
        let addressees = addressees(scene, &kind);
        if say.is_some() && addressees.is_empty() && scene.rules.settings.is_enabled {
            warn!(alarm.type = kind.id, "nobody gets mails about this type; name recipients");
        }
        let plan = say.map(|say| round.plan(say, &addressees)).unwrap_or_default();
        let (span, trace) = match say {
            Some(_) => traced(&round),
            None => (Span::none(), None),
        };
        let found = Found { say, plan: &plan, is_whole, trace };
        for _try in 0..TRIES_MAX {
            match self.end(scene, &mut round, &found).instrument(span.clone()).await? {
                Ended::Done | Ended::Lost => return Ok(()),
                Ended::Again => {}
            }
        }
        // The claim ends by itself, and the next round begins where this one did.
        warn!(alarm.group = round.group.key.0, "a round was overtaken too often; it is made later");
        Ok(())
    }

    /// Looks at all alarms of the group, and writes those that have changed. False if one of them could not be
    /// written: it is looked at again soon.
    async fn look(&self, scene: &Scene, round: &mut Round<'_>) -> Result<bool, StoreError> {
        let mut pages = Pages::new(ALARM, Some(round.group.key.0.clone()));
        let mut is_whole = true;
        let mut held_at = self.clock.now();
        while let Some(records) = pages.next(&*self.store).await? {
            if held_at + CLAIM / 2 <= self.clock.now() {
                held_at = self.clock.now();
                self.hold(&scene.token, &round.group.key).await?;
            }
            let mut writes = Vec::new();
            for record in records {
                let expected = Expected::Version(record.version);
                match round.look(alarm::read(&record)?) {
                    Look::Keep => {}
                    Look::Write(changed) | Look::Release(changed) => {
                        writes.push(alarm::write(&changed, round.rules, expected));
                    }
                }
            }
            is_whole &= self.write_all(writes).await?;
        }
        Ok(is_whole)
    }

    /// Lets a claim go on. Where it is lost, or others write its group just now, the next step finds out.
    async fn hold(&self, token: &str, key: &GroupKey) -> Result<(), StoreError> {
        let present = self.store.read(&[group::key(key)]).await?.pop().flatten();
        let Some(present) = present else { return Ok(()) };
        let mut held = group::read(&present)?;
        let now = self.clock.now();
        if !held.hold(token, now + CLAIM) {
            return Ok(());
        }
        let mut changes = Changeset::new(now);
        changes.writes.push(group::write(&held, Expected::Version(present.version)));
        match self.store.commit(changes).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(store_error(error)),
        }
    }

    /// Writes what nobody else has written meanwhile; false if something was left out.
    async fn write_all(&self, writes: Vec<Write>) -> Result<bool, StoreError> {
        if writes.is_empty() {
            return Ok(true);
        }
        let mut changes = Changeset::new(self.clock.now());
        changes.writes.clone_from(&writes);
        match self.store.commit(changes).await {
            Ok(_) => return Ok(true),
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(store_error(error)),
        }
        for write in writes {
            let mut changes = Changeset::new(self.clock.now());
            changes.writes.push(write);
            match self.store.commit(changes).await {
                Ok(_) | Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(store_error(error)),
            }
        }
        Ok(false)
    }

    /// Writes the end of a round with its mails.
    async fn end(
        &self,
        scene: &Scene,
        round: &mut Round<'_>,
        found: &Found<'_>,
    ) -> Result<Ended, StoreError> {
        let Found { say, plan, is_whole, trace } = found;
        let present = self.store.read(&[group::key(&round.group.key)]).await?.pop().flatten();
        let Some(present) = present else { return Ok(Ended::Lost) };
        // Others may have noted news meanwhile; nothing else may have changed.
        round.group = group::read(&present)?;
        if !round.group.is_claimed_by(&scene.token) {
            debug!(alarm.group = round.group.key.0, "the round was taken over by somebody else");
            return Ok(Ended::Lost);
        }
        round.group.is_dirty |= !is_whole;
        let mut changes = Changeset::new(scene.now);
        let mut results = Vec::new();
        let mut recipients = Recipients::read(&*self.store, scene, plan).await?;
        for mail in *plan {
            let made = self.make(round, (mail, trace), &mut recipients, &mut changes, &mut results);
            // The round is not ended: it is made again when the claim is over.
            made.map_err(|problem| StoreError::Unusable(Box::new(problem)))?;
        }
        round.end(*say, &results);
        changes.writes.push(group::write(&round.group, Expected::Version(present.version)));
        changes.writes.extend(recipients.writes(&scene.rules));
        let classes: Vec<_> = changes.jobs.iter().map(|job| job.class).collect();
        match self.store.commit(changes).await {
            Ok(committed) => {
                self.tell(&committed, &classes);
                if say.is_some() {
                    let last = round.group.decisions.last();
                    let code = last.map_or("", |last| last.code.as_str());
                    info!(
                        alarm.group = round.group.key.0,
                        decision = code,
                        mails = committed.jobs.len(),
                        "told of alarms: {code}"
                    );
                }
                Ok(Ended::Done)
            }
            Err(CommitError::Conflict { .. }) => Ok(Ended::Again),
            Err(error) => Err(store_error(error)),
        }
    }

    /// Makes a mail for those whose limit lets it through; counts it for the others.
    fn make(
        &self,
        round: &mut Round<'_>,
        (mail, trace): (&PlannedMail, &Option<TraceParent>),
        recipients: &mut Recipients,
        changes: &mut Changeset,
        results: &mut Vec<RoundResult>,
    ) -> Result<(), IntakeError> {
        let summary = round.summary(mail);
        let mut admitted = Vec::new();
        for address in &mail.addresses {
            let Some(one) = recipients.get(address) else { continue };
            let admission = one.admit(&summary, &round.rules.settings, round.now);
            match admission {
                Admission::Mail => admitted.push(address.clone()),
                Admission::Digest(_) => results.push(RoundResult {
                    address: address.clone(),
                    tells_firing: mail.tells_firing,
                    admission,
                    mail_job: None,
                }),
            }
        }
        for part in admitted.chunks(RECIPIENTS_PER_MAIL) {
            let thread = round.group.threads.get(&mail.locale);
            let job = self.mails.about_group(round, mail, part, thread, trace.clone())?;
            let id = job.message_id.clone();
            let entry = round.group.threads.entry(mail.locale.clone());
            let first = id.clone();
            entry.or_insert_with(|| Thread { first, last: String::new() }).last = id;
            results.extend(part.iter().map(|address| RoundResult {
                address: address.clone(),
                tells_firing: mail.tells_firing,
                admission: Admission::Mail,
                mail_job: Some(job.id.to_string()),
            }));
            let remembered = remembered(round, mail, &job);
            let look_at = round.now + FIRST_LOOK;
            changes.writes.push(mail::write(&remembered, Expected::Absent, look_at));
            changes.jobs.push(job);
        }
        Ok(())
    }

    pub(crate) fn tell(&self, committed: &Committed, classes: &[nuncio_core::class::MailClass]) {
        for (submitted, class) in committed.jobs.iter().zip(classes) {
            match submitted {
                Submitted::New(_) => self.mails.intake.observer.job_accepted(*class),
                Submitted::Existing(_) => {}
            }
        }
    }

    /// A type was removed: its alarms are not told any more.
    async fn forget_type(&self, claimed: Group) -> Result<(), StoreError> {
        let mut pages = Pages::new(ALARM, Some(claimed.key.0.clone()));
        let now = self.clock.now();
        while let Some(records) = pages.next(&*self.store).await? {
            let writes = records.into_iter().take(WRITES_MAX).map(|record| Write::Delete {
                key: record.key,
                expected: Expected::Version(record.version),
            });
            self.write_all(writes.collect()).await?;
        }
        debug!(alarm.group = claimed.key.0, "forgot the alarms of a removed type");
        let mut changes = Changeset::new(now);
        let key = group::key(&claimed.key);
        changes.writes.push(Write::Delete { key, expected: Expected::Any });
        self.store.commit(changes).await.map(|_| ()).map_err(store_error)
    }
}

fn addressees(scene: &Scene, kind: &AlarmType) -> Vec<Addressee> {
    if !scene.rules.settings.is_enabled {
        return Vec::new();
    }
    let routes = routes(&scene.rules.settings, kind, &scene.administrators);
    routes.into_iter().map(|route| route.addressee).collect()
}

/// What a look at a group has found, for the end of its round.
struct Found<'a> {
    say: Option<Say>,
    plan: &'a [PlannedMail],
    is_whole: bool,
    /// The trace that its mails are a part of.
    trace: Option<TraceParent>,
}

/// The span of a round that says something, and the trace that its mails are a part of: that of the first alarm in them.
fn traced(round: &Round<'_>) -> (Span, Option<TraceParent>) {
    let (group, kind) = (&round.group.key.0, &round.kind.id);
    let span = info_span!("alarm.round", alarm.group = group, alarm.type = kind);
    let causes = round.traces();
    trace::set_causes(&span, &causes);
    let trace = trace::current(&span).or_else(|| causes.into_iter().next());
    (span, trace)
}

enum Ended {
    Done,
    /// Somebody else has the round now.
    Lost,
    /// Something has changed: look and try again.
    Again,
}

/// The recipients of a round with their limits.
struct Recipients(HashMap<String, (AlarmRecipient, Option<i64>)>);

impl Recipients {
    async fn read(
        store: &dyn RecordStore,
        scene: &Scene,
        plan: &[PlannedMail],
    ) -> Result<Self, StoreError> {
        let addresses = plan.iter().flat_map(|mail| &mail.addresses);
        let addresses: Vec<EmailAddress> = addresses.filter_map(|one| one.parse().ok()).collect();
        let keys: Vec<_> = addresses.iter().map(recipient::key).collect();
        let records = store.read(&keys).await?;
        let mut known = HashMap::new();
        for (address, record) in addresses.into_iter().zip(records) {
            let version = record.as_ref().map(|record| record.version);
            let one = match record {
                Some(record) => recipient::read(&record, address.clone())?,
                None => AlarmRecipient::new(address.clone(), &scene.rules.settings, scene.now),
            };
            known.insert(address.as_str().to_owned(), (one, version));
        }
        Ok(Self(known))
    }

    fn get(&mut self, address: &str) -> Option<&mut AlarmRecipient> {
        self.0.get_mut(address).map(|(one, _version)| one)
    }

    fn writes(self, rules: &AlarmRules) -> Vec<Write> {
        let write = |(one, version): (AlarmRecipient, Option<i64>)| {
            let expected = version.map_or(Expected::Absent, Expected::Version);
            recipient::write(&one, &rules.settings, expected)
        };
        self.0.into_values().map(write).collect()
    }
}

pub(crate) fn store_error(error: CommitError) -> StoreError {
    match error {
        CommitError::Store(error) => error,
        CommitError::Conflict { .. } | CommitError::RequestIdReused { .. } => {
            StoreError::Unusable(Box::new(error))
        }
    }
}
