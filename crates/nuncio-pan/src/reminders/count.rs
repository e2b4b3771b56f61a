//! How many reminders would go out at once.

use nuncio_core::directory::guest::Guest;
use nuncio_core::directory::user::User;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::RecordQuery;
use nuncio_core::reminder::decide::decide;
use nuncio_core::reminder::rules::ReminderSettings;

use super::remindable::Remindable;
use super::round::read_all;
use super::{InForce, Reminders};

/// How many subjects are in memory at once.
const PAGE: u32 = 1000;

impl Reminders {
    /// How many reminders are due now by these settings and not sent, those included that wait for the end of
    /// quiet hours. It looks at everybody.
    pub(crate) async fn due_at_once(&self, settings: &ReminderSettings) -> Result<u64, StoreError> {
        let in_force = InForce { reminders: settings.clone(), ..self.in_force() };
        let guests = self.due_of::<Guest>(&in_force).await?;
        Ok(guests + self.due_of::<User>(&in_force).await?)
    }

    /// The same of guests, by the saved settings, if mail to guests were switched on.
    pub(crate) async fn guests_due_at_once(&self) -> Result<u64, StoreError> {
        let mut in_force = self.in_force();
        in_force.guest_mail.is_enabled = true;
        self.due_of::<Guest>(&in_force).await
    }

    async fn due_of<S: Remindable>(&self, in_force: &InForce) -> Result<u64, StoreError> {
        let mut in_force = in_force.clone();
        in_force.reminders.quiet_hours = None;
        if in_force.reminders.rules().all(|(_, rule)| !rule.is_enabled) {
            return Ok(0);
        }
        let now = self.intake.clock.now();
        let (mut after, mut due) = (None, 0);
        loop {
            let query = RecordQuery { kind: S::KIND, owner: None, after, limit: PAGE };
            let page = self.records.list_records(&query).await?;
            let entries = read_all::<S>(&page);
            let taken = self.taken(&entries, &in_force, now).await?;
            for (entry, taken) in entries.iter().zip(&taken) {
                let view = in_force.view(&entry.subject);
                due += decide(&view, &in_force.reminders, taken, now).send.len() as u64;
            }
            if page.len() < PAGE as usize {
                return Ok(due);
            }
            after = page.last().map(|last| last.key.id.clone());
        }
    }
}
