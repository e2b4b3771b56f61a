//! Submits: many jobs at once, a few rows each.

use std::collections::{HashMap, HashSet};

use nuncio_core::job::{Job, MailJobId, NewJob, RequestKey};
use nuncio_core::mail::Attachment;
use nuncio_core::ports::job_store::{SubmitError, Submitted};
use nuncio_core::trace::TraceParent;
use sqlx::Error;

use crate::postgres::read;
use crate::postgres::text::storable;
use crate::postgres::writer::{Answer, Group, Lane, Op, Subject, TOGETHER_MAX, Transaction};
use crate::rows::{self, unreadable, whole_us};

/// A job to be stored, written down as far as that goes without the database.
pub(super) struct Submit {
    job: Job,
    request: Option<RequestKey>,
    recipients: String,
    labels: String,
    mail: String,
    attachments: Vec<Attachment>,
}

impl From<NewJob> for Submit {
    fn from(new: NewJob) -> Self {
        let job = Job::submitted(&new);
        let job = Job {
            created_at: whole_us(job.created_at),
            updated_at: whole_us(job.updated_at),
            due_at: whole_us(job.due_at),
            expires_at: whole_us(job.expires_at),
            ..job
        };
        Self {
            recipients: rows::recipients_to(&job.recipients),
            labels: rows::labels_to(&job.labels),
            mail: rows::mail_to(&new.mail),
            attachments: new.mail.attachments,
            request: new.request,
            job,
        }
    }
}

impl Op for Submit {
    type Out = Submitted;
    type Refusal = SubmitError;

    const TOGETHER_MAX: usize = TOGETHER_MAX;

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

    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let known = claim_requests(tx, ops).await?;
        let known_of = |op: &Self| op.request.as_ref().and_then(|key| known.get(&pair(key)));
        let new: Vec<_> = ops.iter().copied().filter(|op| known_of(op).is_none()).collect();
        insert(tx, &new).await?;
        let standing: Vec<_> = known.values().map(|known| known.job).collect();
        let standing = read::jobs(tx.connection, &standing).await?;
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
struct Known {
    fingerprint: Vec<u8>,
    job: MailJobId,
}

fn pair(key: &RequestKey) -> (String, String) {
    (key.caller.0.clone(), key.request_id.clone())
}

/// Claims the request ids for these jobs, and gives those that others had before.
///
/// Whoever claims the same one at the same time waits here until it is known who gets it. They are claimed in
/// their order, so that two nodes do not wait for each other.
async fn claim_requests(
    tx: &mut Transaction<'_>,
    ops: &[&Submit],
) -> sqlx::Result<HashMap<(String, String), Known>> {
    let mut keyed: Vec<_> =
        ops.iter().filter_map(|op| op.request.as_ref().map(|key| (key, op.job.id))).collect();
    if keyed.is_empty() {
        return Ok(HashMap::new());
    }
    keyed.sort_by(|(a, _), (b, _)| (&a.caller.0, &a.request_id).cmp(&(&b.caller.0, &b.request_id)));
    let callers: Vec<_> = keyed.iter().map(|(key, _)| key.caller.0.as_str()).collect();
    let request_ids: Vec<_> = keyed.iter().map(|(key, _)| key.request_id.as_str()).collect();
    let sql = "INSERT INTO request_keys (caller, request_id, fingerprint, job) \
               SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BYTEA[], $4::BYTEA[]) \
               ON CONFLICT DO NOTHING RETURNING job";
    let claimed: Vec<Vec<u8>> = sqlx::query_scalar(sql)
        .bind(&callers)
        .bind(&request_ids)
        .bind(keyed.iter().map(|(key, _)| key.fingerprint.as_slice()).collect::<Vec<_>>())
        .bind(keyed.iter().map(|(_, job)| rows::id_to(*job)).collect::<Vec<_>>())
        .fetch_all(&mut *tx.connection)
        .await?;
    if claimed.len() == keyed.len() {
        return Ok(HashMap::new());
    }
    let claimed: HashSet<_> = claimed.into_iter().collect();
    let sql = "SELECT caller, request_id, fingerprint, job FROM request_keys \
               WHERE (caller, request_id) IN (SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[]))";
    let found: Vec<(String, String, Vec<u8>, Vec<u8>)> = sqlx::query_as(sql)
        .bind(&callers)
        .bind(&request_ids)
        .fetch_all(&mut *tx.connection)
        .await?;
    let mut known = HashMap::new();
    for (caller, request_id, fingerprint, job) in found {
        if !claimed.contains(&job) {
            let job = rows::id_from(&job).map_err(unreadable)?;
            known.insert((caller, request_id), Known { fingerprint, job });
        }
    }
    if known.len() + claimed.len() < keyed.len() {
        // Its job was pruned in between.
        return Err(Error::RowNotFound);
    }
    Ok(known)
}

async fn insert(tx: &mut Transaction<'_>, new: &[&Submit]) -> sqlx::Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    insert_jobs(tx, new).await?;
    let sql = "INSERT INTO mail_bodies (job, mail) SELECT * FROM UNNEST($1::BYTEA[], $2::TEXT[])";
    sqlx::query(sql)
        .bind(new.iter().map(|submit| rows::id_to(submit.job.id)).collect::<Vec<_>>())
        .bind(new.iter().map(|submit| submit.mail.as_str()).collect::<Vec<_>>())
        .execute(&mut *tx.connection)
        .await?;
    for submit in new {
        for (place, file) in (0_i64..).zip(&submit.attachments) {
            insert_attachment(tx, submit.job.id, place, file).await?;
        }
        tx.pending.new_job(&submit.job);
    }
    Ok(())
}

async fn insert_jobs(tx: &mut Transaction<'_>, new: &[&Submit]) -> sqlx::Result<()> {
    let sql = "INSERT INTO mail_jobs (id, class, state, recipients, attempts, created_at_us, \
         updated_at_us, due_at_us, expires_at_us, message_id, labels, subject, template, trace_parent) \
         SELECT * FROM UNNEST($1::BYTEA[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[], \
         $6::BIGINT[], $7::BIGINT[], $8::BIGINT[], $9::BIGINT[], $10::TEXT[], $11::TEXT[], $12::TEXT[], \
         $13::TEXT[], $14::TEXT[])";
    let jobs = || new.iter().map(|submit| &submit.job);
    let traces = jobs().map(|job| job.trace.as_ref().map(TraceParent::as_str));
    sqlx::query(sql)
        .bind(jobs().map(|job| rows::id_to(job.id)).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.class.name()).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.state.name()).collect::<Vec<_>>())
        .bind(new.iter().map(|submit| submit.recipients.as_str()).collect::<Vec<_>>())
        .bind(jobs().map(|job| i64::from(job.attempts)).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.created_at.as_microsecond()).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.updated_at.as_microsecond()).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.due_at.as_microsecond()).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.expires_at.as_microsecond()).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.message_id.as_str()).collect::<Vec<_>>())
        .bind(new.iter().map(|submit| submit.labels.as_str()).collect::<Vec<_>>())
        .bind(jobs().map(|job| storable(&job.subject)).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.template.as_deref()).collect::<Vec<_>>())
        .bind(traces.collect::<Vec<_>>())
        .execute(&mut *tx.connection)
        .await
        .map(drop)
}

async fn insert_attachment(
    tx: &mut Transaction<'_>,
    job: MailJobId,
    place: i64,
    file: &Attachment,
) -> sqlx::Result<()> {
    let sql = "INSERT INTO mail_attachments (job, place, file_name, content_type, content) \
               VALUES ($1, $2, $3, $4, $5)";
    let insert = sqlx::query(sql).bind(rows::id_to(job)).bind(place);
    let insert = insert.bind(storable(&file.file_name)).bind(storable(&file.content_type));
    insert.bind(&file.content).execute(&mut *tx.connection).await.map(drop)
}
