//! A sweep: after a change of the settings, everybody's next look is decided anew.

use jiff::{SignedDuration, Timestamp};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, RecordKey, RecordKind, RecordQuery, Write,
};
use nuncio_core::reminder::decide::decide;
use nuncio_directory::change::Entry;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::Reminders;
use super::remindable::Remindable;
use super::round::read_all;

/// How far the sweep of each kind has come.
const SWEEP: RecordKind = RecordKind("reminder-sweep");
/// How many subjects are in memory at once.
const PAGE: u32 = 500;
/// Everybody is looked at so often, whatever has changed: a change that was written by the old settings while
/// the new ones were saved is found then.
const SWEEP_PERIOD: SignedDuration = SignedDuration::from_hours(24);

/// How far it has come; kept, so that a restart goes on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// The generation of the settings; 0 while there are none.
    generation: i64,
    /// Whether mail to guests was switched off.
    #[serde(default)]
    without_guest_mail: bool,
    /// The last one that was looked at; none before the first.
    after: Option<String>,
    finished_at: Option<Timestamp>,
}

impl Progress {
    fn is_of(&self, settings: (i64, bool)) -> bool {
        (self.generation, self.without_guest_mail) == settings
    }

    fn is_done(&self, settings: (i64, bool), now: Timestamp) -> bool {
        self.is_of(settings)
            && self.finished_at.is_some_and(|at| now.duration_since(at) < SWEEP_PERIOD)
    }
}

impl Reminders {
    /// Looks at everybody of a kind, if the settings are others than at the last sweep or a day has passed.
    pub(crate) async fn sweep<S: Remindable>(&self) -> Result<(), StoreError> {
        let settings = (self.generation(), !self.in_force().guest_mail.is_enabled);
        let key = RecordKey::new(SWEEP, S::KIND.0);
        let mut progress = self.progress(&key).await?;
        let now = self.intake.clock.now();
        if progress.is_done(settings, now) {
            return Ok(());
        }
        if !progress.is_of(settings) || progress.finished_at.is_some() {
            let (generation, without_guest_mail) = settings;
            progress = Progress { generation, without_guest_mail, ..Progress::default() };
        }
        while progress.finished_at.is_none() {
            let mut moved = 0;
            if !self.sweep_page::<S>(&mut progress, &mut moved).await? {
                continue;
            }
            if moved > 0 {
                let kind = S::KIND.0;
                info!("the next looks at {moved} records of kind `{kind}` were moved");
            }
            self.keep(&key, &progress).await?;
        }
        Ok(())
    }

    /// Moves the next looks of a page; false if somebody else has written meanwhile.
    async fn sweep_page<S: Remindable>(
        &self,
        progress: &mut Progress,
        moved: &mut usize,
    ) -> Result<bool, StoreError> {
        let now = self.intake.clock.now();
        let after = progress.after.clone();
        let query = RecordQuery { kind: S::KIND, owner: None, after, limit: PAGE };
        let page = self.records.list_records(&query).await?;
        let in_force = self.in_force();
        let entries = read_all::<S>(&page);
        let taken = self.taken(&entries, &in_force, now).await?;
        let mut changes = Changeset::new(now);
        for (entry, taken) in entries.iter().zip(&taken) {
            let view = in_force.view(&entry.subject);
            let decision = decide(&view, &in_force.reminders, taken, now);
            let look = if decision.is_idle() { decision.next_look } else { Some(now) };
            if is_late(entry, look) {
                changes.writes.push(entry.noted(entry.notes.as_ref(), look));
            }
        }
        *moved = changes.writes.len();
        if *moved > 0 {
            match self.records.commit(changes).await {
                Ok(_committed) => {}
                Err(CommitError::Conflict { .. } | CommitError::RequestIdReused { .. }) => {
                    return Ok(false);
                }
                Err(CommitError::Store(source)) => return Err(source),
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => {
                progress.after = Some(last.key.id.clone());
            }
            Some(_) | None => progress.finished_at = Some(now),
        }
        Ok(true)
    }

    fn generation(&self) -> i64 {
        self.settings.borrow().as_ref().map_or(0, |saved| saved.generation)
    }

    async fn progress(&self, key: &RecordKey) -> Result<Progress, StoreError> {
        let found = self.records.read(std::slice::from_ref(key)).await?;
        let record = found.into_iter().next().flatten();
        Ok(record.and_then(|record| serde_json::from_str(&record.content).ok()).unwrap_or_default())
    }

    async fn keep(&self, key: &RecordKey, progress: &Progress) -> Result<(), StoreError> {
        let mut changes = Changeset::new(self.intake.clock.now());
        changes.writes.push(Write::Put {
            key: key.clone(),
            expected: Expected::Any,
            owner: None,
            due_at: None,
            content: serde_json::to_string(progress).expect("texts and numbers become JSON"),
        });
        match self.records.commit(changes).await {
            Err(CommitError::Store(source)) => Err(source),
            Ok(_) | Err(CommitError::Conflict { .. } | CommitError::RequestIdReused { .. }) => {
                Ok(())
            }
        }
    }
}

/// Whether somebody would be looked at too late. To look too early is harmless.
fn is_late<S: Remindable>(entry: &Entry<S>, look: Option<Timestamp>) -> bool {
    look.is_some_and(|look| entry.due_at.is_none_or(|due_at| look < due_at))
}
