//! Submits: many jobs at once, a few rows each.

use std::collections::HashMap;
use std::sync::Arc;

use nuncio_core::job::{Job, MailJobId, NewJob, RequestKey};
use nuncio_core::mail::Attachment;
use nuncio_core::ports::job_store::{SubmitError, Submitted};
use nuncio_core::ports::sealer::Sealer;
use sqlx::{Error, FromRow};

use crate::rows::{self, RowError, whole_us};
use crate::seal;
use crate::write::engine::Engine;
use crate::write::group::{Answer, Group, Lane, Op, Subject};

/// A job to be stored, written down as far as that goes without the database.
pub(crate) struct Submit {
    pub(crate) job: Job,
    pub(crate) request: Option<RequestKey>,
    pub(crate) recipients: String,
    pub(crate) labels: String,
    /// Sealed.
    pub(crate) mail: Vec<u8>,
    /// Their contents are sealed.
    pub(crate) attachments: Vec<Attachment>,
    /// What has sealed them: held until they are stored or given up.
    _sealer: Arc<dyn Sealer>,
}

impl Submit {
    /// Seals the mail: that is the caller's work, as the writers have enough to do.
    pub(crate) fn new(new: NewJob, sealer: Arc<dyn Sealer>) -> Self {
        let job = Job::submitted(&new);
        let job = Job {
            created_at: whole_us(job.created_at),
            updated_at: whole_us(job.updated_at),
            due_at: whole_us(job.due_at),
            expires_at: whole_us(job.expires_at),
            ..job
        };
        let mail = seal::seal_mail(&*sealer, job.id, &rows::mail_to(&new.mail));
        let files = (0..).zip(new.mail.attachments).map(|(place, file)| Attachment {
            content: seal::seal_attachment(&*sealer, job.id, place, &file.content),
            ..file
        });
        Self {
            recipients: rows::recipients_to(&job.recipients),
            labels: rows::labels_to(&job.labels),
            mail,
            attachments: files.collect(),
            request: new.request,
            job,
            _sealer: sealer,
        }
    }

    /// Whether its request is none of these.
    pub(crate) fn is_new(&self, known: &HashMap<RequestName, Known>) -> bool {
        self.request.as_ref().is_none_or(|key| !known.contains_key(&request_name(key)))
    }
}

impl Op for Submit {
    type Out = Submitted;
    type Refusal = SubmitError;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.submits
    }

    fn subjects(&self) -> Vec<Subject> {
        let request = self.request.as_ref();
        let request =
            request.map(|key| Subject::Request(key.caller.clone(), key.request_id.clone()));
        request.into_iter().chain([Subject::Job(self.job.id)]).collect()
    }

    fn bytes(&self) -> usize {
        let files: usize = self.attachments.iter().map(|file| file.content.len()).sum();
        self.mail.len() + self.recipients.len() + files
    }

    async fn run<E: Engine>(engine: &mut E, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let known = engine.submit(ops).await?;
        let standing: Vec<_> = known.values().map(|known| known.job).collect();
        let standing = match standing.as_slice() {
            [] => HashMap::new(),
            some => engine.jobs(some).await?,
        };
        let known_of =
            |op: &Self| op.request.as_ref().and_then(|key| known.get(&request_name(key)));
        let mut answers = Vec::with_capacity(ops.len());
        for op in ops {
            answers.push(match (known_of(op), &op.request) {
                (Some(known), Some(key)) if known.fingerprint != key.fingerprint => {
                    Err(SubmitError::RequestIdReused { existing: known.job })
                }
                (Some(known), _) => {
                    let job = standing.get(&known.job).ok_or(Error::RowNotFound)?;
                    Ok(Submitted::Existing(job.clone()))
                }
                (None, _) => Ok(Submitted::New(op.job.clone())),
            });
        }
        Ok(answers)
    }
}

/// A request that was stored before.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) job: MailJobId,
}

/// A caller and its request id.
pub(crate) type RequestName = (String, String);

pub(crate) fn request_name(key: &RequestKey) -> RequestName {
    (key.caller.0.clone(), key.request_id.clone())
}

/// A row of the table of requests.
#[derive(FromRow)]
pub(crate) struct KnownRow {
    caller: String,
    request_id: String,
    fingerprint: Vec<u8>,
    pub(crate) job: Vec<u8>,
}

pub(crate) fn known_from(rows: Vec<KnownRow>) -> Result<HashMap<RequestName, Known>, RowError> {
    let known = rows.into_iter().map(|row| {
        let known = Known { fingerprint: row.fingerprint, job: rows::id_from(&row.job)? };
        Ok(((row.caller, row.request_id), known))
    });
    known.collect()
}
