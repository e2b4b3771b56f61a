//! The settings of reminders as a document.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Time;
use nuncio_core::reminder::quiet::QuietHours;
use nuncio_core::reminder::rules::{ReminderSettings, Rule, Stage};
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::SavedDocument;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::error;

const VERSION: u32 = 1;

/// The saved document is not understood.
#[derive(Debug, thiserror::Error)]
#[error("the saved settings of reminders are not understood: {0}")]
pub struct NotReminders(String);

/// The settings as they count now; the defaults, which remind nobody, while nobody has saved any.
pub fn present(document: &watch::Receiver<Option<Arc<SavedDocument>>>) -> ReminderSettings {
    let saved = document.borrow().clone();
    saved.map_or_else(ReminderSettings::default, |saved| read(&saved))
}

/// Settings that cannot be read are as good as none.
pub(crate) fn read(saved: &SavedDocument) -> ReminderSettings {
    decode(&saved.content).unwrap_or_else(|problem| {
        error!("{problem}; nobody is reminded");
        ReminderSettings::default()
    })
}

pub fn encode(settings: &ReminderSettings) -> Sensitive {
    let quiet =
        settings.quiet_hours.map(|quiet| QuietV1 { start: quiet.start(), end: quiet.end() });
    let types = settings.guest_types.iter().map(|(name, rule)| (name.clone(), rule.into()));
    let document = DocumentV1 {
        version: VERSION,
        guests: (&settings.guests).into(),
        guest_types: types.collect(),
        administrators: (&settings.administrators).into(),
        network_users: (&settings.network_users).into(),
        quiet_hours: quiet,
    };
    let json = serde_json::to_string(&document).expect("texts and numbers always become JSON");
    Sensitive::from(json)
}

pub fn decode(content: &Sensitive) -> Result<ReminderSettings, NotReminders> {
    let document: DocumentV1 = serde_json::from_str(content.expose()).map_err(|error| {
        NotReminders(format!("line {}, column {}", error.line(), error.column()))
    })?;
    if document.version != VERSION {
        let problem = format!("version {} of its format; {VERSION} is known", document.version);
        return Err(NotReminders(problem));
    }
    let quiet = document.quiet_hours.map(|quiet| QuietHours::new(quiet.start, quiet.end));
    let types = document.guest_types.into_iter().map(|(name, rule)| (name, rule.into()));
    let settings = ReminderSettings {
        guests: document.guests.into(),
        guest_types: types.collect(),
        administrators: document.administrators.into(),
        network_users: document.network_users.into(),
        quiet_hours: quiet.transpose().map_err(|problem| NotReminders(problem.to_string()))?,
    };
    settings.check().map_err(|violations| NotReminders(violations.to_string()))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentV1 {
    version: u32,
    guests: RuleV1,
    guest_types: BTreeMap<String, RuleV1>,
    administrators: RuleV1,
    network_users: RuleV1,
    quiet_hours: Option<QuietV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleV1 {
    enabled: bool,
    stages: Vec<StageV1>,
    copy_to_sponsor: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StageV1 {
    before_s: u64,
    portal: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuietV1 {
    start: Time,
    end: Time,
}

impl From<&Rule> for RuleV1 {
    fn from(rule: &Rule) -> Self {
        let stages = rule.stages.iter().map(|stage| StageV1 {
            before_s: stage.before.as_secs(),
            portal: stage.portal.clone(),
        });
        Self {
            enabled: rule.is_enabled,
            stages: stages.collect(),
            copy_to_sponsor: rule.copy_to_sponsor,
        }
    }
}

impl From<RuleV1> for Rule {
    fn from(rule: RuleV1) -> Self {
        let stages = rule.stages.into_iter().map(|stage| Stage {
            before: Duration::from_secs(stage.before_s),
            portal: stage.portal,
        });
        Self {
            is_enabled: rule.enabled,
            stages: stages.collect(),
            copy_to_sponsor: rule.copy_to_sponsor,
        }
    }
}

#[cfg(test)]
mod tests;
