//! `TrustStoreService`: get and save.

use nuncio_api::caller::caller_id;
use nuncio_core::job::CallerId;
use std::sync::Arc;

use nuncio_api::convert::trust_store::{changes, drafts, trust_store};
use nuncio_api::error::invalid;
use nuncio_api::v1;
use nuncio_api::v1::trust_store_service_server::TrustStoreService;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::ports::trust::CertificateReader;
use nuncio_core::settings::document::{DocumentChange, SavedDocument, SettingsDocument};
use nuncio_core::settings::trust_store::{self, TrustStore};
use nuncio_core::violation::Violations;
use tonic::{Request, Response, Status};
use tracing::info;

use super::{document, read};
use crate::errors::{not_readable, not_saved};

pub(crate) struct TrustStoreApi {
    pub(crate) settings: Arc<dyn SettingsShare>,
    pub(crate) reader: Arc<dyn CertificateReader>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl TrustStoreApi {
    fn present(&self) -> Result<(Option<Arc<SavedDocument>>, TrustStore), Status> {
        let saved = self.settings.document(SettingsDocument::TrustStore).borrow().clone();
        let store =
            read(saved.as_deref(), &*self.reader).map_err(|problem| not_readable(&problem))?;
        Ok((saved, store))
    }

    async fn update(
        &self,
        request: v1::UpdateTrustStoreRequest,
        by: CallerId,
    ) -> Result<v1::UpdateTrustStoreResponse, Status> {
        let given = request.trust_store.unwrap_or_default();
        let expected = Some(given.etag.clone()).filter(|etag| !etag.is_empty());
        let (now, (saved, before)) = (self.clock.now(), self.present()?);
        let mut violations = Violations::default();
        let drafts = drafts(given, &mut violations);
        let checked = trust_store::check(drafts, &*self.reader, &before, now);
        let checked = checked.map_err(|more| violations.append(more)).ok();
        let (Some(wanted), true) = (checked, violations.is_empty()) else {
            let message = "the trust store is not valid";
            return Err(invalid("INVALID_TRUST_STORE", message, violations));
        };
        if request.validate_only {
            let told = trust_store(&wanted, saved.as_deref(), now);
            return Ok(v1::UpdateTrustStoreResponse { trust_store: Some(told) });
        }
        let summary = match wanted.changes_since(&before) {
            nothing if nothing.is_empty() => "nothing changed".to_owned(),
            changes => changes,
        };
        let change = DocumentChange { caller: by.0, at: now, summary };
        let (kind, content) = (SettingsDocument::TrustStore, document::encode(&wanted));
        let saved = self.settings.save_document(kind, content, change, expected.as_deref()).await;
        let saved = saved.map_err(not_saved)?;
        info!(settings.generation = saved.generation, "the trust store was saved");
        let told = trust_store(&wanted, Some(&saved), now);
        Ok(v1::UpdateTrustStoreResponse { trust_store: Some(told) })
    }
}

#[tonic::async_trait]
impl TrustStoreService for TrustStoreApi {
    async fn get_trust_store(
        &self,
        _request: Request<v1::GetTrustStoreRequest>,
    ) -> Result<Response<v1::GetTrustStoreResponse>, Status> {
        let (saved, store) = self.present()?;
        Ok(Response::new(v1::GetTrustStoreResponse {
            trust_store: Some(trust_store(&store, saved.as_deref(), self.clock.now())),
            changes: saved.as_deref().map(changes).unwrap_or_default(),
        }))
    }

    async fn update_trust_store(
        &self,
        request: Request<v1::UpdateTrustStoreRequest>,
    ) -> Result<Response<v1::UpdateTrustStoreResponse>, Status> {
        let by = caller_id(&request);
        Ok(Response::new(self.update(request.into_inner(), by).await?))
    }
}
