//! The trust store: its document, its service, and the watch over the expiry of its certificates.

use nuncio_core::ports::trust::CertificateReader;
use nuncio_core::settings::document::SavedDocument;
use nuncio_core::settings::trust_store::{CertificateDraft, TrustStore, TrustedCertificate};
use tracing::error;

use document::NotATrustStore;

pub mod document;
pub mod watch;

pub(crate) mod service;

/// The trust store of a saved document. A certificate that cannot be read is left out, which the log tells.
fn read(
    saved: Option<&SavedDocument>,
    reader: &dyn CertificateReader,
) -> Result<TrustStore, NotATrustStore> {
    let Some(saved) = saved else { return Ok(TrustStore::default()) };
    let mut certificates = Vec::new();
    for CertificateDraft { name, description, pem, trusted_for } in
        document::decode(&saved.content)?
    {
        match reader.read(&pem) {
            Ok(facts) => {
                certificates.push(TrustedCertificate {
                    name,
                    description,
                    pem,
                    trusted_for,
                    facts,
                });
            }
            Err(problem) => error!("the trusted certificate `{name}` {problem}"),
        }
    }
    Ok(TrustStore { certificates })
}

#[cfg(test)]
mod tests;
