//! `SettingsService`: who changed the documents that this node keeps.

use std::sync::Arc;

use nuncio_api::convert::time::timestamp;
use nuncio_api::error::status;
use nuncio_api::v1;
use nuncio_api::v1::settings_service_server::SettingsService;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::settings::document::{DocumentChange, SettingsDocument};
use tonic::{Code, Request, Response, Status};

/// The name of the SMTP settings among the documents.
const SMTP: &str = "smtp";
/// How much of a name that is none is shown, in characters.
const NAME_CHARS_SHOWN: usize = 100;

pub(crate) struct SettingsApi {
    pub(crate) settings: Arc<dyn SettingsShare>,
}

impl SettingsApi {
    fn changes(&self, wanted: &str) -> Vec<v1::SettingsChange> {
        let is_wanted = |name: &str| wanted.is_empty() || wanted == name;
        let mut changes = Vec::new();
        if let Some(saved) = self.settings.smtp().borrow().as_ref().filter(|_| is_wanted(SMTP)) {
            changes.extend(told(SMTP, saved.generation, &saved.history));
        }
        for document in documents().filter(|document| is_wanted(document.name())) {
            if let Some(saved) = self.settings.document(document).borrow().as_ref() {
                changes.extend(told(document.name(), saved.generation, &saved.history));
            }
        }
        // The newest first; of one moment, the last save of a document first.
        changes.sort_by_key(|one| {
            let at = one.change_time.unwrap_or_default();
            std::cmp::Reverse((at.seconds, at.nanos, one.generation))
        });
        changes
    }
}

#[tonic::async_trait]
impl SettingsService for SettingsApi {
    async fn list_settings_changes(
        &self,
        request: Request<v1::ListSettingsChangesRequest>,
    ) -> Result<Response<v1::ListSettingsChangesResponse>, Status> {
        let wanted = request.into_inner().document;
        let known: Vec<_> =
            [SMTP].into_iter().chain(documents().map(SettingsDocument::name)).collect();
        if !wanted.is_empty() && !known.contains(&wanted.as_str()) {
            return Err(unknown(&wanted, &known));
        }
        let changes = self.changes(&wanted);
        Ok(Response::new(v1::ListSettingsChangesResponse { changes }))
    }
}

/// The documents that somebody edits.
fn documents() -> impl Iterator<Item = SettingsDocument> {
    SettingsDocument::ALL.into_iter().filter(|document| *document != SettingsDocument::PortalKeys)
}

fn told<'a>(
    document: &'a str,
    generation: i64,
    history: &'a [DocumentChange],
) -> impl Iterator<Item = v1::SettingsChange> + 'a {
    // The first one made the present generation, each further one that before.
    (0_i64..).zip(history).map(move |(age, change)| v1::SettingsChange {
        document: document.to_owned(),
        generation: generation - age,
        caller: change.caller.clone(),
        change_time: Some(timestamp(change.at)),
        summary: change.summary.clone(),
    })
}

fn unknown(wanted: &str, known: &[&str]) -> Status {
    let shown: String = wanted.chars().filter(|c| !c.is_control()).take(NAME_CHARS_SHOWN).collect();
    let message = format!("`{shown}` is no settings document; there are: {}", known.join(", "));
    status(Code::InvalidArgument, "UNKNOWN_SETTINGS_DOCUMENT", message, [("document", shown)])
}

#[cfg(test)]
mod tests;
