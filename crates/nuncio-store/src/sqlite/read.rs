//! What is read from the store.

use std::collections::HashMap;

use jiff::Timestamp;
use nuncio_core::class::MailClass;
use nuncio_core::job::{Attempt, Job, MailJobId};
use nuncio_core::ports::job_store::{
    Backlog, Change, ChangeSeq, Incarnation, JobPage, JobQuery, MailboxUsage, USAGE_EXACT,
    USAGE_PERIOD, USAGE_STEP,
};
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use crate::backlog::backlog_from;
use crate::rows::{
    self, AttachmentRow, AttemptRow, ChangeRow, JobRow, UsageRow, job_columns, unreadable, waiting,
};
use crate::sqlite::values::{ROWS_MAX, padded, tuple, values};
use crate::write::claim::class_names;

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
    let mut found: Vec<JobRow> = Vec::new();
    for some in ids.chunks(ROWS_MAX) {
        let select = concat!("SELECT ", job_columns!(), " FROM mail_jobs WHERE id IN ");
        let sql = format!("{select}{}", tuple(padded(some.len())));
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for id in some {
            query = query.bind(rows::id_to(*id));
        }
        found.extend(query.fetch_all(&mut *connection).await?);
    }
    rows::jobs_from(found).map_err(unreadable)
}

pub(super) async fn attempts(
    readers: &SqlitePool,
    id: MailJobId,
    limit: u32,
) -> sqlx::Result<Vec<Attempt>> {
    let sql = "SELECT started_at_us, ended_at_us, outcome, detail, counted, mailbox, recipients \
               FROM mail_attempts \
               WHERE job = ? ORDER BY seq DESC LIMIT +?";
    let last: Vec<AttemptRow> =
        sqlx::query_as(sql).bind(rows::id_to(id)).bind(limit).fetch_all(readers).await?;
    last.into_iter().rev().map(|row| Attempt::try_from(row).map_err(unreadable)).collect()
}

/// The last step ends before what is told exactly, so that no sum is told with a moment that is to come.
pub(super) async fn usage(
    readers: &SqlitePool,
    now: Timestamp,
    asker: &Incarnation,
) -> sqlx::Result<Vec<MailboxUsage>> {
    let sql = "SELECT mailbox, CASE WHEN ended_at_us > ?2 THEN ended_at_us \
               ELSE ?2 - (?2 - ended_at_us) / ?3 * ?3 END AS told_at_us, \
               COUNT(*) AS messages, SUM(recipients) AS recipients \
               FROM mail_attempts WHERE recipients IS NOT NULL \
               AND ended_at_us > ?1 AND ended_at_us <= ?4 \
               GROUP BY mailbox, told_at_us \
               UNION ALL SELECT NULL, ?5, COUNT(*), SUM(json_array_length(recipients)) \
               FROM mail_jobs WHERE state = 'SENDING' AND lease_holder <> ?6 HAVING COUNT(*) > 0 \
               ORDER BY told_at_us, mailbox";
    let found: Vec<UsageRow> = sqlx::query_as(sql)
        .bind((now - USAGE_PERIOD).as_microsecond())
        .bind((now - USAGE_EXACT).as_microsecond())
        .bind(i64::try_from(USAGE_STEP.as_micros()).expect("it is some minutes"))
        .bind((now + USAGE_EXACT).as_microsecond())
        .bind(now.as_microsecond())
        .bind(&asker.0)
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
    sql.push(" ORDER BY id DESC LIMIT +").push_bind(i64::from(query.limit) + 1);
    let found: Vec<JobRow> = sql.build_query_as().fetch_all(readers).await?;
    rows::page_from(found, query, stop).map_err(unreadable)
}

/// The last job that a query may look at, if there are more: found in the index of ids alone.
async fn stop_of(readers: &SqlitePool, query: &JobQuery) -> sqlx::Result<Option<MailJobId>> {
    let Some(most) = query.examine_max.filter(|_| query.has_filter()) else { return Ok(None) };
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT id FROM mail_jobs WHERE TRUE");
    push_range(&mut sql, query);
    sql.push(" ORDER BY id DESC LIMIT 2 OFFSET +").push_bind(i64::from(most.max(1)) - 1);
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

/// The attachments of the mails of these jobs.
pub(super) async fn attachments(
    readers: &SqlitePool,
    jobs: &[Vec<u8>],
) -> sqlx::Result<HashMap<MailJobId, Vec<AttachmentRow>>> {
    let mut found: Vec<AttachmentRow> = Vec::new();
    for some in jobs.chunks(ROWS_MAX) {
        let sql = format!(
            "SELECT job, place, file_name, content_type, content, sealed FROM mail_attachments WHERE job IN {} \
             ORDER BY job, place",
            tuple(padded(some.len()))
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for job in some {
            query = query.bind(job);
        }
        found.extend(query.fetch_all(readers).await?);
    }
    rows::attachments_from(found).map_err(unreadable)
}

pub(super) async fn next_due(readers: &SqlitePool) -> sqlx::Result<Option<Timestamp>> {
    // One look into the index for each class, not one at each job.
    let classes = values(MailClass::ALL.len(), 1);
    let sql = format!(
        "WITH classes (name) AS ({classes}) \
         SELECT MIN((SELECT due_at_us FROM mail_jobs WHERE {} AND class = classes.name \
         ORDER BY due_at_us LIMIT 1)) FROM classes",
        waiting!()
    );
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
    for name in class_names() {
        query = query.bind(name);
    }
    let due_at_us: Option<i64> = query.fetch_one(readers).await?;
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
    sql.push(" ORDER BY c.seq LIMIT +").push_bind(limit);
    let found: Vec<ChangeRow> = sql.build_query_as().fetch_all(readers).await?;
    Ok(rows::changes_from(found))
}

pub(super) async fn last_change(readers: &SqlitePool) -> sqlx::Result<ChangeSeq> {
    // Not the greatest one that is there: it may have been pruned.
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'mail_job_changes'";
    let last: Option<i64> = sqlx::query_scalar(sql).fetch_optional(readers).await?;
    Ok(ChangeSeq(last.unwrap_or_default()))
}

pub(super) async fn backlog(readers: &SqlitePool) -> sqlx::Result<Backlog> {
    let sql = concat!(
        "SELECT state, class, COUNT(*), MIN(due_at_us) FROM mail_jobs WHERE ",
        waiting!(),
        " GROUP BY state, class UNION ALL \
         SELECT 'SENDING', '', COUNT(*), NULL FROM mail_jobs WHERE state = 'SENDING'"
    );
    sqlx::query_as(sql).fetch_all(readers).await.map(|rows| backlog_from(&rows))
}
