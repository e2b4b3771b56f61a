//! Submits: many jobs at once, a few rows each.

use std::collections::HashMap;

use nuncio_core::job::{Job, MailJobId, NewJob, RequestKey};
use nuncio_core::mail::Attachment;
use nuncio_core::ports::job_store::{SubmitError, Submitted};
use nuncio_core::trace::TraceParent;
use sqlx::{QueryBuilder, SqliteConnection};

use crate::rows::{self, unreadable, whole_us};
use crate::sqlite::advance::note_changes;
use crate::sqlite::read;
use crate::sqlite::writer::{
    Answer, Group, Lane, Op, Subject, TOGETHER_MAX, Transaction, in_powers_of_two,
};

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
        let known = known_requests(tx.connection, ops).await?;
        let known_of = |op: &Self| op.request.as_ref().and_then(|key| known.get(&pair(key)));
        let new: Vec<_> = ops.iter().copied().filter(|op| known_of(op).is_none()).collect();
        insert(tx, &new).await?;
        let standing: Vec<_> = known.values().map(|known| known.job).collect();
        let standing = read::jobs(tx.connection, &standing).await?;
        let answers = ops.iter().map(|op| match (known_of(op), &op.request) {
            (Some(known), Some(key)) if known.fingerprint != key.fingerprint => {
                Err(SubmitError::RequestIdReused { existing: known.job })
            }
            (Some(known), _) => Ok(Submitted::Existing(standing[&known.job].clone())),
            (None, _) => Ok(Submitted::New(op.job.clone())),
        });
        Ok(answers.collect())
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

async fn known_requests(
    connection: &mut SqliteConnection,
    ops: &[&Submit],
) -> sqlx::Result<HashMap<(String, String), Known>> {
    let keys: Vec<_> = ops.iter().filter_map(|op| op.request.as_ref()).map(pair).collect();
    let mut known = HashMap::new();
    for some in in_powers_of_two(&keys, TOGETHER_MAX) {
        let mut sql = QueryBuilder::new("WITH asked (caller, request_id) AS (");
        sql.push_values(some, |mut row, (caller, request_id)| {
            row.push_bind(caller).push_bind(request_id);
        });
        sql.push(
            ") SELECT caller, request_id, fingerprint, job \
             FROM asked CROSS JOIN request_keys USING (caller, request_id)",
        );
        let found: Vec<(String, String, Vec<u8>, Vec<u8>)> =
            sql.build_query_as().fetch_all(&mut *connection).await?;
        for (caller, request_id, fingerprint, job) in found {
            let job = rows::id_from(&job).map_err(unreadable)?;
            known.insert((caller, request_id), Known { fingerprint, job });
        }
    }
    Ok(known)
}

async fn insert(tx: &mut Transaction<'_>, new: &[&Submit]) -> sqlx::Result<()> {
    for some in in_powers_of_two(new, TOGETHER_MAX) {
        insert_jobs(tx.connection, some).await?;
        insert_mails(tx.connection, some).await?;
        insert_requests(tx.connection, some).await?;
    }
    for submit in new {
        for (place, file) in (0_i64..).zip(&submit.attachments) {
            insert_attachment(tx.connection, submit.job.id, place, file).await?;
        }
    }
    let ids: Vec<_> = new.iter().map(|submit| submit.job.id).collect();
    note_changes(tx, &ids).await
}

async fn insert_jobs(connection: &mut SqliteConnection, new: &[&Submit]) -> sqlx::Result<()> {
    let mut sql = QueryBuilder::new(
        "INSERT INTO mail_jobs (id, class, state, recipients, attempts, created_at_us, \
         updated_at_us, due_at_us, expires_at_us, message_id, labels, subject, template, \
         trace_parent) ",
    );
    sql.push_values(new, |mut row, Submit { job, recipients, labels, .. }| {
        row.push_bind(rows::id_to(job.id))
            .push_bind(job.class.name())
            .push_bind(job.state.name())
            .push_bind(recipients)
            .push_bind(job.attempts)
            .push_bind(job.created_at.as_microsecond())
            .push_bind(job.updated_at.as_microsecond())
            .push_bind(job.due_at.as_microsecond())
            .push_bind(job.expires_at.as_microsecond())
            .push_bind(&job.message_id)
            .push_bind(labels)
            .push_bind(&job.subject)
            .push_bind(job.template.as_deref())
            .push_bind(job.trace.as_ref().map(TraceParent::as_str));
    });
    sql.build().execute(connection).await.map(drop)
}

async fn insert_mails(connection: &mut SqliteConnection, new: &[&Submit]) -> sqlx::Result<()> {
    let mut sql = QueryBuilder::new("INSERT INTO mail_bodies (job, mail) ");
    sql.push_values(new, |mut row, submit| {
        row.push_bind(rows::id_to(submit.job.id)).push_bind(&submit.mail);
    });
    sql.build().execute(connection).await.map(drop)
}

async fn insert_requests(connection: &mut SqliteConnection, new: &[&Submit]) -> sqlx::Result<()> {
    let keyed = |submit: &&Submit| submit.request.clone().map(|key| (key, submit.job.id));
    let keyed: Vec<_> = new.iter().filter_map(keyed).collect();
    for some in in_powers_of_two(&keyed, TOGETHER_MAX) {
        let mut sql =
            QueryBuilder::new("INSERT INTO request_keys (caller, request_id, fingerprint, job) ");
        sql.push_values(some, |mut row, (key, job)| {
            row.push_bind(&key.caller.0)
                .push_bind(&key.request_id)
                .push_bind(key.fingerprint.as_slice())
                .push_bind(rows::id_to(*job));
        });
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert_attachment(
    connection: &mut SqliteConnection,
    job: MailJobId,
    place: i64,
    file: &Attachment,
) -> sqlx::Result<()> {
    let sql = "INSERT INTO mail_attachments (job, place, file_name, content_type, content) \
               VALUES (?, ?, ?, ?, ?)";
    let insert = sqlx::query(sql).bind(rows::id_to(job)).bind(place);
    let insert = insert.bind(&file.file_name).bind(&file.content_type).bind(&file.content);
    insert.execute(connection).await.map(drop)
}
