//! The settings that all nodes share.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::secret::Sensitive;
use crate::settings::document::{DocumentChange, SavedDocument, SettingsDocument};
use crate::settings::{SavedSmtpSettings, SmtpSettings};

/// Keeps the settings, encrypted at rest, and tells every node of a change.
#[async_trait]
pub trait SettingsShare: Send + Sync {
    /// The SMTP settings as this node knows them now; the receiver is marked changed with each save.
    fn smtp(&self) -> watch::Receiver<Option<Arc<SavedSmtpSettings>>>;

    /// Saves the SMTP settings if the present ones still have the `expected` etag; `None` means whichever. The
    /// change is kept with them, and the last [`HISTORY_MAX`](crate::settings::document::HISTORY_MAX) before.
    async fn save_smtp(
        &self,
        settings: SmtpSettings,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Arc<SavedSmtpSettings>, SaveError>;

    /// A document of a role as this node knows it now; the receiver is marked changed with each save.
    fn document(&self, document: SettingsDocument) -> watch::Receiver<Option<Arc<SavedDocument>>>;

    /// Saves a document if the present one still has the `expected` etag; `None` means whichever. The change
    /// is kept with it, and the last [`HISTORY_MAX`](crate::settings::document::HISTORY_MAX) before.
    async fn save_document(
        &self,
        document: SettingsDocument,
        content: Sensitive,
        change: DocumentChange,
        expected: Option<&str>,
    ) -> Result<Arc<SavedDocument>, SaveError>;
}

/// Why settings were not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("the settings were changed by somebody else; the present etag is `{present}`")]
    EtagMismatch { present: String },
    #[error("the settings could not be stored")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}
