//! `CallerService`: list, create, delete.

use std::sync::Arc;

use nuncio_api::caller::caller_id;
use nuncio_api::convert::caller::WantedCaller;
use nuncio_api::error::{invalid, status};
use nuncio_api::v1;
use nuncio_api::v1::caller_service_server::CallerService;
use nuncio_core::caller::known::{CALLERS_MAX, Callers, Credential, KnownCaller, TokenHash, check};
use nuncio_core::job::CallerId;
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::settings::document::{DocumentChange, SavedDocument, SettingsDocument};
use nuncio_core::violation::Violations;
use tonic::{Code, Request, Response, Status};
use tracing::info;

use super::document;
use super::token::new_token;
use crate::errors::{not_readable, not_saved};

pub(crate) struct CallersApi {
    pub(crate) settings: Arc<dyn SettingsShare>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl CallersApi {
    /// The callers, and the etag with which they may be replaced.
    fn present(&self) -> Result<(Callers, String), Status> {
        let saved = self.settings.document(SettingsDocument::Callers).borrow().clone();
        let Some(saved) = saved else { return Ok((Callers::default(), String::new())) };
        let callers = document::decode(&saved.content).map_err(|problem| not_readable(&problem))?;
        Ok((callers, SavedDocument::etag(&saved)))
    }

    async fn save(
        &self,
        callers: &Callers,
        etag: &str,
        caller: CallerId,
        summary: String,
    ) -> Result<(), Status> {
        let told = summary.clone();
        let change = DocumentChange { caller: caller.0, at: self.clock.now(), summary };
        let (kind, content) = (SettingsDocument::Callers, document::encode(callers));
        let saved = self.settings.save_document(kind, content, change, Some(etag)).await;
        let saved = saved.map_err(not_saved)?;
        info!(settings.generation = saved.generation, "callers were saved: {told}");
        Ok(())
    }

    async fn create(
        &self,
        given: v1::Caller,
        by: CallerId,
    ) -> Result<v1::CreateCallerResponse, Status> {
        let mut violations = Violations::default();
        let wanted = WantedCaller::read(&mut violations, given);
        if let Err(more) = check(&wanted.name, &wanted.permissions, wanted.limits) {
            violations.append(more);
        }
        if !violations.is_empty() {
            return Err(invalid("INVALID_CALLER", "the caller is not valid", violations));
        }
        let (mut callers, etag) = self.present()?;
        if callers.find(&wanted.name).is_some() {
            let message = format!("there is a caller `{}` already; delete it first", wanted.name);
            let metadata = [("caller", wanted.name)];
            return Err(status(Code::AlreadyExists, "CALLER_EXISTS", message, metadata));
        }
        if CALLERS_MAX <= callers.0.len() {
            let message = format!("there are {CALLERS_MAX} callers; delete one");
            return Err(status(Code::ResourceExhausted, "TOO_MANY_CALLERS", message, []));
        }
        let token = wanted.by_token.then(|| new_token(&*self.entropy));
        let credential = match &token {
            Some(token) => Credential::Token(TokenHash::of(token)),
            None => Credential::Certificate,
        };
        let summary = summary(&wanted);
        let WantedCaller { name, permissions, limits, .. } = wanted;
        let created_at = self.clock.now();
        let known = KnownCaller { name, permissions, limits, credential, created_at };
        let told = v1::Caller::from(&known);
        callers.0.push(known);
        callers.0.sort_by(|one, other| one.name.cmp(&other.name));
        self.save(&callers, &etag, by, summary).await?;
        let token = token.unwrap_or_default();
        Ok(v1::CreateCallerResponse { caller: Some(told), token })
    }

    async fn delete(&self, name: &str, by: CallerId) -> Result<(), Status> {
        let (mut callers, etag) = self.present()?;
        let before = callers.0.len();
        callers.0.retain(|one| one.name != name);
        if callers.0.len() == before {
            return Err(status(Code::NotFound, "CALLER_NOT_FOUND", "there is no such caller", []));
        }
        self.save(&callers, &etag, by, format!("-{name}")).await
    }
}

#[tonic::async_trait]
impl CallerService for CallersApi {
    async fn list_callers(
        &self,
        _request: Request<v1::ListCallersRequest>,
    ) -> Result<Response<v1::ListCallersResponse>, Status> {
        let (callers, _etag) = self.present()?;
        let callers = callers.0.iter().map(v1::Caller::from).collect();
        Ok(Response::new(v1::ListCallersResponse { callers }))
    }

    async fn create_caller(
        &self,
        request: Request<v1::CreateCallerRequest>,
    ) -> Result<Response<v1::CreateCallerResponse>, Status> {
        let by = caller_id(&request);
        let given = request.into_inner().caller.unwrap_or_default();
        Ok(Response::new(self.create(given, by).await?))
    }

    async fn delete_caller(
        &self,
        request: Request<v1::DeleteCallerRequest>,
    ) -> Result<Response<v1::DeleteCallerResponse>, Status> {
        let by = caller_id(&request);
        self.delete(&request.into_inner().name, by).await?;
        Ok(Response::new(v1::DeleteCallerResponse {}))
    }
}

/// What a person reads of it in the history.
fn summary(wanted: &WantedCaller) -> String {
    let may: Vec<_> = wanted.permissions.iter().map(|one| one.name()).collect();
    let by = if wanted.by_token { "token" } else { "certificate" };
    format!("+{} ({}; by {by})", wanted.name, may.join(", "))
}

#[cfg(test)]
mod tests;
