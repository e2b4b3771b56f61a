//! The cluster of many nodes: the settings are in etcd, and every node watches them.
//!
//! etcd holds the truth. Each node keeps the last good settings, encrypted, in its data folder and goes on with them while
//! etcd cannot be reached. What it cannot open, or what vanishes from etcd, changes nothing either.

mod config;
mod error;
mod reseal;
mod store;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nuncio_core::ports::settings::{SaveError, SettingsShare};
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::{DocumentChange, SavedDocument, SettingsDocument};
use nuncio_core::settings::{SavedSmtpSettings, SmtpSettings};
use nuncio_runtime::chain::Chain;
use tokio::sync::{Mutex, watch as channel};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::document::Document;
use crate::envelope::EnvelopeError;
use crate::etcd::store::{EtcdStore, Listed, Put, Stored};
use crate::folder::{DocumentFolder, LoadError};
use crate::keyring::keys::Keys;
use crate::present::{Draft, Opened, Present, UnopenedError};

pub use config::{EtcdConfig, IdentityFiles};
pub use error::EtcdError;

/// Under the data folder: the last good settings.
const LAST_GOOD_FOLDER: &str = "last-good-settings";
/// How long it may take to connect to a member.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a connection is probed, and how long the answer may take: so a dead member is noticed in seconds.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a save is tried while other nodes save the same document.
const TRIES_MAX: u32 = 10;

/// The settings of a cluster, which are in etcd.
#[derive(Clone)]
pub struct EtcdCluster {
    shared: Arc<Shared>,
}

/// Whether this node hears of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EtcdState {
    #[default]
    Connecting,
    Connected,
    /// What is in the way. The node goes on with the last good settings.
    Away(String),
}

/// Why the settings of a cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the last good settings of this node cannot be used")]
    LastGood(#[from] LoadError),
    #[error("etcd cannot be used")]
    Etcd(#[from] EtcdError),
    #[error(
        "the settings `{document}` in etcd cannot be opened; nodes of one cluster share the key file"
    )]
    Unopened { document: &'static str, source: UnopenedError },
    /// Two clusters were given one place in etcd, or the store is a new one.
    #[error(
        "the settings in etcd are those of nodes with another store: `{key}` says `{noted}`, and this one is `{own}`; give \
         each cluster an `etcd.prefix` of its own, or, if its database was made anew, delete that key with \
         `etcdctl del {key}`"
    )]
    OtherStore { key: String, noted: String, own: String },
}

struct Shared {
    store: EtcdStore,
    keys: Arc<Keys>,
    last_good: DocumentFolder,
    present: Present,
    /// The revision of etcd that has written each document this node knows. Held from the question to etcd to the end of what
    /// comes of it, so that a slow answer never undoes a newer one.
    known: Mutex<BTreeMap<Document, i64>>,
    state: channel::Sender<EtcdState>,
}

impl EtcdCluster {
    /// Reads the settings from etcd or, where it cannot be reached, the last good ones. [`run`](Self::run) has to follow.
    ///
    /// A document that is there but cannot be opened is an error only if this node has never known a good one. `store` is
    /// the id of this node's store: nodes with another one would each use the whole budget of a mailbox, so they have other
    /// settings.
    pub async fn open(
        config: &EtcdConfig,
        data_dir: &Path,
        keys: Arc<Keys>,
        store: &str,
    ) -> Result<Self, OpenError> {
        let last_good = DocumentFolder::open(data_dir.join(LAST_GOOD_FOLDER));
        let last_good = last_good.map_err(LoadError::File)?;
        let present = Present::empty();
        let unopened = load_last_good(&present, &last_good, &keys)?;
        let (known, state) = (Mutex::default(), channel::Sender::default());
        let etcd = EtcdStore::new(config).await?;
        let shared = Arc::new(Shared { store: etcd, keys, last_good, present, known, state });
        let mut revisions = shared.known.lock().await;
        match (shared.store.list().await, unopened) {
            (Ok(listed), unopened) => {
                shared.settle_in(store).await?;
                if let Some(unopened) = unopened {
                    warn!("those in etcd count alone: {}", Chain(&unopened));
                }
                shared.start(&mut revisions, listed).await?;
            }
            (Err(_problem), Some(unopened)) => return Err(OpenError::LastGood(unopened)),
            (Err(problem), None) => {
                warn!(
                    "settings are not read from etcd; this node begins with the last good ones: {}",
                    Chain(&problem)
                );
            }
        }
        drop(revisions);
        Ok(Self { shared })
    }

    /// Follows etcd until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        watch::follow(&self.shared, &stop).await;
    }

    /// Whether this node hears of changes.
    pub fn state(&self) -> channel::Receiver<EtcdState> {
        self.shared.state.subscribe()
    }
}

#[async_trait]
impl SettingsShare for EtcdCluster {
    fn smtp(&self) -> channel::Receiver<Option<Arc<SavedSmtpSettings>>> {
        self.shared.present.smtp().subscribe()
    }

    async fn save_smtp(
        &self,
        settings: SmtpSettings,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Arc<SavedSmtpSettings>, SaveError> {
        self.shared
            .save(Draft::Smtp(Box::new(settings)), change, expected)
            .await
            .map(Opened::into_smtp)
    }

    fn document(
        &self,
        document: SettingsDocument,
    ) -> channel::Receiver<Option<Arc<SavedDocument>>> {
        self.shared.present.of(document).subscribe()
    }

    async fn save_document(
        &self,
        document: SettingsDocument,
        content: Sensitive,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Arc<SavedDocument>, SaveError> {
        self.shared
            .save(Draft::Role(document, content), change, expected)
            .await
            .map(Opened::into_role)
    }
}

impl Shared {
    /// Who drops this future leaves nothing half done: etcd has the document or not, and the watch brings it.
    async fn save(
        &self,
        draft: Draft,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Opened, SaveError> {
        let mut known = self.known.lock().await;
        for _try in 0..TRIES_MAX {
            let next = self.present.next(draft.clone(), change.clone(), expected)?;
            let document = next.document();
            let revision = known.get(&document).copied().unwrap_or_default();
            let keys = self.keys.current();
            let envelope = next.seal(&keys);
            match self.put(document, revision, &envelope).await? {
                Put::Done { revision } => {
                    let kept = (next.clone(), keys.writer().as_str().to_owned());
                    self.accept(&mut known, kept, revision, envelope).await;
                    return Ok(next);
                }
                Put::Overtaken(Some(stored)) => {
                    let taken = self.take(&mut known, stored).await;
                    taken.map_err(|unopened| SaveError::Store(unopened.into()))?;
                }
                Put::Overtaken(None) => {
                    known.remove(&document);
                }
            }
        }
        Err(SaveError::Store("other nodes save these settings all the time; try again".into()))
    }

    /// Writes a document. Where the answer is lost, what stands there tells whether it was written.
    async fn put(
        &self,
        document: Document,
        revision: i64,
        envelope: &[u8],
    ) -> Result<Put, SaveError> {
        let problem = match self.store.put(document, revision, envelope.to_vec()).await {
            Ok(put) => return Ok(put),
            Err(problem) => problem,
        };
        let listed = self.store.list().await;
        let written = listed.iter().flat_map(|listed| &listed.documents);
        let mut written =
            written.filter(|one| one.document == document && one.envelope == envelope);
        match written.next() {
            Some(stored) => Ok(Put::Done { revision: stored.revision }),
            None => Err(SaveError::Store(problem.into())),
        }
    }

    /// Makes sure that all nodes with these settings have one store. Where this node may not note the first one, nothing is
    /// known against it.
    async fn settle_in(&self, own: &str) -> Result<(), OpenError> {
        match self.store.settle_in(own).await {
            Ok(noted) if noted == own => Ok(()),
            Ok(noted) => {
                let key = self.store.home_key().to_owned();
                Err(OpenError::OtherStore { key, noted, own: own.to_owned() })
            }
            Err(problem) => {
                info!("etcd does not tell whose its settings are: {}", Chain(&problem));
                Ok(())
            }
        }
    }

    /// What etcd holds when this node starts.
    async fn start(
        &self,
        known: &mut BTreeMap<Document, i64>,
        listed: Listed,
    ) -> Result<(), OpenError> {
        let there: BTreeSet<Document> = listed.documents.iter().map(|one| one.document).collect();
        let is_last_good = |document: &Document| 0 < self.present.generation(*document);
        for document in Document::all().filter(is_last_good) {
            if !there.contains(&document) {
                tell_vanished(document);
            }
        }
        for stored in listed.documents {
            let document = stored.document;
            let Err(source) = self.take(known, stored).await else { continue };
            if self.present.generation(document) == 0 {
                return Err(OpenError::Unopened { document: document.name(), source });
            }
            tell_unopened(document, &source);
        }
        Ok(())
    }

    /// Reads all documents anew and gives the revision at which that was.
    async fn resync(&self) -> Result<i64, EtcdError> {
        let mut known = self.known.lock().await;
        let listed = self.store.list().await?;
        let there: BTreeSet<Document> = listed.documents.iter().map(|one| one.document).collect();
        for document in known.keys().copied().filter(|document| !there.contains(document)) {
            tell_vanished(document);
        }
        known.retain(|document, _revision| there.contains(document));
        for stored in listed.documents {
            let document = stored.document;
            if let Err(unopened) = self.take(&mut known, stored).await {
                tell_unopened(document, &unopened);
            }
        }
        Ok(listed.revision)
    }

    /// Takes a document from etcd, unless this node has it already.
    async fn take(
        &self,
        known: &mut BTreeMap<Document, i64>,
        stored: Stored,
    ) -> Result<(), UnopenedError> {
        if known.get(&stored.document) == Some(&stored.revision) {
            return Ok(());
        }
        let opened = Opened::open(stored.document, &stored.envelope, &self.keys.current())?;
        self.accept(known, opened, stored.revision, stored.envelope).await;
        Ok(())
    }

    async fn accept(
        &self,
        known: &mut BTreeMap<Document, i64>,
        (opened, key_id): (Opened, String),
        revision: i64,
        envelope: Vec<u8>,
    ) {
        let (document, generation) = (opened.document(), opened.generation());
        // Both at once: whoever drops this future later must not leave one without the other.
        known.insert(document, revision);
        self.present.take(opened, key_id);
        info!(document = document.name(), generation, "settings of the cluster");
        self.keep_last_good(document, envelope).await;
    }

    async fn keep_last_good(&self, document: Document, envelope: Vec<u8>) {
        let folder = self.last_good.clone();
        let kept = spawn_blocking(move || folder.keep(document, &envelope)).await;
        if let Err(problem) = kept.expect("it only writes a file") {
            warn!(
                document = document.name(),
                "the last good settings are not kept; a restart without etcd begins with older ones: {}",
                Chain(&problem)
            );
        }
    }
}

/// Gives what is sealed with a key that this node has not: no fault where etcd has it under another one, as after a rotation
/// while the node was down.
fn load_last_good(
    present: &Present,
    folder: &DocumentFolder,
    keys: &Keys,
) -> Result<Option<LoadError>, LoadError> {
    let (keys, mut unopened) = (keys.current(), None);
    for document in Document::all() {
        match present.load_one(folder, document, &keys) {
            Ok(()) => {}
            Err(
                error @ LoadError::Unopened {
                    source: UnopenedError::Envelope(EnvelopeError::UnknownKey { .. }),
                    ..
                },
            ) => unopened = Some(error),
            Err(error) => return Err(error),
        }
    }
    Ok(unopened)
}

fn tell_unopened(document: Document, unopened: &UnopenedError) {
    error!(
        document = document.name(),
        "settings in etcd cannot be opened; this node goes on with those that it has: {}",
        Chain(unopened)
    );
}

fn tell_vanished(document: Document) {
    error!(
        document = document.name(),
        "settings are not in etcd any more; this node goes on with those that it has until they are saved again"
    );
}

#[cfg(test)]
mod tests;
