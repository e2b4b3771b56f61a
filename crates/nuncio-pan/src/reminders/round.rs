//! A round: whoever is due, page by page.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{DuePlace, Record, RecordKey};
use nuncio_core::reminder::decide::places;
use nuncio_core::reminder::ledger::LedgerKey;
use nuncio_directory::change::Entry;
use tracing::error;

use super::commit::Look;
use super::ledger::{LedgerOutcome, LedgerRow};
use super::remindable::Remindable;
use super::{InForce, Reminders};

/// How many subjects are in memory at once.
const PAGE: u32 = 200;
/// How many transactions are under way at once: the store commits them together.
const COMMITS_AT_ONCE: usize = 32;

impl Reminders {
    /// Looks at everybody of a kind who is due; gives how many stay due because they could not be read.
    pub(crate) async fn round_of<S: Remindable>(&self) -> Result<usize, StoreError> {
        let (mut after, mut failed) = (None, 0);
        loop {
            let now = self.intake.clock.now();
            let page = self.records.due_records(S::KIND, now, after.as_ref(), PAGE).await?;
            after = page
                .last()
                .and_then(|last| Some(DuePlace { due_at: last.due_at?, id: last.key.id.clone() }));
            failed += self.look_at_all::<S>(&page, now).await?;
            if page.len() < PAGE as usize {
                return Ok(failed);
            }
        }
    }

    async fn look_at_all<S: Remindable>(
        &self,
        page: &[Record],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        if page.is_empty() {
            return Ok(0);
        }
        let in_force = self.in_force();
        let entries = read_all::<S>(page);
        let unread = page.len() - entries.len();
        let taken = self.rows(places_of(&entries, &in_force, now)).await?;
        let mut looks = FuturesUnordered::new();
        for (entry, taken) in entries.iter().zip(taken) {
            if COMMITS_AT_ONCE <= looks.len() {
                looks.next().await.transpose()?;
            }
            looks.push(self.look(entry, taken, &in_force, now));
        }
        while let Some(look) = looks.next().await {
            match look? {
                // Who was changed meanwhile is due in the next round, if at all.
                Look::Done | Look::Conflict => {}
            }
        }
        Ok(unread)
    }

    /// Which places of the ledger are taken that matter for each of them now, in their order.
    pub(crate) async fn taken<S: Remindable>(
        &self,
        entries: &[Entry<S>],
        in_force: &InForce,
        now: Timestamp,
    ) -> Result<Vec<BTreeSet<LedgerKey>>, StoreError> {
        self.taken_of(places_of(entries, in_force, now)).await
    }

    /// Which of these places are taken.
    pub(crate) async fn taken_of(
        &self,
        places: Vec<Vec<LedgerKey>>,
    ) -> Result<Vec<BTreeSet<LedgerKey>>, StoreError> {
        let taken = self.rows(places).await?;
        Ok(taken.iter().map(Taken::places).collect())
    }

    /// The rows of these places, as far as there are any.
    async fn rows(&self, places: Vec<Vec<LedgerKey>>) -> Result<Vec<Taken>, StoreError> {
        let keys: Vec<RecordKey> = places.iter().flatten().map(LedgerKey::record_key).collect();
        if keys.is_empty() {
            return Ok(vec![Taken::default(); places.len()]);
        }
        let mut rows = self.records.read(&keys).await?.into_iter();
        let taken = places.into_iter().map(|places| {
            // As many rows as places, each in its place.
            let taken = places.into_iter().zip(&mut rows);
            Taken(taken.filter_map(|(place, row)| Some((place, row?))).collect())
        });
        Ok(taken.collect())
    }
}

/// Which places of somebody are taken, with their rows.
#[derive(Clone, Default)]
pub(crate) struct Taken(Vec<(LedgerKey, Record)>);

impl Taken {
    pub(crate) fn places(&self) -> BTreeSet<LedgerKey> {
        self.0.iter().map(|(place, _)| place.clone()).collect()
    }

    /// The mails whose rows were written before this moment.
    pub(crate) fn mailed_before(
        &self,
        moment: Timestamp,
    ) -> impl Iterator<Item = (&LedgerKey, MailJobId)> {
        let before = self.0.iter().filter(move |(_, row)| row.updated_at < moment);
        before.filter_map(|(place, row)| match LedgerRow::read(row) {
            Ok(LedgerRow { outcome: LedgerOutcome::Mailed(job), .. }) => Some((place, job)),
            Ok(LedgerRow { outcome: LedgerOutcome::Superseded, .. }) | Err(_) => None,
        })
    }
}

fn places_of<S: Remindable>(
    entries: &[Entry<S>],
    in_force: &InForce,
    now: Timestamp,
) -> Vec<Vec<LedgerKey>> {
    let views = entries.iter().map(|entry| in_force.view(&entry.subject));
    views.map(|view| places(&view, &in_force.reminders, now)).collect()
}

/// Those that can be read; of the others the log tells.
pub(crate) fn read_all<S: Remindable>(page: &[Record]) -> Vec<Entry<S>> {
    let read = page.iter().filter_map(|record| {
        Entry::read(record).inspect_err(|problem| error!("nobody is reminded: {problem}")).ok()
    });
    read.collect()
}
