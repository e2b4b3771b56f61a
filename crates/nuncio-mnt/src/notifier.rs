//! Wakes when a group or a digest is due, and forgets what is over.

use std::time::Duration;

use nuncio_core::alarm::late::FIRST_LOOK;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Changeset, CommitError, Expected, Record, RecordKind, Write};
use nuncio_runtime::chain::Chain;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::late::LateMails;
use crate::mails::remembered_digest;
use crate::records::{
    ALARM, ALARM_MAIL, GROUP, MAIL_OUTAGE, RECIPIENT, REQUEST, SILENCE, mail, recipient,
};
use crate::rounds::{Rounds, store_error};

/// The longest time without a look, in case that a wake-up was lost.
const LOOK_PERIOD: Duration = Duration::from_secs(10);
/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// How long to wait when the store does not work.
const FAILURE_PAUSE: Duration = Duration::from_secs(2);
/// How many records are looked at at once.
const PAGE: u32 = 200;

/// Tells people.
pub(crate) struct Notifier {
    pub(crate) rounds: Rounds,
    pub(crate) late: LateMails,
}

impl Notifier {
    /// Works until `stop` is cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut changed = self.rounds.store.records_changed();
        let mut rules_changed = self.rounds.rules.changed();
        while !stop.is_cancelled() {
            changed.borrow_and_update();
            rules_changed.borrow_and_update();
            let wait = match self.work(&stop).await {
                Ok(()) => self.until_due().await,
                Err(problem) => Err(problem),
            };
            let wait = wait.unwrap_or_else(|problem| {
                error!("alarms cannot be told at the moment: {}", Chain(&problem));
                FAILURE_PAUSE
            });
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleep(wait) => {}
                () = async {
                    // Many changes are looked at together.
                    sleep(PAUSE).await;
                    tokio::select! {
                        Ok(()) = changed.changed() => {}
                        Ok(()) = rules_changed.changed() => {}
                        else => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    /// Does all that is due.
    async fn work(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        while !stop.is_cancelled() && 0 < self.rounds.run().await? {}
        while !stop.is_cancelled() && 0 < self.digests().await? {}
        while !stop.is_cancelled() && 0 < self.late.run().await? {}
        for kind in [ALARM, SILENCE, REQUEST] {
            while !stop.is_cancelled() && 0 < self.forget(kind).await? {}
        }
        Ok(())
    }

    async fn until_due(&self) -> Result<Duration, StoreError> {
        let mut wait = LOOK_PERIOD;
        let now = self.rounds.clock.now();
        for kind in [GROUP, RECIPIENT, ALARM_MAIL, MAIL_OUTAGE] {
            if let Some(due) = self.rounds.store.next_due_record(kind).await? {
                let until = Duration::try_from(due.duration_since(now)).unwrap_or_default();
                wait = wait.min(until.max(PAUSE));
            }
        }
        Ok(wait)
    }

    /// Makes the digests that are due, and forgets recipients who have got nothing for long.
    async fn digests(&self) -> Result<usize, StoreError> {
        let now = self.rounds.clock.now();
        let due = self.rounds.store.due_records(RECIPIENT, now, None, PAGE).await?;
        let mut done = 0;
        for record in &due {
            done += usize::from(self.digest(record).await?);
        }
        Ok(done)
    }

    async fn digest(&self, record: &Record) -> Result<bool, StoreError> {
        let Rounds { store, clock, rules, mails, .. } = &self.rounds;
        let now = clock.now();
        let rules = rules.current();
        let settings = &rules.rules.settings;
        let expected = Expected::Version(record.version);
        let mut changes = Changeset::new(now);
        let address = record.key.id.parse().ok();
        let one = address.map(|address| recipient::read(record, address)).transpose()?;
        match one {
            None => changes.writes.push(Write::Delete { key: record.key.clone(), expected }),
            Some(one) if one.is_forgettable(settings, now) => {
                changes.writes.push(Write::Delete { key: record.key.clone(), expected });
            }
            Some(mut one) => {
                if let Some(digest) = one.take_digest(settings, now) {
                    let address = one.address.as_str();
                    let job = mails.digest(&rules.rules, address, &digest, one.digests);
                    // Nothing is written then, and the digest stays due.
                    let job = job.map_err(|problem| StoreError::Unusable(Box::new(problem)))?;
                    let remembered = remembered_digest(&rules.rules, &digest, &job);
                    changes.writes.push(mail::write(
                        &remembered,
                        Expected::Absent,
                        now + FIRST_LOOK,
                    ));
                    changes.jobs.push(job);
                }
                changes.writes.push(recipient::write(&one, settings, expected));
            }
        }
        let classes: Vec<_> = changes.jobs.iter().map(|job| job.class).collect();
        match store.commit(changes).await {
            Ok(committed) => {
                self.rounds.tell(&committed, &classes);
                if !committed.jobs.is_empty() {
                    info!("sent a digest of alarms");
                }
                Ok(true)
            }
            Err(CommitError::Conflict { .. }) => Ok(true),
            Err(error) => Err(store_error(error)),
        }
    }

    /// Removes records of a kind that nobody waits for.
    async fn forget(&self, kind: RecordKind) -> Result<usize, StoreError> {
        let now = self.rounds.clock.now();
        let due = self.rounds.store.due_records(kind, now, None, PAGE).await?;
        if due.is_empty() {
            return Ok(0);
        }
        for record in &due {
            let mut changes = Changeset::new(now);
            let expected = Expected::Version(record.version);
            changes.writes.push(Write::Delete { key: record.key.clone(), expected });
            match self.rounds.store.commit(changes).await {
                Ok(_) | Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(store_error(error)),
            }
        }
        Ok(due.len())
    }
}
