//! Steps of a job that has left its holder, its queue or its life: settled, rescued, expired, cancelled.

use std::collections::HashMap;

use jiff::Timestamp;
use nuncio_core::job::{Job, MailJobId};
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::life;
use crate::rows::{self, JobRow, unreadable};
use crate::sqlite::engine::Transaction;
use crate::sqlite::stage::{STEP, STEP_COLUMNS, STEPS_OF, STEPS_THAT_FIT};
use crate::sqlite::values::{ROWS_MAX, values};
use crate::write::advance::{Advance, mailbox_of};

/// Takes the steps whose job still stands where they start, and gives the jobs that took one.
pub(super) async fn advance(
    tx: &mut Transaction<'_>,
    steps: &[&Advance],
) -> sqlx::Result<HashMap<MailJobId, Job>> {
    let mut jobs = Vec::with_capacity(steps.len());
    for some in steps.chunks(ROWS_MAX) {
        jobs.extend(step(tx.connection, some).await?);
    }
    *tx.news |= !jobs.is_empty();
    rows::jobs_from(jobs).map_err(unreadable)
}

async fn step(connection: &mut SqliteConnection, steps: &[&Advance]) -> sqlx::Result<Vec<JobRow>> {
    let rows = values(steps.len(), STEP_COLUMNS);
    let sql = format!("{STEPS_OF}{rows}{STEPS_THAT_FIT}{STEP}");
    let mut query = sqlx::query_as(AssertSqlSafe(sql));
    for step in steps {
        let attempt = step.attempt.as_ref();
        let used = attempt.and_then(|one| one.used.as_ref());
        query = query
            .bind(rows::id_to(step.id))
            .bind(step.fence)
            .bind(step.from.name())
            .bind(step.to.name())
            .bind(step.reason.as_deref())
            .bind(step.results.as_deref())
            .bind(step.due_at.as_microsecond())
            .bind(step.counted)
            .bind(step.rescued)
            .bind(step.settings_generation)
            .bind(step.now.as_microsecond())
            .bind(!life::keeps_mail(step.to))
            .bind(attempt.map(|one| Timestamp::as_microsecond(one.started_at)))
            .bind(attempt.map(|one| Timestamp::as_microsecond(one.ended_at)))
            .bind(attempt.map(|one| one.outcome.as_str()))
            .bind(attempt.map(|one| one.detail.as_str()))
            .bind(attempt.map(|one| one.counted))
            .bind(used.and_then(mailbox_of))
            .bind(used.map(|used| used.recipients));
    }
    query.fetch_all(connection).await
}
