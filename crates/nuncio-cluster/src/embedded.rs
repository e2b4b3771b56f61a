//! The cluster of one node: everything is kept in its data folder.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use nuncio_core::ports::sealed::{SealedDocument, SealedSettings};
use nuncio_core::ports::settings::{SaveError, SettingsShare};
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::{DocumentChange, SavedDocument, SettingsDocument};
use nuncio_core::settings::{SavedSmtpSettings, SmtpSettings};
use tokio::sync::watch;
use tracing::info;

use crate::document::Document;
use crate::files::{self, FileError};
use crate::folder::{DocumentFolder, LoadError};
use crate::keyring::keys::Keys;
use crate::keyring::{Keyring, KeyringError};
use crate::present::{Draft, Opened, Present};

/// Under the data folder: the encrypted documents.
const SETTINGS_FOLDER: &str = "settings";
/// Under the data folder: the keys that encrypt them.
const KEY_FILE: &str = "keys/settings.key";

/// Keeps the settings of one node in `settings/<document>.json`, encrypted with `keys/settings.key`.
///
/// It expects to be alone with the data folder, which the lock of the job store sees to.
#[derive(Clone, Debug)]
pub struct EmbeddedCluster {
    shared: Arc<Shared>,
}

/// Why the settings of a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data folder could not be used")]
    Folder(#[from] FileError),
    #[error("the keys of settings and mails could not be loaded")]
    Keyring(#[from] KeyringError),
    #[error(
        "the key file `{}` is missing, and the settings in `{}` cannot be read without it; restore it from \
         a backup, or delete that file and enter the settings again",
        key_file.display(),
        settings.display()
    )]
    KeyFileMissing { key_file: PathBuf, settings: PathBuf },
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl EmbeddedCluster {
    /// Opens the settings of a data folder under these keys, and makes the folder on the first start.
    ///
    /// It reads and writes files, as a start may.
    pub fn open(data_dir: &Path, keys: Arc<Keys>) -> Result<Self, OpenError> {
        let folder = DocumentFolder::open(data_dir.join(SETTINGS_FOLDER))?;
        let present = Present::load(&folder, &keys.current())?;
        let saving = Mutex::new(());
        Ok(Self { shared: Arc::new(Shared { folder, keys, present, saving }) })
    }

    async fn save(
        &self,
        draft: Draft,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Opened, SaveError> {
        let (shared, expected) = (Arc::clone(&self.shared), expected.map(str::to_owned));
        // In one piece on its own thread: whoever drops this future leaves no half-done save.
        let save = move || shared.save(draft, change, expected.as_deref());
        let saved = tokio::task::spawn_blocking(save).await;
        saved.unwrap_or_else(|panic| Err(SaveError::Store(panic.into())))
    }
}

#[async_trait]
impl SettingsShare for EmbeddedCluster {
    fn smtp(&self) -> watch::Receiver<Option<Arc<SavedSmtpSettings>>> {
        self.shared.present.smtp().subscribe()
    }

    async fn save_smtp(
        &self,
        settings: SmtpSettings,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Arc<SavedSmtpSettings>, SaveError> {
        self.save(Draft::Smtp(Box::new(settings)), change, expected).await.map(Opened::into_smtp)
    }

    fn document(&self, document: SettingsDocument) -> watch::Receiver<Option<Arc<SavedDocument>>> {
        self.shared.present.of(document).subscribe()
    }

    async fn save_document(
        &self,
        document: SettingsDocument,
        content: Sensitive,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Arc<SavedDocument>, SaveError> {
        self.save(Draft::Role(document, content), change, expected).await.map(Opened::into_role)
    }
}

#[async_trait]
impl SealedSettings for EmbeddedCluster {
    fn sealed_documents(&self) -> Vec<SealedDocument> {
        self.shared.present.sealed()
    }

    async fn reseal_documents(&self) -> Result<Vec<&'static str>, SaveError> {
        let shared = Arc::clone(&self.shared);
        let resealed = tokio::task::spawn_blocking(move || shared.reseal()).await;
        resealed.unwrap_or_else(|panic| Err(SaveError::Store(panic.into())))
    }
}

#[derive(Debug)]
struct Shared {
    folder: DocumentFolder,
    keys: Arc<Keys>,
    present: Present,
    /// Held from the comparison of the etag to the end of the write.
    saving: Mutex<()>,
}

impl Shared {
    fn save(
        &self,
        draft: Draft,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Opened, SaveError> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.present.next(draft, change, expected)?;
        let document = next.document();
        self.keep(next.clone(), &self.keys.current())?;
        info!(document = document.name(), generation = next.generation(), "settings saved");
        Ok(next)
    }

    fn reseal(&self) -> Result<Vec<&'static str>, SaveError> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = self.keys.current();
        let mut resealed = Vec::new();
        for document in Document::all() {
            let Some((opened, key_id)) = self.present.opened(document) else { continue };
            if key_id != keys.writer().as_str() {
                self.keep(opened, &keys)?;
                resealed.push(document.name());
            }
        }
        Ok(resealed)
    }

    fn keep(&self, opened: Opened, keys: &Keyring) -> Result<(), SaveError> {
        let kept = self.folder.keep(opened.document(), &opened.seal(keys));
        kept.map_err(|error| SaveError::Store(error.into()))?;
        self.present.take(opened, keys.writer().as_str().to_owned());
        Ok(())
    }
}

/// The keys in `key_file`, or where none is named in the data folder. A file that is not there is made, unless there
/// are settings already.
///
/// It reads and writes files, as a start may.
pub fn load_keys(data_dir: &Path, key_file: Option<&Path>) -> Result<Arc<Keys>, OpenError> {
    let default = || data_dir.join(KEY_FILE);
    let key_file = key_file.map_or_else(default, Path::to_owned);
    // A name alone has no folder.
    let key_file = &std::path::absolute(&key_file).map_err(files::failed("find", &key_file))?;
    if let Some(keys) = Keyring::load(key_file)? {
        return Ok(Arc::new(Keys::new(key_file, keys)));
    }
    // A new key would hide that the old one is lost.
    if let Some(settings) = DocumentFolder::open(data_dir.join(SETTINGS_FOLDER))?.any()? {
        return Err(OpenError::KeyFileMissing { key_file: key_file.to_owned(), settings });
    }
    let keys = Keyring::create(key_file)?;
    info!(key_id = %keys.writer(), path = %key_file.display(), "key file created");
    Ok(Arc::new(Keys::new(key_file, keys)))
}

#[cfg(test)]
mod tests;
