//! The mail of a reminder.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::class::MailClass;
use nuncio_core::job::{CallerId, JobOptionsDraft, NewJob};
use nuncio_core::mail::{ContentDraft, MailDraft, MailboxDraft};
use nuncio_core::reminder::decide::Due;
use nuncio_core::settings::guest_mail::GuestMailSettings;
use nuncio_core::trace::TraceParent;
use nuncio_core::violation::Violations;
use nuncio_delivery::intake::{IntakeError, Submission};
use nuncio_runtime::chain::Chain;
use tracing::warn;

use super::Reminders;
use super::remindable::Remindable;

/// The label of a reminder's job that names whom it is about.
pub(crate) const SUBJECT_LABEL: &str = "reminder";

impl Reminders {
    /// Makes the job of a reminder. A language that is none costs nobody a reminder: then it is the first one.
    pub(crate) fn job<S: Remindable>(
        &self,
        subject: &S,
        due: &Due,
        guest_mail: &GuestMailSettings,
        now: Timestamp,
        trace: Option<&TraceParent>,
    ) -> Result<NewJob, IntakeError> {
        let make = |locale: &str| {
            let mut submission = submission(subject, due, locale, now);
            let mut senders = subject.senders(due.key.channel, guest_mail).into_iter();
            let first = senders.next();
            let (from, reply_to) = first.map_or((None, None), |one| (one.from, one.reply_to));
            submission.trace = trace.cloned();
            submission.mail.from = from.map(MailboxDraft::from);
            submission.mail.reply_to = reply_to.map(MailboxDraft::from);
            submission.mail.other_senders = senders.collect();
            self.intake.check(submission)
        };
        make(subject.language()).or_else(|error| {
            warn!("a reminder goes out in the first language: {}", Chain(&error));
            make("")
        })
    }
}

fn submission<S: Remindable>(subject: &S, due: &Due, locale: &str, now: Timestamp) -> Submission {
    let content = ContentDraft::Template {
        name: S::template(due.key.channel).to_owned(),
        portal: due.stage.portal.clone().unwrap_or_default(),
        variables: subject.variables(now),
        locale: locale.to_owned(),
    };
    let to = subject.recipient(due.key.channel).into_iter().collect();
    let left = Duration::try_from(due.key.expires_at.duration_since(now)).unwrap_or_default();
    Submission {
        mail: MailDraft { to, content: Some(content), ..MailDraft::default() },
        class: Some(MailClass::Reminder),
        options: JobOptionsDraft {
            // Who has lost the access needs no warning.
            time_to_live: Some(left.min(MailClass::Reminder.time_to_live())),
            labels: BTreeMap::from([(SUBJECT_LABEL.to_owned(), due.key.subject.clone())]),
            ..JobOptionsDraft::default()
        },
        caller: CallerId("reminders".to_owned()),
        fingerprint: [0; 32],
        trace: None,
        violations: Violations::default(),
    }
}
