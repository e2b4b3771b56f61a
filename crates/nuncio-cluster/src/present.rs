//! The settings as a node knows them, opened, and what a save makes of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nuncio_core::ports::sealed::SealedDocument;
use nuncio_core::ports::settings::SaveError;
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::{
    DocumentChange, HISTORY_MAX, SavedDocument, SettingsDocument,
};
use nuncio_core::settings::{SavedSmtpSettings, SmtpSettings};
use tokio::sync::watch;

use crate::document::{Document, DocumentError, role, smtp};
use crate::envelope::{Envelope, EnvelopeError};
use crate::folder::{DocumentFolder, LoadError};
use crate::keyring::Keyring;

/// The settings as this node knows them now. Whoever watches hears of each change.
#[derive(Debug)]
pub(crate) struct Present {
    smtp: watch::Sender<Option<Arc<SavedSmtpSettings>>>,
    /// One for each of [`SettingsDocument::ALL`].
    documents: BTreeMap<SettingsDocument, watch::Sender<Option<Arc<SavedDocument>>>>,
    /// The ids of the keys that have sealed what is kept of each document.
    keys: Mutex<BTreeMap<Document, String>>,
}

/// A document that was read from its envelope, or is to be put into one.
#[derive(Clone, Debug)]
pub(crate) enum Opened {
    Smtp(Arc<SavedSmtpSettings>),
    Role(SettingsDocument, Arc<SavedDocument>),
}

/// What is to be saved.
#[derive(Clone, Debug)]
pub(crate) enum Draft {
    Smtp(Box<SmtpSettings>),
    Role(SettingsDocument, Sensitive),
}

/// Why what is kept cannot be used. No message shows any of it.
#[derive(Debug, thiserror::Error)]
pub enum UnopenedError {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl Present {
    /// Nothing yet.
    pub(crate) fn empty() -> Self {
        let none = |document| (document, watch::Sender::new(None));
        let documents = SettingsDocument::ALL.into_iter().map(none).collect();
        Self { smtp: watch::Sender::new(None), documents, keys: Mutex::default() }
    }

    /// What is kept in a folder, or why some of it cannot be used.
    pub(crate) fn load(folder: &DocumentFolder, keys: &Keyring) -> Result<Self, LoadError> {
        let present = Self::empty();
        for document in Document::all() {
            present.load_one(folder, document, keys)?;
        }
        Ok(present)
    }

    /// What is kept of one document.
    pub(crate) fn load_one(
        &self,
        folder: &DocumentFolder,
        document: Document,
        keys: &Keyring,
    ) -> Result<(), LoadError> {
        if let Some((opened, key_id)) = folder.load(document, keys)? {
            self.take(opened, key_id);
        }
        Ok(())
    }

    pub(crate) fn smtp(&self) -> &watch::Sender<Option<Arc<SavedSmtpSettings>>> {
        &self.smtp
    }

    pub(crate) fn of(
        &self,
        document: SettingsDocument,
    ) -> &watch::Sender<Option<Arc<SavedDocument>>> {
        self.documents.get(&document).expect("there is one for each document")
    }

    /// What this document is now, and the key under which it is kept. Nobody is woken where only the key is another one.
    pub(crate) fn take(&self, opened: Opened, key_id: String) {
        self.keys().insert(opened.document(), key_id);
        match opened {
            Opened::Smtp(saved) => replace(&self.smtp, saved),
            Opened::Role(document, saved) => replace(self.of(document), saved),
        }
    }

    /// A document that is saved, and the key under which it is kept.
    pub(crate) fn opened(&self, document: Document) -> Option<(Opened, String)> {
        let opened = match document {
            Document::Smtp => Opened::Smtp(self.smtp.borrow().clone()?),
            Document::Role(document) => Opened::Role(document, self.of(document).borrow().clone()?),
        };
        Some((opened, self.keys().get(&document).cloned().unwrap_or_default()))
    }

    /// The documents that are saved, with their keys.
    pub(crate) fn sealed(&self) -> Vec<SealedDocument> {
        let told = |(document, key_id): (&Document, &String)| SealedDocument {
            document: document.name(),
            key_id: key_id.clone(),
        };
        self.keys().iter().map(told).collect()
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<Document, String>> {
        // Nothing that holds this lock can leave its value half changed.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the last save of a document; 0 where there is none.
    pub(crate) fn generation(&self, document: Document) -> i64 {
        let generation = match document {
            Document::Smtp => self.smtp.borrow().as_ref().map(|saved| saved.generation),
            Document::Role(document) => {
                self.of(document).borrow().as_ref().map(|saved| saved.generation)
            }
        };
        generation.unwrap_or_default()
    }

    /// What a save makes of this draft, if the present document has the `expected` etag; `None` means whichever.
    pub(crate) fn next(
        &self,
        draft: Draft,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Opened, SaveError> {
        match draft {
            Draft::Smtp(settings) => {
                let present = self.smtp.borrow().clone();
                check_etag(present.as_ref().map(|saved| saved.etag()), expected)?;
                let before = present.iter().flat_map(|saved| &saved.history);
                let (saved_at, history) = (change.at, history(change, before));
                let generation = 1 + self.generation(Document::Smtp);
                let settings = *settings;
                let saved = SavedSmtpSettings { settings, generation, saved_at, history };
                Ok(Opened::Smtp(Arc::new(saved)))
            }
            Draft::Role(document, content) => {
                let present = self.of(document).borrow().clone();
                check_etag(present.as_ref().map(|saved| saved.etag()), expected)?;
                let before = present.iter().flat_map(|saved| &saved.history);
                let history = history(change, before);
                let generation = 1 + self.generation(Document::Role(document));
                let saved = SavedDocument { content, generation, history };
                Ok(Opened::Role(document, Arc::new(saved)))
            }
        }
    }
}

impl Opened {
    /// Decrypts a document, and reads it. Gives it with the id of its key.
    pub(crate) fn open(
        document: Document,
        json: &[u8],
        keys: &Keyring,
    ) -> Result<(Self, String), UnopenedError> {
        let envelope = Envelope::from_json(json)?;
        let text = envelope.open(document, keys)?;
        let generation = envelope.generation;
        let opened = match document {
            Document::Smtp => Self::Smtp(Arc::new(smtp::decode(&text, generation)?)),
            Document::Role(document) => {
                Self::Role(document, Arc::new(role::decode(&text, generation)?))
            }
        };
        Ok((opened, envelope.key_id))
    }

    /// The envelope in which it is kept.
    pub(crate) fn seal(&self, keys: &Keyring) -> Vec<u8> {
        let (text, generation) = match self {
            Self::Smtp(saved) => (smtp::encode(saved), saved.generation),
            Self::Role(_, saved) => (role::encode(saved), saved.generation),
        };
        Envelope::seal(self.document(), generation, keys, &text).to_json()
    }

    /// What a save of an SMTP draft has made.
    pub(crate) fn into_smtp(self) -> Arc<SavedSmtpSettings> {
        match self {
            Self::Smtp(saved) => saved,
            Self::Role(document, _) => unreachable!("{document:?} is not what was saved"),
        }
    }

    /// What a save of a role's draft has made.
    pub(crate) fn into_role(self) -> Arc<SavedDocument> {
        match self {
            Self::Role(_, saved) => saved,
            Self::Smtp(_) => unreachable!("the SMTP settings are not what was saved"),
        }
    }

    pub(crate) fn document(&self) -> Document {
        match self {
            Self::Smtp(_) => Document::Smtp,
            Self::Role(document, _) => Document::Role(*document),
        }
    }

    pub(crate) fn generation(&self) -> i64 {
        match self {
            Self::Smtp(saved) => saved.generation,
            Self::Role(_, saved) => saved.generation,
        }
    }
}

fn replace<T: PartialEq>(sender: &watch::Sender<Option<Arc<T>>>, saved: Arc<T>) {
    sender.send_if_modified(|present| {
        let is_new = present.as_ref() != Some(&saved);
        *present = Some(saved);
        is_new
    });
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
