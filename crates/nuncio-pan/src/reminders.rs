//! Reminders: looks at whoever is due, and writes what follows in one transaction.
//!
//! What is decided is decided in `nuncio_core::reminder`; here is the I/O around it. Two that run at once double
//! nothing: each commit names the version of the subject's record and takes places in the ledger that must be free.

mod commit;
mod count;
pub mod document;
pub mod follow_up;
mod in_force;
pub mod ledger;
mod mail;
mod notes;
mod observer;
mod prune;
pub(crate) mod remindable;
pub(crate) mod round;
mod sweep;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::directory::guest::Guest;
use nuncio_core::directory::user::User;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::RecordStore;
use nuncio_core::settings::document::SavedDocument;
use nuncio_delivery::guest_mail;
use nuncio_delivery::intake::Intake;
use nuncio_directory::subject::{GUESTS, USERS};
use nuncio_runtime::chain::Chain;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub(crate) use in_force::InForce;
pub use observer::ReminderObserver;

/// The longest time between two rounds: a machine that was asleep, or another node's write, is noticed then.
const ROUND_PERIOD: Duration = Duration::from_mins(1);
/// The shortest time between two rounds, so that an import of a million rows makes no million rounds.
const ROUND_PAUSE: Duration = Duration::from_secs(1);

/// Looks at guests and users when it is time. It builds none of what it needs, so a test can bring its own.
#[derive(Clone)]
pub struct Reminders {
    pub records: Arc<dyn RecordStore>,
    /// Makes the mails; its store keeps them.
    pub intake: Intake,
    pub settings: watch::Receiver<Option<Arc<SavedDocument>>>,
    /// Reminders of guests obey it: switched on, and from whom they are.
    pub guest_mail: watch::Receiver<Option<Arc<SavedDocument>>>,
    pub observer: Arc<dyn ReminderObserver>,
}

impl Reminders {
    /// Sends what is due until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut records = self.records.records_changed();
        let mut settings = self.settings.clone();
        while !stop.is_cancelled() {
            records.mark_unchanged();
            settings.mark_unchanged();
            let next_look = Instant::now() + self.round_and_wait().await;
            if stop.run_until_cancelled(sleep(ROUND_PAUSE)).await.is_none() {
                break;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleep_until(next_look) => {}
                Ok(()) = records.changed() => {}
                Ok(()) = settings.changed() => {}
            }
        }
        Ok(())
    }

    /// Keeps the times of the next look in step with the settings, and the ledger small, until `stop` is cancelled.
    pub async fn keep_house(self, stop: CancellationToken) -> Result<(), Infallible> {
        let (mut settings, mut guest_mail) = (self.settings.clone(), self.guest_mail.clone());
        while !stop.is_cancelled() {
            settings.mark_unchanged();
            guest_mail.mark_unchanged();
            let kept = async {
                self.sweep::<Guest>().await?;
                self.sweep::<User>().await?;
                self.prune().await
            };
            match stop.run_until_cancelled(kept).await {
                None | Some(Ok(())) => {}
                Some(Err(error)) => warn!("reminders are not in order yet: {}", Chain(&error)),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleep(ROUND_PERIOD) => {}
                Ok(()) = settings.changed() => {}
                Ok(()) = guest_mail.changed() => {}
            }
        }
        Ok(())
    }

    /// One round; gives how long nothing is due then.
    async fn round_and_wait(&self) -> Duration {
        match self.round().await {
            Ok(next) => {
                let now = self.intake.clock.now();
                let wait = next.map_or(ROUND_PERIOD, |next| {
                    Duration::try_from(next.duration_since(now)).unwrap_or_default()
                });
                wait.clamp(ROUND_PAUSE, ROUND_PERIOD)
            }
            Err(error) => {
                warn!("reminders must wait: {}", Chain(&error));
                ROUND_PERIOD
            }
        }
    }

    /// Does everything that is due now; gives when the next is due.
    pub async fn round(&self) -> Result<Option<Timestamp>, StoreError> {
        let failed = self.round_of::<Guest>().await? + self.round_of::<User>().await?;
        if failed > 0 {
            // They stay due: asking for the next one would give them.
            return Ok(None);
        }
        let guest = self.records.next_due_record(GUESTS).await?;
        let user = self.records.next_due_record(USERS).await?;
        Ok(guest.into_iter().chain(user).min())
    }

    /// The settings as they count now. Those that cannot be read are as good as off; the document's reader says so.
    fn in_force(&self) -> InForce {
        InForce {
            reminders: document::present(&self.settings),
            guest_mail: guest_mail::present(&self.guest_mail),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
