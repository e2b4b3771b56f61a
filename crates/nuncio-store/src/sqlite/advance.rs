//! Steps of a job that has left its holder, its queue or its life: settled, rescued, expired, cancelled.

use std::collections::HashMap;

use nuncio_core::job::{Job, MailJobId};
use nuncio_core::ports::job_store::LeaseError;
use sqlx::{QueryBuilder, SqliteConnection};

use crate::advance::{Advance, mailbox_of};
use crate::life;
use crate::rows::{self, JobRow, unreadable};
use crate::sqlite::read::{self, job_columns};
use crate::sqlite::writer::{
    Answer, Group, Lane, Op, Subject, TOGETHER_MAX, Transaction, in_powers_of_two,
};

impl Op for Advance {
    type Out = Job;
    type Refusal = LeaseError;

    const TOGETHER_MAX: usize = TOGETHER_MAX;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.settlements
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Job(self.id)]
    }

    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut jobs = advance(tx, ops).await?;
        let answers = ops.iter().map(|op| jobs.remove(&op.id).ok_or(LeaseError::Lost(op.id)));
        Ok(answers.collect())
    }
}

/// Takes the steps whose job still stands where they start, and gives the jobs that took one.
pub(super) async fn advance(
    tx: &mut Transaction<'_>,
    steps: &[&Advance],
) -> sqlx::Result<HashMap<MailJobId, Job>> {
    let mut jobs = HashMap::with_capacity(steps.len());
    for some in in_powers_of_two(steps, TOGETHER_MAX) {
        for row in update(tx.connection, some).await? {
            let job = Job::try_from(row).map_err(unreadable)?;
            jobs.insert(job.id, job);
        }
    }
    let taken: Vec<_> = steps.iter().copied().filter(|step| jobs.contains_key(&step.id)).collect();
    for some in in_powers_of_two(&taken, TOGETHER_MAX) {
        record_attempts(tx.connection, some).await?;
    }
    let done_with = taken.iter().filter(|step| !life::keeps_mail(step.to));
    let done_with: Vec<_> = done_with.map(|step| step.id).collect();
    for some in in_powers_of_two(&done_with, TOGETHER_MAX) {
        let mut sql = QueryBuilder::new("DELETE FROM mail_bodies WHERE job IN ");
        read::push_ids(&mut sql, some);
        sql.build().execute(&mut *tx.connection).await?;
    }
    let ids: Vec<_> = taken.iter().map(|step| step.id).collect();
    note_changes(tx, &ids).await?;
    Ok(jobs)
}

/// Adds these jobs, as they stand now, to the changes.
pub(super) async fn note_changes(tx: &mut Transaction<'_>, ids: &[MailJobId]) -> sqlx::Result<()> {
    tx.changed |= !ids.is_empty();
    for some in in_powers_of_two(ids, TOGETHER_MAX) {
        let mut sql = QueryBuilder::new(
            "INSERT INTO mail_job_changes (job, state, reason, results, attempts, updated_at_us, \
             due_at_us, settings_generation) SELECT id, state, reason, results, attempts, \
             updated_at_us, due_at_us, settings_generation FROM mail_jobs WHERE id IN ",
        );
        read::push_ids(&mut sql, some);
        sql.build().execute(&mut *tx.connection).await?;
    }
    Ok(())
}

/// The fence is checked in the statement that writes: no other write can come between.
async fn update(
    connection: &mut SqliteConnection,
    steps: &[&Advance],
) -> sqlx::Result<Vec<JobRow>> {
    let mut sql = QueryBuilder::new(
        "WITH step (job, fence, was, is_now, reason, results, due_at_us, counted, rescued, \
         settings_generation, now_us) AS (",
    );
    sql.push_values(steps, |mut row, step| {
        row.push_bind(rows::id_to(step.id))
            .push_bind(step.fence)
            .push_bind(step.from.name())
            .push_bind(step.to.name())
            .push_bind(step.reason.as_deref())
            .push_bind(step.results.as_deref())
            .push_bind(step.due_at.as_microsecond())
            .push_bind(step.counted)
            .push_bind(step.rescued)
            .push_bind(step.settings_generation)
            .push_bind(step.now.as_microsecond());
    });
    sql.push(concat!(
        ") UPDATE mail_jobs SET state = step.is_now, reason = step.reason, results = step.results, \
         attempts = mail_jobs.attempts + step.counted, updated_at_us = step.now_us, \
         due_at_us = step.due_at_us, rescues = mail_jobs.rescues + step.rescued, \
         settings_generation = COALESCE(step.settings_generation, mail_jobs.settings_generation), \
         lease_holder = NULL, lease_until_us = NULL \
         FROM step WHERE mail_jobs.id = step.job AND mail_jobs.fence = step.fence \
         AND mail_jobs.state = step.was RETURNING ",
        job_columns!()
    ));
    sql.build_query_as().fetch_all(connection).await
}

async fn record_attempts(
    connection: &mut SqliteConnection,
    steps: &[&Advance],
) -> sqlx::Result<()> {
    let attempts: Vec<_> =
        steps.iter().filter_map(|step| step.attempt.as_ref().map(|one| (step.id, one))).collect();
    for some in in_powers_of_two(&attempts, TOGETHER_MAX) {
        let mut sql = QueryBuilder::new(
            "INSERT INTO mail_attempts (job, started_at_us, ended_at_us, outcome, detail, counted, \
             mailbox, recipients) ",
        );
        sql.push_values(some, |mut row, (id, attempt)| {
            row.push_bind(rows::id_to(*id))
                .push_bind(attempt.started_at.as_microsecond())
                .push_bind(attempt.ended_at.as_microsecond())
                .push_bind(&attempt.outcome)
                .push_bind(&attempt.detail)
                .push_bind(attempt.counted)
                .push_bind(attempt.used.as_ref().and_then(mailbox_of))
                .push_bind(attempt.used.as_ref().map(|used| used.recipients));
        });
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}
