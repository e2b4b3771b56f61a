//! What mutes alarms at a moment, read from the store.

use std::collections::BTreeSet;

use nuncio_core::alarm::AlarmIdentity;
use nuncio_core::alarm::mute::Muting;
use nuncio_core::alarm::settings::AlarmRules;
use nuncio_core::alarm::silence::{SILENCES_MAX, Silence};
use nuncio_core::alarm::standing::Phase;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{RecordKind, RecordQuery, RecordStore};

use crate::records::{ALARM, GROUP, SILENCE, alarm, silence};

/// How many records are read at once.
const PAGE: u32 = 500;
/// How many causes are known at once; beyond them alarms are told that might be muted.
const CAUSES_MAX: usize = 1000;

/// Silences, and the causes of inhibitions.
pub(crate) async fn muting(
    store: &dyn RecordStore,
    rules: &AlarmRules,
) -> Result<Muting, StoreError> {
    Ok(Muting { silences: silences(store).await?, causes: causes(store, rules).await? })
}

pub(crate) async fn silences(store: &dyn RecordStore) -> Result<Vec<Silence>, StoreError> {
    let mut found = Vec::new();
    let mut pages = Pages::new(SILENCE, None);
    while let Some(records) = pages.next(store).await? {
        for record in records {
            found.push(silence::read(&record)?);
        }
        if SILENCES_MAX <= found.len() {
            break;
        }
    }
    Ok(found)
}

/// The firing alarms of types that mute others.
async fn causes(
    store: &dyn RecordStore,
    rules: &AlarmRules,
) -> Result<Vec<AlarmIdentity>, StoreError> {
    let sources: BTreeSet<&str> =
        rules.settings.inhibitions.iter().map(|rule| rule.source_type.as_str()).collect();
    firing(store, sources, CAUSES_MAX).await
}

/// The firing alarms of these types, at most so many.
pub(crate) async fn firing(
    store: &dyn RecordStore,
    types: impl IntoIterator<Item = &str>,
    alarms_max: usize,
) -> Result<Vec<AlarmIdentity>, StoreError> {
    let mut found = Vec::new();
    for source in types {
        let mut groups = Pages::new(GROUP, Some(source.to_owned()));
        while let Some(records) = groups.next(store).await? {
            for group in records {
                let mut alarms = Pages::new(ALARM, Some(group.key.id));
                while let Some(records) = alarms.next(store).await? {
                    for record in records {
                        let one = alarm::read(&record)?;
                        if one.phase == Phase::Firing {
                            found.push(one.identity);
                        }
                    }
                    if alarms_max <= found.len() {
                        return Ok(found);
                    }
                }
            }
        }
    }
    Ok(found)
}

/// Records of a kind, and of an owner, a page at a time.
pub(crate) struct Pages {
    query: RecordQuery,
    is_over: bool,
}

impl Pages {
    pub(crate) fn new(kind: RecordKind, owner: Option<String>) -> Self {
        Self { query: RecordQuery { kind, owner, after: None, limit: PAGE }, is_over: false }
    }

    pub(crate) async fn next(
        &mut self,
        store: &dyn RecordStore,
    ) -> Result<Option<Vec<nuncio_core::ports::records::Record>>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let records = store.list_records(&self.query).await?;
        self.is_over = records.len() < PAGE as usize;
        self.query.after = records.last().map(|record| record.key.id.clone());
        Ok((!records.is_empty()).then_some(records))
    }
}
