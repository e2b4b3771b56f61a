//! What is read from the store.

use std::collections::HashMap;

use jiff::Timestamp;
use nuncio_core::job::{Attempt, Job, JobState, MailJobId};
use nuncio_core::mail::{Attachment, Mail};
use nuncio_core::ports::job_store::{
    Backlog, Change, ChangeSeq, JobPage, JobQuery, Lease, MailboxUsage, USAGE_EXACT, USAGE_PERIOD,
    USAGE_STEP,
};
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use crate::rows::{self, AttemptRow, JobRow, UsageRow, readable, unreadable};
use crate::sqlite::writer::{TOGETHER_MAX, in_powers_of_two};

/// The columns of a [`JobRow`].
macro_rules! job_columns {
    () => {
        "id, class, state, reason, recipients, results, attempts, created_at_us, updated_at_us, \
         due_at_us, expires_at_us, message_id, labels, subject, template, settings_generation, \
         trace_parent"
    };
}
pub(super) use job_columns;

/// The condition of the indexes over waiting jobs, word for word: else SQLite does not use them.
macro_rules! waiting {
    () => {
        "state IN ('QUEUED', 'DEFERRED', 'HELD')"
    };
}
pub(super) use waiting;

/// The condition of the index over ended jobs, word for word.
macro_rules! ended {
    () => {
        "state IN ('SENT', 'FAILED', 'EXPIRED', 'CANCELLED', 'UNKNOWN')"
    };
}
pub(super) use ended;

#[derive(FromRow)]
struct ChangeRow {
    seq: i64,
    #[sqlx(flatten)]
    job: JobRow,
}

#[derive(FromRow)]
struct AttachmentRow {
    job: Vec<u8>,
    file_name: String,
    content_type: String,
    content: Vec<u8>,
}

pub(super) async fn job(readers: &SqlitePool, id: MailJobId) -> sqlx::Result<Option<Job>> {
    let sql = concat!("SELECT ", job_columns!(), " FROM mail_jobs WHERE id = ?");
    let row: Option<JobRow> =
        sqlx::query_as(sql).bind(rows::id_to(id)).fetch_optional(readers).await?;
    row.map(Job::try_from).transpose().map_err(unreadable)
}

/// The jobs with these ids.
pub(super) async fn jobs(
    connection: &mut SqliteConnection,
    ids: &[MailJobId],
) -> sqlx::Result<HashMap<MailJobId, Job>> {
    let mut jobs = HashMap::with_capacity(ids.len());
    for some in in_powers_of_two(ids, TOGETHER_MAX) {
        let sql = concat!("SELECT ", job_columns!(), " FROM mail_jobs WHERE id IN ");
        let mut sql = QueryBuilder::new(sql);
        push_ids(&mut sql, some);
        let rows: Vec<JobRow> = sql.build_query_as().fetch_all(&mut *connection).await?;
        for row in rows {
            let job = Job::try_from(row).map_err(unreadable)?;
            jobs.insert(job.id, job);
        }
    }
    Ok(jobs)
}

pub(super) async fn attempts(
    readers: &SqlitePool,
    id: MailJobId,
    limit: u32,
) -> sqlx::Result<Vec<Attempt>> {
    let sql = "SELECT started_at_us, ended_at_us, outcome, detail, counted, mailbox, recipients \
               FROM mail_attempts \
               WHERE job = ? ORDER BY seq DESC LIMIT ?";
    let last: Vec<AttemptRow> =
        sqlx::query_as(sql).bind(rows::id_to(id)).bind(limit).fetch_all(readers).await?;
    last.into_iter().rev().map(|row| Attempt::try_from(row).map_err(unreadable)).collect()
}

/// The last step ends before what is told exactly, so that no sum is told with a moment that is to come.
pub(super) async fn usage(readers: &SqlitePool, now: Timestamp) -> sqlx::Result<Vec<MailboxUsage>> {
    let sql = "SELECT mailbox, CASE WHEN ended_at_us > ?2 THEN ended_at_us \
               ELSE ?2 - (?2 - ended_at_us) / ?3 * ?3 END AS told_at_us, \
               COUNT(*) AS messages, SUM(recipients) AS recipients \
               FROM mail_attempts WHERE recipients IS NOT NULL AND ended_at_us > ?1 \
               GROUP BY mailbox, told_at_us ORDER BY told_at_us, mailbox";
    let found: Vec<UsageRow> = sqlx::query_as(sql)
        .bind((now - USAGE_PERIOD).as_microsecond())
        .bind((now - USAGE_EXACT).as_microsecond())
        .bind(i64::try_from(USAGE_STEP.as_micros()).expect("it is some minutes"))
        .fetch_all(readers)
        .await?;
    found.into_iter().map(|row| MailboxUsage::try_from(row).map_err(unreadable)).collect()
}

pub(super) async fn list(readers: &SqlitePool, query: &JobQuery) -> sqlx::Result<JobPage> {
    let stop = stop_of(readers, query).await?;
    let sql = concat!("SELECT ", job_columns!(), " FROM mail_jobs WHERE TRUE");
    let mut sql = QueryBuilder::<Sqlite>::new(sql);
    push_range(&mut sql, query);
    if let Some(stop) = stop {
        sql.push(" AND id >= ").push_bind(rows::id_to(stop));
    }
    push_filter(&mut sql, query);
    // One more than the page tells whether there is another page.
    sql.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(query.limit) + 1);
    let mut found: Vec<JobRow> = sql.build_query_as().fetch_all(readers).await?;
    let limit = usize::try_from(query.limit).expect("a usize has at least 32 bits");
    let more = limit < found.len();
    found.truncate(limit);
    let last = found.last().filter(|_| more).map(|row| rows::id_from(&row.id));
    let next = last.transpose().map_err(unreadable)?.or(stop);
    let jobs = found.into_iter().filter_map(|row| {
        let id = row.id.clone();
        readable(&id, Job::try_from(row))
    });
    Ok(JobPage { jobs: jobs.filter(|job| query.fits(job)).collect(), next })
}

/// The last job that a query may look at, if there are more: found in the index of ids alone.
async fn stop_of(readers: &SqlitePool, query: &JobQuery) -> sqlx::Result<Option<MailJobId>> {
    let Some(most) = query.examine_max.filter(|_| query.has_filter()) else { return Ok(None) };
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT id FROM mail_jobs WHERE TRUE");
    push_range(&mut sql, query);
    sql.push(" ORDER BY id DESC LIMIT 2 OFFSET ").push_bind(i64::from(most.max(1)) - 1);
    let last_and_next: Vec<Vec<u8>> = sql.build_query_scalar().fetch_all(readers).await?;
    match last_and_next.as_slice() {
        [last, _next] => rows::id_from(last).map(Some).map_err(unreadable),
        _ => Ok(None),
    }
}

fn push_range(sql: &mut QueryBuilder<Sqlite>, query: &JobQuery) {
    if let Some(before) = query.before {
        sql.push(" AND id < ").push_bind(rows::id_to(before));
    }
    if let Some(from) = query.from {
        sql.push(" AND id >= ").push_bind(rows::id_to(from));
    }
}

/// Recipients and labels are looked for in their JSON as it is written: no other text has its quotes.
fn push_filter(sql: &mut QueryBuilder<Sqlite>, query: &JobQuery) {
    if !query.states.is_empty() {
        let names = query.states.iter().map(|state| (state.name(),));
        sql.push(" AND state IN ").push_tuples(names, |mut tuple, (name,)| {
            tuple.push_bind(name);
        });
    }
    if !query.classes.is_empty() {
        let names = query.classes.iter().map(|class| (class.name(),));
        sql.push(" AND class IN ").push_tuples(names, |mut tuple, (name,)| {
            tuple.push_bind(name);
        });
    }
    if let Some(address) = &query.recipient {
        sql.push(" AND instr(recipients, ")
            .push_bind(rows::recipient_needle(address))
            .push(") > 0");
    }
    for (key, value) in &query.labels {
        sql.push(" AND instr(labels, ").push_bind(rows::label_needle(key, value)).push(") > 0");
    }
}

/// The mails of leased jobs, but for those that have ended meanwhile or cannot be read.
pub(super) async fn mails(
    readers: &SqlitePool,
    leased: &[(Lease, Job)],
) -> sqlx::Result<HashMap<MailJobId, Mail>> {
    let ids: Vec<_> = leased.iter().map(|(lease, _)| lease.job).collect();
    let mut mails = HashMap::with_capacity(ids.len());
    for some in in_powers_of_two(&ids, TOGETHER_MAX) {
        // One transaction, so that mails and attachments fit together.
        let mut tx = readers.begin().await?;
        let mut sql = QueryBuilder::new("SELECT job, mail FROM mail_bodies WHERE job IN ");
        push_ids(&mut sql, some);
        let bodies: Vec<(Vec<u8>, String)> = sql.build_query_as().fetch_all(&mut *tx).await?;
        let mut sql = QueryBuilder::new(
            "SELECT job, file_name, content_type, content FROM mail_attachments WHERE job IN ",
        );
        push_ids(&mut sql, some);
        sql.push(" ORDER BY job, place");
        let files: Vec<AttachmentRow> = sql.build_query_as().fetch_all(&mut *tx).await?;
        tx.rollback().await?;
        let mut files_of: HashMap<Vec<u8>, Vec<Attachment>> = HashMap::new();
        for AttachmentRow { job, file_name, content_type, content } in files {
            let file = Attachment { file_name, content_type, content };
            files_of.entry(job).or_default().push(file);
        }
        for (job, mail) in bodies {
            let files = files_of.remove(&job).unwrap_or_default();
            if let Some(mail) = readable(&job, rows::mail_from(&mail, files)) {
                mails.insert(rows::id_from(&job).map_err(unreadable)?, mail);
            }
        }
    }
    Ok(mails)
}

pub(super) async fn next_due(readers: &SqlitePool) -> sqlx::Result<Option<Timestamp>> {
    // One look into the index for each class, not one at each job.
    let sql = concat!(
        "WITH classes (name) AS (VALUES ('alarm-critical'), ('credentials'), ('approval'), \
         ('alarm'), ('reminder'), ('bulk')) \
         SELECT MIN((SELECT due_at_us FROM mail_jobs WHERE ",
        waiting!(),
        " AND class = classes.name ORDER BY due_at_us LIMIT 1)) FROM classes"
    );
    let due_at_us: Option<i64> = sqlx::query_scalar(sql).fetch_one(readers).await?;
    let due_at = due_at_us.map(|us| rows::time_from("due_at_us", us));
    due_at.transpose().map_err(unreadable)
}

pub(super) async fn changes(
    readers: &SqlitePool,
    after: ChangeSeq,
    id: Option<MailJobId>,
    limit: u32,
) -> sqlx::Result<Vec<Change>> {
    // CROSS JOIN keeps SQLite from starting with the jobs.
    let mut sql = QueryBuilder::<Sqlite>::new(
        "SELECT c.seq, j.id, j.class, c.state, c.reason, j.recipients, c.results, c.attempts, \
         j.created_at_us, c.updated_at_us, c.due_at_us, j.expires_at_us, j.message_id, j.labels, \
         j.subject, j.template, c.settings_generation, j.trace_parent \
         FROM mail_job_changes c CROSS JOIN mail_jobs j ON j.id = c.job WHERE c.seq > ",
    );
    sql.push_bind(after.0);
    if let Some(id) = id {
        sql.push(" AND c.job = ").push_bind(rows::id_to(id));
    }
    sql.push(" ORDER BY c.seq LIMIT ").push_bind(limit);
    let found: Vec<ChangeRow> = sql.build_query_as().fetch_all(readers).await?;
    let changes = found.into_iter().filter_map(|ChangeRow { seq, job }| {
        let id = job.id.clone();
        let job = readable(&id, Job::try_from(job))?;
        Some(Change { seq: ChangeSeq(seq), job })
    });
    Ok(changes.collect())
}

pub(super) async fn last_change(readers: &SqlitePool) -> sqlx::Result<ChangeSeq> {
    // Not the greatest one that is there: it may have been pruned.
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'mail_job_changes'";
    let last: Option<i64> = sqlx::query_scalar(sql).fetch_optional(readers).await?;
    Ok(ChangeSeq(last.unwrap_or_default()))
}

pub(super) async fn backlog(readers: &SqlitePool) -> sqlx::Result<Backlog> {
    let sql = concat!(
        "SELECT state, COUNT(*) FROM mail_jobs WHERE ",
        waiting!(),
        " GROUP BY state UNION ALL SELECT 'SENDING', COUNT(*) FROM mail_jobs WHERE state = 'SENDING'"
    );
    let counts: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(readers).await?;
    let counts: HashMap<_, _> = counts.into_iter().collect();
    let count = |state: JobState| {
        counts.get(state.name()).map_or(0, |count| u64::try_from(*count).unwrap_or_default())
    };
    Ok(Backlog {
        queued: count(JobState::Queued),
        sending: count(JobState::Sending),
        deferred: count(JobState::Deferred),
        held: count(JobState::Held),
    })
}

/// Adds `(?, ?, …)` with these ids.
pub(super) fn push_ids(sql: &mut QueryBuilder<Sqlite>, ids: &[MailJobId]) {
    sql.push("(");
    let mut separated = sql.separated(", ");
    for id in ids {
        separated.push_bind(rows::id_to(*id));
    }
    sql.push(")");
}
