//! The settings that all nodes share.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::settings::{SavedSmtpSettings, SmtpSettings};

/// Keeps the settings, encrypted at rest, and tells every node of a change.
#[async_trait]
pub trait SettingsShare: Send + Sync {
    /// The SMTP settings as this node knows them now; the receiver is marked changed with each save.
    fn smtp(&self) -> watch::Receiver<Option<Arc<SavedSmtpSettings>>>;

    /// Saves the SMTP settings if the present ones still have the `expected` etag; `None` means whichever.
    async fn save_smtp(
        &self,
        settings: SmtpSettings,
        expected: Option<&str>,
        now: Timestamp,
    ) -> Result<Arc<SavedSmtpSettings>, SaveError>;
}

/// Why settings were not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("the settings were changed by somebody else; the present etag is `{present}`")]
    EtagMismatch { present: String },
    #[error("the settings could not be stored")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}
