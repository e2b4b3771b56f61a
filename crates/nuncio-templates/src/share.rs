//! The templates that all nodes of a store share.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, Record, RecordQuery, RecordStore, Write,
};
use nuncio_core::template::Templates;
use nuncio_core::template::custom::{CustomTexts, TextsKey};
use nuncio_runtime::chain::Chain;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use crate::codec::Change;
use crate::codec::{Content, TEMPLATE, decode, encode, record_key};

/// The most own texts of all portals together, deleted ones included.
pub const CUSTOM_MAX: u64 = 1000;
/// How many changes of texts are kept to be told.
pub const HISTORY_MAX: usize = 20;
/// How often a node looks for what others have changed.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// How soon it looks again after it could not read the store.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// How many records are read at once: they may have 256 KiB each.
const RECORDS_AT_ONCE: u32 = 50;

/// The templates as this node knows them: an immutable snapshot that is renewed after each change of its own, and
/// every 30 s for those of others.
pub struct TemplateShare {
    store: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
    known: watch::Sender<Templates>,
}

/// A portal's own texts as they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedTexts {
    /// None if they were deleted.
    pub custom: Option<CustomTexts>,
    pub version: i64,
    pub updated_at: Timestamp,
    /// The last [`HISTORY_MAX`] changes, the newest first.
    pub history: Vec<Change>,
}

/// How texts must stand to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Only the texts with this etag; none means whichever.
    pub etag: Option<String>,
    /// Whether texts may be made that are not there.
    pub allow_missing: bool,
    pub caller: String,
}

/// Why texts were not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("there are no own texts of this name")]
    NotFound,
    #[error("the texts were changed by somebody else; the present etag is `{present}`")]
    EtagMismatch { present: String },
    #[error("there are {CUSTOM_MAX} own texts already")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SavedTexts {
    /// Changes with each save (AIP-154).
    pub fn etag(&self) -> String {
        format!("v{}", self.version)
    }
}

impl TemplateShare {
    /// Knows only what comes with nuncio until it is [refreshed](Self::refresh).
    pub fn new(store: Arc<dyn RecordStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, known: watch::channel(Templates::shipped()).0 }
    }

    /// The templates as this node knows them now.
    pub fn templates(&self) -> watch::Receiver<Templates> {
        self.known.subscribe()
    }

    /// Looks for what others have changed until it is stopped.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut wait = Duration::ZERO;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
            wait = match self.refresh().await {
                Ok(()) => REFRESH_INTERVAL,
                Err(error) => {
                    warn!(
                        "portals' own templates cannot be read, the last known ones are used: {}",
                        Chain(&error)
                    );
                    RETRY_INTERVAL
                }
            };
        }
    }

    /// Reads all own texts.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let all = self.all().await?;
        let custom: BTreeMap<TextsKey, CustomTexts> =
            all.into_iter().filter_map(|(key, saved)| Some((key, saved.custom?))).collect();
        self.known.send_if_modified(|known| {
            let is_new = *known.custom() != custom;
            if is_new {
                let count = custom.len();
                info!(count, "portals have {count} templates of their own");
                *known = Templates::with_custom(custom);
            }
            is_new
        });
        Ok(())
    }

    /// All own texts as they stand in the store, deleted ones included. What this version cannot read is left out.
    pub async fn all(&self) -> Result<BTreeMap<TextsKey, SavedTexts>, StoreError> {
        let mut all = BTreeMap::new();
        let mut query =
            RecordQuery { kind: TEMPLATE, owner: None, after: None, limit: RECORDS_AT_ONCE };
        loop {
            let records = self.store.list_records(&query).await?;
            let Some(last) = records.last() else { return Ok(all) };
            query.after = Some(last.key.id.clone());
            all.extend(records.iter().filter_map(read));
        }
    }

    /// Own texts as they stand in the store.
    pub async fn get(&self, key: &TextsKey) -> Result<Option<SavedTexts>, StoreError> {
        let found = self.store.read(&[record_key(key)]).await?;
        Ok(found.iter().flatten().find_map(read).map(|(_, saved)| saved))
    }

    /// Saves own texts and gives them as they stand then.
    pub async fn save(
        &self,
        key: &TextsKey,
        custom: &CustomTexts,
        wanted: Wanted,
    ) -> Result<SavedTexts, WriteError> {
        let present = self.may_save(key, &wanted).await?;
        let before = present.as_ref().and_then(|saved| saved.custom.as_ref());
        let summary = before.map_or("created".to_owned(), |before| changed(before, custom));
        self.write(key, present.as_ref(), Content::new(custom), wanted.caller, summary).await
    }

    /// The texts as [`save`](Self::save) would leave them behind; nothing is saved.
    pub async fn would_save(
        &self,
        key: &TextsKey,
        custom: &CustomTexts,
        wanted: &Wanted,
    ) -> Result<SavedTexts, WriteError> {
        let present = self.may_save(key, wanted).await?;
        let (version, history) =
            present.map_or((0, Vec::new()), |saved| (saved.version, saved.history));
        let (custom, updated_at) = (Some(custom.clone()), self.clock.now());
        Ok(SavedTexts { custom, version, updated_at, history })
    }

    /// What is there, if it may be written over.
    async fn may_save(
        &self,
        key: &TextsKey,
        wanted: &Wanted,
    ) -> Result<Option<SavedTexts>, WriteError> {
        let present = self.get(key).await?;
        check(present.as_ref(), wanted)?;
        if present.is_none() && CUSTOM_MAX <= self.store.count_records(TEMPLATE).await? {
            return Err(WriteError::TooMany);
        }
        Ok(present)
    }

    /// Deletes own texts. Their history stays.
    pub async fn delete(&self, key: &TextsKey, wanted: Wanted) -> Result<(), WriteError> {
        let present = self.get(key).await?;
        check(present.as_ref(), &Wanted { allow_missing: false, ..wanted.clone() })?;
        let content = Content { is_deleted: true, ..Content::default() };
        self.write(key, present.as_ref(), content, wanted.caller, "deleted".to_owned()).await?;
        Ok(())
    }

    async fn write(
        &self,
        key: &TextsKey,
        present: Option<&SavedTexts>,
        mut content: Content,
        caller: String,
        summary: String,
    ) -> Result<SavedTexts, WriteError> {
        // To the microsecond, as the store keeps it.
        let now = self.clock.now();
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        content.history = vec![Change { at: now, caller, summary }];
        let before = present.map(|saved| saved.history.as_slice()).unwrap_or_default();
        content.history.extend(before.iter().take(HISTORY_MAX - 1).cloned());
        let mut changes = Changeset::new(now);
        changes.writes.push(Write::Put {
            key: record_key(key),
            expected: present.map_or(Expected::Absent, |saved| Expected::Version(saved.version)),
            owner: None,
            due_at: None,
            content: encode(&content),
        });
        match self.store.commit(changes).await {
            Ok(_) => {}
            Err(CommitError::Conflict { present, .. }) => {
                let present = present.map_or_else(String::new, |version| format!("v{version}"));
                return Err(WriteError::EtagMismatch { present });
            }
            Err(CommitError::Store(error)) => return Err(error.into()),
            Err(CommitError::RequestIdReused { .. }) => unreachable!("there are no jobs in it"),
        }
        self.refresh().await?;
        let version = present.map_or(1, |saved| saved.version + 1);
        let custom = content.custom();
        Ok(SavedTexts { custom, version, updated_at: now, history: content.history })
    }
}

fn check(present: Option<&SavedTexts>, wanted: &Wanted) -> Result<(), WriteError> {
    let live = present.filter(|saved| saved.custom.is_some());
    match (&wanted.etag, live) {
        (Some(etag), Some(saved)) if *etag != saved.etag() => {
            Err(WriteError::EtagMismatch { present: saved.etag() })
        }
        (Some(_), None) => Err(WriteError::EtagMismatch { present: String::new() }),
        (None, None) if !wanted.allow_missing => Err(WriteError::NotFound),
        (Some(_), Some(_)) | (None, Some(_) | None) => Ok(()),
    }
}

fn read(record: &Record) -> Option<(TextsKey, SavedTexts)> {
    match decode(record) {
        Ok((key, content)) => {
            let saved = SavedTexts {
                custom: content.custom(),
                version: record.version,
                updated_at: record.updated_at,
                history: content.history,
            };
            Some((key, saved))
        }
        Err(error) => {
            let id = record.key.id.as_str();
            warn!(id, "template record `{id}` is left out: {}", Chain(&error));
            None
        }
    }
}

/// What is different, for a person.
fn changed(before: &CustomTexts, after: &CustomTexts) -> String {
    let (old, new) = (&before.texts, &after.texts);
    let fields = [
        ("subject", old.subject != new.subject),
        ("text", old.text != new.text),
        ("html", old.html != new.html),
        ("serves_other_languages", before.is_default != after.is_default),
    ];
    let changed: Vec<&str> =
        fields.into_iter().filter(|(_, is_new)| *is_new).map(|(name, _)| name).collect();
    if changed.is_empty() { "nothing".to_owned() } else { changed.join(", ") }
}

#[cfg(test)]
mod tests;
