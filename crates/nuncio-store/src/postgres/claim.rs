//! Claims.

use jiff::Timestamp;
use nuncio_core::class::MailClass;
use nuncio_core::job::Job;
use nuncio_core::ports::job_store::{Claim, Lease, StoreError};
use sqlx::FromRow;

use crate::postgres::read::{job_columns, waiting};
use crate::postgres::writer::{Answer, Group, Lane, Op, Transaction};
use crate::rows::{JobRow, readable};

#[derive(FromRow)]
struct LeasedRow {
    #[sqlx(flatten)]
    job: JobRow,
    fence: i64,
}

impl Op for Claim {
    type Out = Vec<(Lease, Job)>;
    type Refusal = StoreError;

    const TOGETHER_MAX: usize = 1;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.claims
    }

    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut answers = Vec::with_capacity(ops.len());
        for claim in ops {
            answers.push(Ok(run_claim(tx, claim).await?));
        }
        Ok(answers)
    }
}

/// Class by class, so that only what is due is looked at.
async fn run_claim(tx: &mut Transaction<'_>, claim: &Claim) -> sqlx::Result<Vec<(Lease, Job)>> {
    let (mut leased, mut patient) = (Vec::new(), 0);
    for class in due_classes(tx, claim.now).await? {
        let left = claim.left_for(class, count(&leased), patient);
        if left == 0 {
            continue;
        }
        let of_class = lease(tx, claim, class, left).await?;
        if class.is_patient() {
            patient += count(&of_class);
        }
        leased.extend(of_class);
    }
    let jobs = leased.into_iter().filter_map(|LeasedRow { job, fence }| {
        let id = job.id.clone();
        let job = readable(&id, Job::try_from(job))?;
        Some((Lease { job: job.id, fence }, job))
    });
    Ok(jobs.collect())
}

fn count<T>(all: &[T]) -> u32 {
    u32::try_from(all.len()).expect("the limit is a u32")
}

/// The classes in which jobs may be claimed, the most urgent first.
async fn due_classes(tx: &mut Transaction<'_>, now: Timestamp) -> sqlx::Result<Vec<MailClass>> {
    let sql = concat!(
        "SELECT name FROM UNNEST($1::TEXT[]) AS classes (name) \
         WHERE EXISTS (SELECT 1 FROM mail_jobs WHERE ",
        waiting!(),
        " AND class = name AND due_at_us <= $2 AND expires_at_us > $2)"
    );
    let names: Vec<_> = MailClass::ALL.into_iter().map(MailClass::name).collect();
    let due = sqlx::query_scalar(sql).bind(names).bind(now.as_microsecond());
    let due: Vec<String> = due.fetch_all(&mut *tx.connection).await?;
    let is_due = |class: &MailClass| due.iter().any(|name| name == class.name());
    Ok(MailClass::ALL.into_iter().filter(is_due).collect())
}

/// Jobs that another node is claiming at the same time are skipped, not waited for.
async fn lease(
    tx: &mut Transaction<'_>,
    claim: &Claim,
    class: MailClass,
    limit: u32,
) -> sqlx::Result<Vec<LeasedRow>> {
    let sql = concat!(
        "WITH found AS MATERIALIZED (SELECT id AS job FROM mail_jobs WHERE ",
        waiting!(),
        " AND class = $1 AND due_at_us <= $2 AND expires_at_us > $2 \
         ORDER BY due_at_us, id LIMIT $3 FOR UPDATE SKIP LOCKED) \
         UPDATE mail_jobs SET state = 'SENDING', fence = fence + 1, body_entered = $6, \
         lease_holder = $4, lease_until_us = $5, updated_at_us = $2 \
         FROM found WHERE id = found.job RETURNING fence, ",
        job_columns!()
    );
    let lease = sqlx::query_as(sql).bind(class.name()).bind(claim.now.as_microsecond());
    let lease = lease.bind(i64::from(limit));
    let lease =
        lease.bind(&claim.holder.0).bind(claim.until.as_microsecond()).bind(claim.into_body);
    let mut leased: Vec<LeasedRow> = lease.fetch_all(&mut *tx.connection).await?;
    leased.sort_by(|a, b| (a.job.due_at_us, &a.job.id).cmp(&(b.job.due_at_us, &b.job.id)));
    for row in &leased {
        tx.pending.row(&row.job);
    }
    Ok(leased)
}
