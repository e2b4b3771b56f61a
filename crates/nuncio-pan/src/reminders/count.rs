//! How many reminders would go out at once.

use nuncio_core::directory::guest::Guest;
use nuncio_core::directory::user::User;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::RecordQuery;
use nuncio_core::reminder::decide::decide;
use nuncio_core::reminder::rules::ReminderSettings;

use super::Reminders;
use super::remindable::Remindable;
use super::round::read_all;

/// How many subjects are in memory at once.
const PAGE: u32 = 1000;

impl Reminders {
    /// How many reminders are due now by these settings and not sent, those included that wait for the end of
    /// quiet hours. It looks at everybody.
    pub(crate) async fn due_at_once(&self, settings: &ReminderSettings) -> Result<u64, StoreError> {
        let settings = ReminderSettings { quiet_hours: None, ..settings.clone() };
        if settings.rules().all(|(_, rule)| !rule.is_enabled) {
            return Ok(0);
        }
        Ok(self.due_of::<Guest>(&settings).await? + self.due_of::<User>(&settings).await?)
    }

    async fn due_of<S: Remindable>(&self, settings: &ReminderSettings) -> Result<u64, StoreError> {
        let now = self.intake.clock.now();
        let (mut after, mut due) = (None, 0);
        loop {
            let query = RecordQuery { kind: S::KIND, owner: None, after, limit: PAGE };
            let page = self.records.list_records(&query).await?;
            let entries = read_all::<S>(&page);
            let taken = self.taken(&entries, settings, now).await?;
            for (entry, taken) in entries.iter().zip(&taken) {
                due += decide(&entry.subject.view(), settings, taken, now).send.len() as u64;
            }
            if page.len() < PAGE as usize {
                return Ok(due);
            }
            after = page.last().map(|last| last.key.id.clone());
        }
    }
}
