//! `GuestMailSettingsService`: get and save.

use nuncio_api::caller::caller_id;
use nuncio_core::job::CallerId;
use std::sync::Arc;

use nuncio_api::convert::guest_mail::guest_mail_settings;
use nuncio_api::convert::time::timestamp;
use nuncio_api::error::invalid;
use nuncio_api::v1;
use nuncio_api::v1::guest_mail_settings_service_server::GuestMailSettingsService;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::settings::document::{DocumentChange, SavedDocument, SettingsDocument};
use nuncio_core::settings::guest_mail::GuestMailSettings;
use nuncio_delivery::guest_mail;
use tonic::{Request, Response, Status};
use tracing::info;

use crate::errors::{no_store, not_readable, not_saved, too_many_due};
use crate::reminders::Reminders;

#[derive(Clone)]
pub(crate) struct GuestMailApi {
    /// Counts what would be sent at once; it keeps the clock too.
    pub(crate) reminders: Reminders,
    pub(crate) settings: Arc<dyn SettingsShare>,
}

impl GuestMailApi {
    fn saved(&self) -> Option<Arc<SavedDocument>> {
        self.settings.document(SettingsDocument::GuestMail).borrow().clone()
    }

    fn present(&self) -> Result<GuestMailSettings, Status> {
        let saved = self.saved();
        let read = saved
            .map_or(Ok(GuestMailSettings::default()), |saved| guest_mail::decode(&saved.content));
        read.map_err(|problem| not_readable(&problem))
    }

    async fn update(
        &self,
        request: v1::UpdateGuestMailSettingsRequest,
        by: CallerId,
    ) -> Result<v1::UpdateGuestMailSettingsResponse, Status> {
        let given = request.guest_mail_settings.unwrap_or_default();
        let expected = Some(given.etag.clone()).filter(|etag| !etag.is_empty());
        let settings = guest_mail_settings(given).map_err(|violations| {
            let message = "the guest mail settings are not valid";
            invalid("INVALID_GUEST_MAIL_SETTINGS", message, violations)
        })?;
        // What cannot be read is replaced: then it is not known what has changed.
        let before = self.present().ok();
        let due_count = self.due_by(before.as_ref(), &settings).await?;
        if request.validate_only {
            let settings = told(&settings, self.saved().as_deref());
            return Ok(v1::UpdateGuestMailSettingsResponse {
                guest_mail_settings: Some(settings),
                due_count,
            });
        }
        if request.max_due_count < due_count {
            return Err(too_many_due(due_count));
        }
        let change = DocumentChange {
            caller: by.0,
            at: self.reminders.intake.clock.now(),
            summary: settings.changes_since(before.as_ref()),
        };
        let content = guest_mail::encode(&settings);
        let kind = SettingsDocument::GuestMail;
        let saved = self.settings.save_document(kind, content, change, expected.as_deref()).await;
        let saved = saved.map_err(not_saved)?;
        info!(settings.generation = saved.generation, due_count, "guest mail settings were saved");
        let settings = told(&settings, Some(&saved));
        Ok(v1::UpdateGuestMailSettingsResponse { guest_mail_settings: Some(settings), due_count })
    }

    /// How many reminders a change lets go at once.
    async fn due_by(
        &self,
        before: Option<&GuestMailSettings>,
        after: &GuestMailSettings,
    ) -> Result<i64, Status> {
        if before.is_none_or(|before| before.is_enabled) || !after.is_enabled {
            return Ok(0);
        }
        let due = self.reminders.guests_due_at_once().await.map_err(|error| no_store(&error))?;
        Ok(i64::try_from(due).unwrap_or(i64::MAX))
    }
}

#[tonic::async_trait]
impl GuestMailSettingsService for GuestMailApi {
    async fn get_guest_mail_settings(
        &self,
        _request: Request<v1::GetGuestMailSettingsRequest>,
    ) -> Result<Response<v1::GetGuestMailSettingsResponse>, Status> {
        let settings = told(&self.present()?, self.saved().as_deref());
        let response = v1::GetGuestMailSettingsResponse { guest_mail_settings: Some(settings) };
        Ok(Response::new(response))
    }

    async fn update_guest_mail_settings(
        &self,
        request: Request<v1::UpdateGuestMailSettingsRequest>,
    ) -> Result<Response<v1::UpdateGuestMailSettingsResponse>, Status> {
        let by = caller_id(&request);
        Ok(Response::new(self.update(request.into_inner(), by).await?))
    }
}

fn told(settings: &GuestMailSettings, saved: Option<&SavedDocument>) -> v1::GuestMailSettings {
    v1::GuestMailSettings {
        etag: saved.map(SavedDocument::etag).unwrap_or_default(),
        generation: saved.map_or(0, |saved| saved.generation),
        update_time: saved.and_then(|saved| saved.history.first()).map(|last| timestamp(last.at)),
        ..v1::GuestMailSettings::from(settings)
    }
}

#[cfg(test)]
mod tests;
