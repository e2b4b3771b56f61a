//! What is read from the store.

use std::collections::HashMap;

use jiff::Timestamp;
use nuncio_core::job::{Attempt, Job, MailJobId};
use nuncio_core::ports::job_store::{
    Backlog, Change, ChangeSeq, Incarnation, JobPage, JobQuery, MailboxUsage, USAGE_EXACT,
    USAGE_PERIOD, USAGE_STEP,
};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use crate::backlog::backlog_from;
use crate::rows::{
    self, AttachmentRow, AttemptRow, ChangeRow, JobRow, UsageRow, job_columns, unreadable, waiting,
};
use crate::write::claim::class_names;

pub(super) async fn job(readers: &PgPool, id: MailJobId) -> sqlx::Result<Option<Job>> {
    let sql = concat!("SELECT ", job_columns!(), " FROM mail_jobs WHERE id = $1");
    let row: Option<JobRow> =
        sqlx::query_as(sql).bind(rows::id_to(id)).fetch_optional(readers).await?;
    row.map(Job::try_from).transpose().map_err(unreadable)
}

/// The jobs with these ids.
pub(super) async fn jobs(
    connection: &mut PgConnection,
    ids: &[MailJobId],
) -> sqlx::Result<HashMap<MailJobId, Job>> {
    let sql = concat!("SELECT ", job_columns!(), " FROM mail_jobs WHERE id = ANY($1)");
    let ids: Vec<_> = ids.iter().map(|id| rows::id_to(*id)).collect();
    let found = sqlx::query_as(sql).bind(ids).fetch_all(connection).await?;
    rows::jobs_from(found).map_err(unreadable)
}

pub(super) async fn attempts(
    readers: &PgPool,
    id: MailJobId,
    limit: u32,
) -> sqlx::Result<Vec<Attempt>> {
    let sql = "SELECT started_at_us, ended_at_us, outcome, detail, counted, mailbox, recipients \
               FROM mail_attempts \
               WHERE job = $1 ORDER BY seq DESC LIMIT $2";
    let last = sqlx::query_as(sql).bind(rows::id_to(id)).bind(i64::from(limit));
    let last: Vec<AttemptRow> = last.fetch_all(readers).await?;
    last.into_iter().rev().map(|row| Attempt::try_from(row).map_err(unreadable)).collect()
}

/// The last step ends before what is told exactly, so that no sum is told with a moment that is to come.
pub(super) async fn usage(
    readers: &PgPool,
    now: Timestamp,
    asker: &Incarnation,
) -> sqlx::Result<Vec<MailboxUsage>> {
    let sql = "SELECT mailbox, CASE WHEN ended_at_us > $2 THEN ended_at_us \
               ELSE $2 - ($2 - ended_at_us) / $3 * $3 END AS told_at_us, \
               COUNT(*) AS messages, SUM(recipients)::BIGINT AS recipients \
               FROM mail_attempts WHERE recipients IS NOT NULL \
               AND ended_at_us > $1 AND ended_at_us <= $4 \
               GROUP BY mailbox, told_at_us \
               UNION ALL SELECT NULL, $5, COUNT(*), SUM(jsonb_array_length(recipients::JSONB)) \
               FROM mail_jobs WHERE state = 'SENDING' AND lease_holder <> $6 HAVING COUNT(*) > 0 \
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

pub(super) async fn list(readers: &PgPool, query: &JobQuery) -> sqlx::Result<JobPage> {
    let stop = stop_of(readers, query).await?;
    let sql = concat!("SELECT ", job_columns!(), " FROM mail_jobs WHERE TRUE");
    let mut sql = QueryBuilder::<Postgres>::new(sql);
    push_range(&mut sql, query);
    if let Some(stop) = stop {
        sql.push(" AND id >= ").push_bind(rows::id_to(stop));
    }
    push_filter(&mut sql, query);
    // One more than the page tells whether there is another page.
    sql.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(query.limit) + 1);
    let found: Vec<JobRow> = sql.build_query_as().fetch_all(readers).await?;
    rows::page_from(found, query, stop).map_err(unreadable)
}

/// The last job that a query may look at, if there are more: found in the index of ids alone.
async fn stop_of(readers: &PgPool, query: &JobQuery) -> sqlx::Result<Option<MailJobId>> {
    let Some(most) = query.examine_max.filter(|_| query.has_filter()) else { return Ok(None) };
    let mut sql = QueryBuilder::<Postgres>::new("SELECT id FROM mail_jobs WHERE TRUE");
    push_range(&mut sql, query);
    sql.push(" ORDER BY id DESC LIMIT 2 OFFSET ").push_bind(i64::from(most.max(1)) - 1);
    let last_and_next: Vec<Vec<u8>> = sql.build_query_scalar().fetch_all(readers).await?;
    match last_and_next.as_slice() {
        [last, _next] => rows::id_from(last).map(Some).map_err(unreadable),
        _ => Ok(None),
    }
}

fn push_range(sql: &mut QueryBuilder<Postgres>, query: &JobQuery) {
    if let Some(before) = query.before {
        sql.push(" AND id < ").push_bind(rows::id_to(before));
    }
    if let Some(from) = query.from {
        sql.push(" AND id >= ").push_bind(rows::id_to(from));
    }
}

/// Recipients and labels are looked for in their JSON as it is written: no other text has its quotes.
fn push_filter(sql: &mut QueryBuilder<Postgres>, query: &JobQuery) {
    if !query.states.is_empty() {
        let names: Vec<_> = query.states.iter().map(|state| state.name()).collect();
        sql.push(" AND state = ANY(").push_bind(names).push(")");
    }
    if !query.classes.is_empty() {
        let names: Vec<_> = query.classes.iter().map(|class| class.name()).collect();
        sql.push(" AND class = ANY(").push_bind(names).push(")");
    }
    if let Some(address) = &query.recipient {
        let needle = rows::recipient_needle(address);
        sql.push(" AND STRPOS(recipients, ").push_bind(needle).push(") > 0");
    }
    for (key, value) in &query.labels {
        let needle = rows::label_needle(key, value);
        sql.push(" AND STRPOS(labels, ").push_bind(needle).push(") > 0");
    }
}

/// The attachments of the mails of these jobs.
pub(super) async fn attachments(
    readers: &PgPool,
    jobs: &[Vec<u8>],
) -> sqlx::Result<HashMap<MailJobId, Vec<AttachmentRow>>> {
    if jobs.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "SELECT job, place, file_name, content_type, content, sealed FROM mail_attachments \
               WHERE job = ANY($1) ORDER BY job, place";
    let found: Vec<AttachmentRow> = sqlx::query_as(sql).bind(jobs).fetch_all(readers).await?;
    rows::attachments_from(found).map_err(unreadable)
}

pub(super) async fn next_due(readers: &PgPool) -> sqlx::Result<Option<Timestamp>> {
    // One look into the index for each class, not one at each job.
    let sql = concat!(
        "SELECT MIN((SELECT due_at_us FROM mail_jobs WHERE ",
        waiting!(),
        " AND class = name ORDER BY due_at_us LIMIT 1)) FROM UNNEST($1::TEXT[]) AS classes (name)"
    );
    let due_at_us: Option<i64> =
        sqlx::query_scalar(sql).bind(class_names()).fetch_one(readers).await?;
    let due_at = due_at_us.map(|us| rows::time_from("due_at_us", us));
    due_at.transpose().map_err(unreadable)
}

pub(super) async fn changes(
    readers: &PgPool,
    after: ChangeSeq,
    id: Option<MailJobId>,
    limit: u32,
) -> sqlx::Result<Vec<Change>> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "SELECT c.seq, j.id, j.class, c.state, c.reason, j.recipients, c.results, c.attempts, \
         j.created_at_us, c.updated_at_us, c.due_at_us, j.expires_at_us, j.message_id, j.labels, \
         j.subject, j.template, c.settings_generation, j.trace_parent \
         FROM mail_job_changes c JOIN mail_jobs j ON j.id = c.job WHERE c.seq > ",
    );
    sql.push_bind(after.0);
    if let Some(id) = id {
        sql.push(" AND c.job = ").push_bind(rows::id_to(id));
    }
    sql.push(" ORDER BY c.seq LIMIT ").push_bind(i64::from(limit));
    let found: Vec<ChangeRow> = sql.build_query_as().fetch_all(readers).await?;
    Ok(rows::changes_from(found))
}

pub(super) async fn last_change(readers: &PgPool) -> sqlx::Result<ChangeSeq> {
    // Not the greatest one that is there: it may have been pruned.
    let sql = "SELECT last_seq FROM mail_job_counter";
    sqlx::query_scalar(sql).fetch_one(readers).await.map(ChangeSeq)
}

pub(super) async fn backlog(readers: &PgPool) -> sqlx::Result<Backlog> {
    let sql = concat!(
        "SELECT state, class, COUNT(*), MIN(due_at_us) FROM mail_jobs WHERE ",
        waiting!(),
        " GROUP BY state, class UNION ALL \
         SELECT 'SENDING', '', COUNT(*), NULL::BIGINT FROM mail_jobs WHERE state = 'SENDING'"
    );
    sqlx::query_as(sql).fetch_all(readers).await.map(|rows| backlog_from(&rows))
}
