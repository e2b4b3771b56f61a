//! The settings in etcd under another key.

use std::collections::BTreeMap;

use async_trait::async_trait;
use nuncio_core::ports::sealed::{SealedDocument, SealedSettings};
use nuncio_core::ports::settings::SaveError;
use tracing::info;

use super::store::Put;
use super::{EtcdCluster, Shared, TRIES_MAX};
use crate::document::Document;

#[async_trait]
impl SealedSettings for EtcdCluster {
    fn sealed_documents(&self) -> Vec<SealedDocument> {
        self.shared.present.sealed()
    }

    async fn reseal_documents(&self) -> Result<Vec<&'static str>, SaveError> {
        // What etcd does not hold any more must be told from what this node has not heard of yet.
        self.shared.resync().await.map_err(|error| SaveError::Store(error.into()))?;
        let mut known = self.shared.known.lock().await;
        let mut resealed = Vec::new();
        for document in Document::all() {
            if self.shared.reseal(&mut known, document).await? {
                resealed.push(document.name());
            }
        }
        Ok(resealed)
    }
}

impl Shared {
    /// Whether this node has sealed the document anew.
    async fn reseal(
        &self,
        known: &mut BTreeMap<Document, i64>,
        document: Document,
    ) -> Result<bool, SaveError> {
        for _try in 0..TRIES_MAX {
            let keys = self.keys.current();
            let Some((opened, key_id)) = self.present.opened(document) else { return Ok(false) };
            if key_id == keys.writer().as_str() {
                return Ok(false);
            }
            let envelope = opened.seal(&keys);
            let kept = (opened, keys.writer().as_str().to_owned());
            let Some(revision) = known.get(&document).copied() else {
                // Only this node has it, among the last good ones.
                self.present.take(kept.0, kept.1);
                self.keep_last_good(document, envelope).await;
                return Ok(true);
            };
            match self.put(document, revision, &envelope).await? {
                Put::Done { revision } => {
                    self.accept(known, kept, revision, envelope).await;
                    info!(document = document.name(), "settings are under the new key");
                    return Ok(true);
                }
                Put::Overtaken(Some(stored)) => {
                    let taken = self.take(known, stored).await;
                    taken.map_err(|unopened| SaveError::Store(unopened.into()))?;
                }
                Put::Overtaken(None) => {
                    known.remove(&document);
                }
            }
        }
        Err(SaveError::Store("other nodes save these settings all the time; try again".into()))
    }
}
