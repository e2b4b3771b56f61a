//! Portal mail: notices, bulks, approvals, senders.

use std::sync::Arc;

use jiff::Timestamp;
use nuncio_core::class::MailClass;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::Submitted;
use nuncio_core::ports::records::{Changeset, CommitError, RecordStore};
use nuncio_core::ports::sealer::Sealers;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::settings::document::SettingsDocument;
use nuncio_core::settings::guest_mail::GuestMailSettings;
use nuncio_delivery::guest_mail;
use nuncio_delivery::intake::Intake;
use nuncio_delivery::senders::Senders;
use nuncio_directory::directory::Directory;

pub(crate) mod bulk;
pub(crate) mod errors;
pub(crate) mod keeper;
pub(crate) mod keys;
pub(crate) mod mailer;
pub(crate) mod notice;
pub(crate) mod requests;
pub(crate) mod service;

/// How often a call is decided anew because somebody else has written meanwhile.
pub(crate) const TRIES_MAX: u32 = 8;

/// What portal mail needs.
#[derive(Clone)]
pub struct Portal {
    pub intake: Intake,
    pub directory: Directory,
    pub settings: Arc<dyn SettingsShare>,
    pub senders: Senders,
    /// Seals passwords that wait for an approval.
    pub keys: Arc<dyn Sealers>,
    /// Where approvers reach the page of approvals, without a slash at the end; none means that there are no links.
    pub public_url: Option<String>,
}

impl Portal {
    pub(crate) fn now(&self) -> Timestamp {
        self.intake.clock.now()
    }

    pub(crate) fn records(&self) -> &dyn RecordStore {
        &*self.directory.records
    }

    pub(crate) fn guest_mail(&self) -> GuestMailSettings {
        guest_mail::present(&self.settings.document(SettingsDocument::GuestMail))
    }

    /// Commits, and counts the jobs that are new.
    pub(crate) async fn commit(&self, changes: Changeset) -> Result<(), CommitError> {
        let classes: Vec<MailClass> = changes.jobs.iter().map(|job| job.class).collect();
        let committed = self.records().commit(changes).await?;
        for (submitted, class) in committed.jobs.iter().zip(classes) {
            match submitted {
                Submitted::New(_) => self.intake.observer.job_accepted(class),
                Submitted::Existing(_) => {}
            }
        }
        self.tell_cancelled(&committed.cancelled).await;
        Ok(())
    }

    async fn tell_cancelled(&self, jobs: &[MailJobId]) {
        for id in jobs {
            if let Ok(Some(job)) = self.intake.store.get(*id).await {
                nuncio_delivery::observer::tell_ended(&*self.intake.observer, [&job]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
