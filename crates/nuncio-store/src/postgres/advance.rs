//! Steps of a job that has left its holder, its queue or its life: settled, rescued, expired, cancelled.

use std::collections::HashMap;

use nuncio_core::job::{Job, MailJobId};

use crate::life;
use crate::postgres::engine::Transaction;
use crate::postgres::text::storable;
use crate::rows::{self, JobRow, job_columns, unreadable};
use crate::write::advance::{Advance, mailbox_of};

/// Takes the steps whose job still stands where they start, and gives the jobs that took one.
pub(super) async fn advance(
    tx: &mut Transaction<'_>,
    steps: &[&Advance],
) -> sqlx::Result<HashMap<MailJobId, Job>> {
    let rows = update(tx, steps).await?;
    for row in &rows {
        tx.pending.row(row);
    }
    let jobs = rows::jobs_from(rows).map_err(unreadable)?;
    let taken: Vec<_> = steps.iter().copied().filter(|step| jobs.contains_key(&step.id)).collect();
    record_attempts(tx, &taken).await?;
    let done_with = taken.iter().filter(|step| !life::keeps_mail(step.to));
    let done_with: Vec<_> = done_with.map(|step| rows::id_to(step.id)).collect();
    if !done_with.is_empty() {
        let sql = "WITH attachments AS (DELETE FROM mail_attachments WHERE job = ANY($1)) \
                   DELETE FROM mail_bodies WHERE job = ANY($1)";
        sqlx::query(sql).bind(done_with).execute(&mut *tx.connection).await?;
    }
    Ok(jobs)
}

/// The fence is checked in the statement that writes: no other write can come between.
async fn update(tx: &mut Transaction<'_>, steps: &[&Advance]) -> sqlx::Result<Vec<JobRow>> {
    let sql = concat!(
        "UPDATE mail_jobs SET state = to_state, reason = to_reason, results = to_results, \
         attempts = attempts + to_counted, updated_at_us = to_now_us, due_at_us = to_due_at_us, \
         rescues = rescues + to_rescued, \
         settings_generation = COALESCE(to_settings_generation, settings_generation), \
         lease_holder = NULL, lease_until_us = NULL \
         FROM UNNEST($1::BYTEA[], $2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], \
         $7::BIGINT[], $8::BIGINT[], $9::BIGINT[], $10::BIGINT[], $11::BIGINT[]) \
         AS step (job, step_fence, was, to_state, to_reason, to_results, to_due_at_us, to_counted, \
         to_rescued, to_settings_generation, to_now_us) \
         WHERE id = job AND fence = step_fence AND state = was RETURNING ",
        job_columns!()
    );
    sqlx::query_as(sql)
        .bind(steps.iter().map(|step| rows::id_to(step.id)).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| step.fence).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| step.from.name()).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| step.to.name()).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| step.reason.as_deref()).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| step.results.as_deref()).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| step.due_at.as_microsecond()).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| i64::from(step.counted)).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| i64::from(step.rescued)).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| step.settings_generation).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| step.now.as_microsecond()).collect::<Vec<_>>())
        .fetch_all(&mut *tx.connection)
        .await
}

async fn record_attempts(tx: &mut Transaction<'_>, steps: &[&Advance]) -> sqlx::Result<()> {
    let attempts: Vec<_> =
        steps.iter().filter_map(|step| step.attempt.as_ref().map(|one| (step.id, one))).collect();
    if attempts.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO mail_attempts (job, started_at_us, ended_at_us, outcome, detail, counted, \
               mailbox, recipients) \
               SELECT * FROM UNNEST($1::BYTEA[], $2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], \
               $6::BOOLEAN[], $7::TEXT[], $8::BIGINT[])";
    let used = || attempts.iter().map(|(_, one)| one.used.as_ref());
    sqlx::query(sql)
        .bind(attempts.iter().map(|(id, _)| rows::id_to(*id)).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(_, one)| one.started_at.as_microsecond()).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(_, one)| one.ended_at.as_microsecond()).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(_, one)| storable(&one.outcome)).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(_, one)| storable(&one.detail)).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(_, one)| one.counted).collect::<Vec<_>>())
        .bind(used().map(|used| used.and_then(mailbox_of)).collect::<Vec<_>>())
        .bind(used().map(|used| used.map(|used| i64::from(used.recipients))).collect::<Vec<_>>())
        .execute(&mut *tx.connection)
        .await
        .map(drop)
}
