//! Mails that tell a guest of an access, as his record keeps them while they may wait.

use jiff::Timestamp;
use nuncio_core::job::MailJobId;
use serde::{Deserialize, Serialize};

/// The most that a record keeps; of more, the oldest are forgotten.
pub const MAILS_MAX: usize = 100;

/// A mail that must not go out once the access is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessMail {
    pub job: MailJobId,
    /// When the mail ends by itself.
    pub until: Timestamp,
}

/// As it is written down.
#[derive(Serialize, Deserialize)]
pub(crate) struct Written {
    job: String,
    until: Timestamp,
}

/// Those that may still wait, and these.
pub(crate) fn joined(
    kept: &[AccessMail],
    more: impl IntoIterator<Item = AccessMail>,
    now: Timestamp,
) -> Vec<AccessMail> {
    let mut all: Vec<_> = kept.iter().filter(|mail| now < mail.until).cloned().collect();
    all.extend(more);
    all.drain(..all.len().saturating_sub(MAILS_MAX));
    all
}

pub(crate) fn write(mails: &[AccessMail]) -> Vec<Written> {
    mails.iter().map(|mail| Written { job: mail.job.to_string(), until: mail.until }).collect()
}

/// One that cannot be read is as good as none: at worst a mail is not cancelled.
pub(crate) fn read(written: Vec<Written>) -> Vec<AccessMail> {
    let read = |mail: Written| Some(AccessMail { job: mail.job.parse().ok()?, until: mail.until });
    written.into_iter().filter_map(read).collect()
}
