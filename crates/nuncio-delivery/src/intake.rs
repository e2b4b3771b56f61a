//! Accepting mail jobs: check everything, then store, then say yes.

use std::sync::Arc;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::class::MailClass;
use nuncio_core::job::{CallerId, JobOptions, JobOptionsDraft, MailJobId, NewJob, RequestKey};
use nuncio_core::mail::{Mail, MailDraft, MailError};
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::job_store::{JobStore, StoreError, SubmitError, Submitted};
use nuncio_core::settings::SavedSmtpSettings;
use nuncio_core::template::Templates;
use nuncio_core::trace::TraceParent;
use nuncio_core::violation::Violations;
use tokio::sync::watch;

use crate::observer::{DeliveryObserver, tell_room};

/// The right side of a `Message-ID` while neither mail nor settings name a domain (RFC 2606).
const NO_DOMAIN: &str = "nuncio.invalid";

/// Accepts mail jobs for a role.
#[derive(Clone)]
pub struct Intake {
    pub store: Arc<dyn JobStore>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub observer: Arc<dyn DeliveryObserver>,
    pub settings: watch::Receiver<Option<Arc<SavedSmtpSettings>>>,
    /// The templates as this node knows them now.
    pub templates: watch::Receiver<Templates>,
}

/// What a caller gives.
pub struct Submission {
    pub mail: MailDraft,
    /// None means the class that fits the mail.
    pub class: Option<MailClass>,
    pub options: JobOptionsDraft,
    pub caller: CallerId,
    /// A digest of the whole request but its request id.
    pub fingerprint: [u8; 32],
    pub trace: Option<TraceParent>,
    /// What the caller of this function found wrong already.
    pub violations: Violations,
}

/// Why a job was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the mail job is not valid")]
    Invalid(Violations),
    #[error("template `{name}` does not exist; there are: {known}")]
    UnknownTemplate { name: String, known: String },
    #[error("request id was used for other content, by `{existing}`")]
    RequestIdReused { existing: MailJobId },
    #[error("the mail job could not be stored")]
    Store(#[source] StoreError),
}

impl Intake {
    /// Checks a submission and stores it. When it returns Ok the job is on disk.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, IntakeError> {
        let job = self.check(submission)?;
        let class = job.class;
        let submitted = self.store.submit(job).await;
        tell_room(&*self.observer, submitted.as_ref().err().and_then(SubmitError::store));
        let submitted = submitted.map_err(|error| match error {
            SubmitError::RequestIdReused { existing } => IntakeError::RequestIdReused { existing },
            SubmitError::Store(source) => IntakeError::Store(source),
        })?;
        match submitted {
            Submitted::New(_) => self.observer.job_accepted(class),
            Submitted::Existing(_) => {}
        }
        Ok(submitted)
    }

    /// Checks a submission and makes the job that would be stored.
    pub fn check(&self, submission: Submission) -> Result<NewJob, IntakeError> {
        let now = self.clock.now();
        let mut violations = submission.violations;
        let options = submission.options.check(now).map_err(|more| violations.append(more)).ok();
        let templates = self.templates.borrow().clone();
        let mail = match submission.mail.check(&templates) {
            Ok(mail) => Some(mail),
            Err(MailError::Invalid(more)) => {
                violations.append(more);
                None
            }
            Err(MailError::UnknownTemplate { name, known }) => {
                return Err(IntakeError::UnknownTemplate { name, known });
            }
        };
        let (Some(options), Some(mail), true) = (options, mail, violations.is_empty()) else {
            return Err(IntakeError::Invalid(violations));
        };
        let class = submission.class.unwrap_or_else(|| mail.default_class());
        let request = options.request_id.clone().map(|request_id| RequestKey {
            caller: submission.caller,
            request_id,
            fingerprint: submission.fingerprint,
        });
        Ok(self.new_job(mail, class, options, request, submission.trace, now))
    }

    fn new_job(
        &self,
        mail: Mail,
        class: MailClass,
        options: JobOptions,
        request: Option<RequestKey>,
        trace: Option<TraceParent>,
        now: Timestamp,
    ) -> NewJob {
        let id = MailJobId::new(now, self.entropy.id_bytes());
        let message_id = format!("<{}@{}>", id.as_uuid(), self.domain(&mail));
        let time_to_live = options.time_to_live.unwrap_or(class.time_to_live());
        NewJob {
            id,
            request,
            class,
            mail,
            message_id,
            created_at: now,
            due_at: options.due_at,
            expires_at: options.due_at + time_to_live,
            labels: options.labels,
            trace,
        }
    }

    fn domain(&self, mail: &Mail) -> String {
        let saved = self.settings.borrow();
        let ours = saved.as_ref().map(|saved| &saved.settings.email_address);
        let from = mail.from.as_ref().map(|from| &from.address).or(ours);
        // A domain that is not ASCII would need SMTPUTF8 for a header that no person reads.
        let domain = from.map(EmailAddress::domain).filter(|domain| domain.is_ascii());
        domain.unwrap_or(NO_DOMAIN).to_owned()
    }
}
