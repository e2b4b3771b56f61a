//! What the reminders note in the record of a subject.

use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::job::MailJobId;
use nuncio_core::reminder::Channel;
use nuncio_core::reminder::ledger::LedgerKey;
use nuncio_directory::notes::Notes;
use serde::{Deserialize, Serialize};
use tracing::warn;
use uuid::Uuid;

/// Mails that may still wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Noted {
    /// Made for the present expiry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) open: Vec<NotedMail>,
    /// Cancelled by a change of the subject, before or after they went out: somebody has to look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) recheck: Vec<NotedMail>,
}

/// A mail that was made for a place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotedMail {
    job: Uuid,
    expires_at: Timestamp,
    before_s: u64,
    to_sponsor: bool,
}

impl Noted {
    /// Notes that cannot be read are as good as none: at worst a mail is not cancelled.
    pub(crate) fn read(notes: Option<&Notes>) -> Self {
        let read = notes.map(Notes::read).transpose().unwrap_or_else(|problem| {
            warn!("notes of sent reminders are taken for none: {problem}");
            None
        });
        read.unwrap_or_default()
    }

    pub(crate) fn write(&self) -> Option<Notes> {
        let is_empty = self.open.is_empty() && self.recheck.is_empty();
        (!is_empty).then(|| Notes::new(self))
    }
}

impl NotedMail {
    pub(crate) fn new(job: MailJobId, place: &LedgerKey) -> Self {
        Self {
            job: job.as_uuid(),
            expires_at: place.expires_at,
            before_s: place.before.as_secs(),
            to_sponsor: match place.channel {
                Channel::Subject => false,
                Channel::Sponsor => true,
            },
        }
    }

    pub(crate) fn job(&self) -> MailJobId {
        MailJobId::from(self.job)
    }

    pub(crate) fn channel(&self) -> Channel {
        if self.to_sponsor { Channel::Sponsor } else { Channel::Subject }
    }

    /// Its place in the ledger of this subject.
    pub(crate) fn place(&self, subject: &str) -> LedgerKey {
        LedgerKey {
            subject: subject.to_owned(),
            expires_at: self.expires_at,
            before: Duration::from_secs(self.before_s),
            channel: self.channel(),
        }
    }
}
