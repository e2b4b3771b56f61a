//! `ReminderService`: the settings, who would get what, and what was decided.

mod preview;

use nuncio_api::caller::caller_id;
use nuncio_core::job::CallerId;
use std::sync::Arc;

use nuncio_api::convert::reminder::reminder_settings;
use nuncio_api::convert::time::{duration, timestamp};
use nuncio_api::error::{invalid, status};
use nuncio_api::v1;
use nuncio_api::v1::reminder_service_server::ReminderService;
use nuncio_core::directory::guest::Guest;
use nuncio_core::directory::user::User;
use nuncio_core::ports::records::RecordQuery;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::reminder::ledger::LEDGER;
use nuncio_core::reminder::rules::ReminderSettings;
use nuncio_core::settings::document::{DocumentChange, SavedDocument, SettingsDocument};
use nuncio_core::violation::Violations;
use tonic::{Code, Request, Response, Status};
use tracing::{error, info};

use crate::errors::{no_store, not_readable, not_saved, too_many_due};
use crate::paging::{next_token, page_size, start};
use crate::reminders::ledger::{LedgerOutcome, LedgerRow};
use crate::reminders::{Reminders, document};

#[derive(Clone)]
pub(crate) struct ReminderApi {
    pub(crate) reminders: Reminders,
    pub(crate) settings: Arc<dyn SettingsShare>,
}

impl ReminderApi {
    fn saved(&self) -> Option<Arc<SavedDocument>> {
        self.settings.document(SettingsDocument::Reminders).borrow().clone()
    }

    fn present(&self) -> Result<ReminderSettings, Status> {
        let saved = self.saved();
        let read =
            saved.map_or(Ok(ReminderSettings::default()), |saved| document::decode(&saved.content));
        read.map_err(|problem| not_readable(&problem))
    }

    async fn update(
        &self,
        request: v1::UpdateReminderSettingsRequest,
        by: CallerId,
    ) -> Result<v1::UpdateReminderSettingsResponse, Status> {
        let given = request.reminder_settings.unwrap_or_default();
        let expected = Some(given.etag.clone()).filter(|etag| !etag.is_empty());
        let settings = reminder_settings(given).map_err(not_valid)?;
        let before = self.present()?;
        let due = self.reminders.due_at_once(&settings).await.map_err(|error| no_store(&error))?;
        let due_count = i64::try_from(due).unwrap_or(i64::MAX);
        if request.validate_only {
            let settings = told(&settings, self.saved().as_deref());
            return Ok(v1::UpdateReminderSettingsResponse {
                reminder_settings: Some(settings),
                due_count,
            });
        }
        if request.max_due_count < due_count {
            return Err(too_many_due(due_count));
        }
        let change = DocumentChange {
            caller: by.0,
            at: self.reminders.intake.clock.now(),
            summary: summary(&before, &settings),
        };
        let content = document::encode(&settings);
        let kind = SettingsDocument::Reminders;
        let saved = self.settings.save_document(kind, content, change, expected.as_deref()).await;
        let saved = saved.map_err(not_saved)?;
        info!(settings.generation = saved.generation, due_count, "reminder settings were saved");
        let settings = told(&settings, Some(&saved));
        Ok(v1::UpdateReminderSettingsResponse { reminder_settings: Some(settings), due_count })
    }

    async fn list(
        &self,
        request: v1::ListRemindersRequest,
    ) -> Result<v1::ListRemindersResponse, Status> {
        let subject = request.subject;
        check_subject(&subject)?;
        let limit = page_size(request.page_size)?;
        let after = start(&request.page_token)?;
        let query = RecordQuery { kind: LEDGER, owner: Some(subject), after, limit };
        let rows = self.reminders.records.list_records(&query).await;
        let rows = rows.map_err(|error| no_store(&error))?;
        let full = rows.len() == limit as usize;
        let next = rows.last().filter(|_| full).map(|last| next_token(&last.key.id));
        let unreadable = |problem: &_| error!("left out of the ledger of reminders: {problem}");
        let read = rows.iter().filter_map(|row| LedgerRow::read(row).inspect_err(unreadable).ok());
        Ok(v1::ListRemindersResponse {
            reminders: read.map(reminder).collect(),
            next_page_token: next.unwrap_or_default(),
        })
    }
}

#[tonic::async_trait]
impl ReminderService for ReminderApi {
    async fn get_reminder_settings(
        &self,
        _request: Request<v1::GetReminderSettingsRequest>,
    ) -> Result<Response<v1::GetReminderSettingsResponse>, Status> {
        let settings = told(&self.present()?, self.saved().as_deref());
        let response = v1::GetReminderSettingsResponse { reminder_settings: Some(settings) };
        Ok(Response::new(response))
    }

    async fn update_reminder_settings(
        &self,
        request: Request<v1::UpdateReminderSettingsRequest>,
    ) -> Result<Response<v1::UpdateReminderSettingsResponse>, Status> {
        let by = caller_id(&request);
        Ok(Response::new(self.update(request.into_inner(), by).await?))
    }

    async fn preview_reminders(
        &self,
        request: Request<v1::PreviewRemindersRequest>,
    ) -> Result<Response<v1::PreviewRemindersResponse>, Status> {
        Ok(Response::new(self.preview(request.into_inner()).await?))
    }

    async fn list_reminders(
        &self,
        request: Request<v1::ListRemindersRequest>,
    ) -> Result<Response<v1::ListRemindersResponse>, Status> {
        Ok(Response::new(self.list(request.into_inner()).await?))
    }
}

fn told(settings: &ReminderSettings, saved: Option<&SavedDocument>) -> v1::ReminderSettings {
    v1::ReminderSettings {
        etag: saved.map(SavedDocument::etag).unwrap_or_default(),
        generation: saved.map_or(0, |saved| saved.generation),
        update_time: saved.and_then(|saved| saved.history.first()).map(|last| timestamp(last.at)),
        ..v1::ReminderSettings::from(settings)
    }
}

fn reminder(row: LedgerRow) -> v1::Reminder {
    let (outcome, mail_job) = match row.outcome {
        LedgerOutcome::Mailed(job) => (v1::ReminderOutcome::Mailed, job.to_string()),
        LedgerOutcome::Superseded => (v1::ReminderOutcome::Superseded, String::new()),
    };
    v1::Reminder {
        subject: row.key.subject,
        expire_time: Some(timestamp(row.key.expires_at)),
        before: Some(duration(row.key.before)),
        channel: v1::ReminderChannel::from(row.key.channel).into(),
        outcome: outcome.into(),
        mail_job,
        due_time: Some(timestamp(row.since)),
        decide_time: Some(timestamp(row.decided_at)),
    }
}

/// What was changed, for a person.
fn summary(before: &ReminderSettings, after: &ReminderSettings) -> String {
    use std::collections::BTreeMap;

    let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (before.rules().collect(), after.rules().collect());
    let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut changed: Vec<String> = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| {
            let now = new.get(name).map_or("removed".to_owned(), ToString::to_string);
            format!("{name}: {now}")
        })
        .collect();
    if before.quiet_hours != after.quiet_hours {
        let now = after.quiet_hours.map_or("none".to_owned(), |quiet| quiet.to_string());
        changed.push(format!("quiet hours: {now}"));
    }
    if changed.is_empty() { "nothing changed".to_owned() } else { changed.join("; ") }
}

pub(crate) fn check_subject(name: &str) -> Result<(), Status> {
    use nuncio_directory::subject::Subject as _;

    let guest = name.strip_prefix("guests/").map(|id| Guest::parse_id(id).is_ok());
    let user = name.strip_prefix("users/").map(|id| User::parse_id(id).is_ok());
    if guest.or(user).unwrap_or(false) {
        return Ok(());
    }
    let shown: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let message = format!("`{shown}` names nobody; it looks like `guests/anna` or `users/root`");
    Err(status(Code::InvalidArgument, "INVALID_NAME", message, [("name", shown)]))
}

fn not_valid(violations: Violations) -> Status {
    let message = "the settings of reminders are not valid";
    invalid("INVALID_REMINDER_SETTINGS", message, violations)
}

#[cfg(test)]
mod tests;
