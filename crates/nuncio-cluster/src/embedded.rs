//! The cluster of one node: everything is kept in its data folder.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use nuncio_core::ports::settings::{SaveError, SettingsShare};
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::{
    DocumentChange, HISTORY_MAX, SavedDocument, SettingsDocument,
};
use nuncio_core::settings::{SavedSmtpSettings, SmtpSettings};
use tokio::sync::watch;
use tracing::info;

use crate::document::{Document, DocumentError, role, smtp};
use crate::envelope::{Envelope, EnvelopeError};
use crate::files::{self, FileError};
use crate::keyring::{Keyring, KeyringError};

/// Under the data folder: the encrypted documents.
const SETTINGS_FOLDER: &str = "settings";
/// Under the data folder: the keys that encrypt them.
const KEY_FILE: &str = "keys/settings.key";
const DOCUMENT_EXTENSION: &str = "json";

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
    #[error("the settings in `{}` cannot be opened", path.display())]
    Envelope { path: PathBuf, source: EnvelopeError },
    #[error("the settings in `{}` cannot be understood", path.display())]
    Document { path: PathBuf, source: DocumentError },
}

impl EmbeddedCluster {
    /// Opens the settings of a data folder under these keys, and makes the folder on the first start.
    ///
    /// It reads and writes files, as a start may.
    pub fn open(data_dir: &Path, keys: Arc<Keyring>) -> Result<Self, OpenError> {
        let folder = data_dir.join(SETTINGS_FOLDER);
        files::create_folder(&folder)?;
        let smtp = load(&folder, &keys, Document::Smtp, smtp::decode)?;
        let smtp = watch::Sender::new(smtp.map(Arc::new));
        let mut documents = BTreeMap::new();
        for document in SettingsDocument::ALL {
            let saved = load(&folder, &keys, Document::Role(document), role::decode)?;
            documents.insert(document, watch::Sender::new(saved.map(Arc::new)));
        }
        let saving = Mutex::new(());
        Ok(Self { shared: Arc::new(Shared { folder, keys, smtp, documents, saving }) })
    }
}

#[async_trait]
impl SettingsShare for EmbeddedCluster {
    fn smtp(&self) -> watch::Receiver<Option<Arc<SavedSmtpSettings>>> {
        self.shared.smtp.subscribe()
    }

    async fn save_smtp(
        &self,
        settings: SmtpSettings,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Arc<SavedSmtpSettings>, SaveError> {
        let (shared, expected) = (Arc::clone(&self.shared), expected.map(str::to_owned));
        // In one piece on its own thread: whoever drops this future leaves no half-done save.
        let save = move || shared.save_smtp(settings, change, expected.as_deref());
        let saved = tokio::task::spawn_blocking(save).await;
        saved.unwrap_or_else(|panic| Err(SaveError::Store(panic.into())))
    }

    fn document(&self, document: SettingsDocument) -> watch::Receiver<Option<Arc<SavedDocument>>> {
        self.shared.of(document).subscribe()
    }

    async fn save_document(
        &self,
        document: SettingsDocument,
        content: Sensitive,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Arc<SavedDocument>, SaveError> {
        let (shared, expected) = (Arc::clone(&self.shared), expected.map(str::to_owned));
        let save = move || shared.save_document(document, content, change, expected.as_deref());
        let saved = tokio::task::spawn_blocking(save).await;
        saved.unwrap_or_else(|panic| Err(SaveError::Store(panic.into())))
    }
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    keys: Arc<Keyring>,
    smtp: watch::Sender<Option<Arc<SavedSmtpSettings>>>,
    /// One for each of [`SettingsDocument::ALL`].
    documents: BTreeMap<SettingsDocument, watch::Sender<Option<Arc<SavedDocument>>>>,
    /// Held from the comparison of the etag to the end of the write.
    saving: Mutex<()>,
}

impl Shared {
    fn save_smtp(
        &self,
        settings: SmtpSettings,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Arc<SavedSmtpSettings>, SaveError> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.smtp.borrow().clone();
        check_etag(present.as_ref().map(|saved| saved.etag()), expected)?;
        let generation = 1 + present.as_ref().map_or(0, |saved| saved.generation);
        let before = present.iter().flat_map(|saved| &saved.history);
        let (saved_at, history) = (change.at, history(change, before));
        let saved = SavedSmtpSettings { settings, generation, saved_at, history };
        self.write(Document::Smtp, generation, &smtp::encode(&saved))?;
        let saved = Arc::new(saved);
        self.smtp.send_replace(Some(Arc::clone(&saved)));
        info!(generation, "SMTP settings saved");
        Ok(saved)
    }

    fn save_document(
        &self,
        document: SettingsDocument,
        content: Sensitive,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Arc<SavedDocument>, SaveError> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.of(document).borrow().clone();
        check_etag(present.as_ref().map(|saved| saved.etag()), expected)?;
        let generation = 1 + present.as_ref().map_or(0, |saved| saved.generation);
        let before = present.iter().flat_map(|saved| &saved.history);
        let history = history(change, before);
        let saved = SavedDocument { content, generation, history };
        self.write(Document::Role(document), generation, &role::encode(&saved))?;
        let saved = Arc::new(saved);
        self.of(document).send_replace(Some(Arc::clone(&saved)));
        info!(document = document.name(), generation, "settings saved");
        Ok(saved)
    }

    fn of(&self, document: SettingsDocument) -> &watch::Sender<Option<Arc<SavedDocument>>> {
        self.documents.get(&document).expect("there is one for each document")
    }

    fn write(&self, document: Document, generation: i64, text: &[u8]) -> Result<(), SaveError> {
        let envelope = Envelope::seal(document, generation, &self.keys, text);
        files::replace(&path(&self.folder, document), &envelope.to_json())
            .map_err(|error| SaveError::Store(error.into()))
    }
}

/// The changes that are kept: this one and the last ones before.
fn history<'a>(
    change: DocumentChange,
    before: impl Iterator<Item = &'a DocumentChange>,
) -> Vec<DocumentChange> {
    std::iter::once(change).chain(before.cloned()).take(HISTORY_MAX).collect()
}

fn check_etag(present: Option<String>, expected: Option<&str>) -> Result<(), SaveError> {
    let present = present.unwrap_or_default();
    if expected.is_some_and(|expected| expected != present) {
        return Err(SaveError::EtagMismatch { present });
    }
    Ok(())
}

fn path(folder: &Path, document: Document) -> PathBuf {
    folder.join(document.name()).with_extension(DOCUMENT_EXTENSION)
}

/// The keys in `key_file`, or where none is named in the data folder. A file that is not there is made, unless there
/// are settings already.
///
/// It reads and writes files, as a start may.
pub fn load_keys(data_dir: &Path, key_file: Option<&Path>) -> Result<Arc<Keyring>, OpenError> {
    let default = || data_dir.join(KEY_FILE);
    let key_file = key_file.map_or_else(default, Path::to_owned);
    // A name alone has no folder.
    let key_file = &std::path::absolute(&key_file).map_err(files::failed("find", &key_file))?;
    if let Some(keys) = Keyring::load(key_file)? {
        return Ok(Arc::new(keys));
    }
    let folder = &data_dir.join(SETTINGS_FOLDER);
    files::create_folder(folder)?;
    // A new key would hide that the old one is lost.
    if let Some(settings) = any_document(folder).map_err(files::failed("list", folder))? {
        return Err(OpenError::KeyFileMissing { key_file: key_file.to_owned(), settings });
    }
    let keys = Keyring::create(key_file)?;
    info!(key_id = %keys.writer(), path = %key_file.display(), "key file created");
    Ok(Arc::new(keys))
}

/// Any settings document, also one that this version does not know.
fn any_document(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new(DOCUMENT_EXTENSION)) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn load<T>(
    folder: &Path,
    keys: &Keyring,
    document: Document,
    decode: fn(&[u8], i64) -> Result<T, DocumentError>,
) -> Result<Option<T>, OpenError> {
    let path = path(folder, document);
    let Some(json) = files::read(&path)? else { return Ok(None) };
    let unopened = |source| OpenError::Envelope { path: path.clone(), source };
    let envelope = Envelope::from_json(&json).map_err(unopened)?;
    let text = envelope.open(document, keys).map_err(unopened)?;
    let decoded = decode(&text, envelope.generation);
    decoded.map(Some).map_err(|source| OpenError::Document { path, source })
}

#[cfg(test)]
mod tests;
