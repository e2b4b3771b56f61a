//! What ends jobs, or puts them back: cancel, direct, expire, rescue, release, prune.

use jiff::Timestamp;
use nuncio_core::job::{Job, MailJobId};
use nuncio_core::ports::job_store::{CancelError, Dead, DirectError, Direction, StoreError};
use sqlx::{FromRow, QueryBuilder, Sqlite};

use crate::advance::Advance;
use crate::life;
use crate::rows::{self, JobRow, readable, unreadable, whole_us};
use crate::sqlite::advance::advance;
use crate::sqlite::read::{ended, job_columns, waiting};
use crate::sqlite::writer::{Answer, Group, Lane, Op, Transaction};

pub(super) struct Cancel {
    pub(super) id: MailJobId,
    pub(super) now: Timestamp,
}

pub(super) struct Direct {
    pub(super) id: MailJobId,
    pub(super) direction: Direction,
    pub(super) now: Timestamp,
}

pub(super) struct Expire {
    pub(super) now: Timestamp,
    pub(super) limit: u32,
}

pub(super) struct Rescue {
    pub(super) dead: Dead,
    pub(super) now: Timestamp,
}

pub(super) struct ReleaseHeld {
    pub(super) now: Timestamp,
}

pub(super) struct Prune {
    pub(super) before: Timestamp,
    pub(super) limit: u32,
}

/// A job and its lease.
#[derive(FromRow)]
struct HeldRow {
    #[sqlx(flatten)]
    job: JobRow,
    fence: i64,
    body_entered: bool,
    rescues: i64,
}

macro_rules! held_columns {
    () => {
        concat!(job_columns!(), ", fence, body_entered, rescues")
    };
}

impl Op for Cancel {
    type Out = Job;
    type Refusal = CancelError;

    const TOGETHER_MAX: usize = 1;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.cancellations
    }

    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut answers = Vec::with_capacity(ops.len());
        for cancel in ops {
            answers.push(run_cancel(tx, cancel).await?);
        }
        Ok(answers)
    }
}

async fn run_cancel(tx: &mut Transaction<'_>, cancel: &Cancel) -> sqlx::Result<Answer<Cancel>> {
    let Some((job, fence)) = find(tx, cancel.id).await? else {
        return Ok(Err(CancelError::NotFound(cancel.id)));
    };
    match life::cancelled(job.clone(), whole_us(cancel.now)) {
        Ok(cancelled) => {
            advance(tx, &[&Advance::step(&job, fence, &cancelled)]).await?;
            Ok(Ok(cancelled))
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

impl Op for Direct {
    type Out = Job;
    type Refusal = DirectError;

    const TOGETHER_MAX: usize = 1;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.directions
    }

    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut answers = Vec::with_capacity(ops.len());
        for direct in ops {
            answers.push(run_direct(tx, direct).await?);
        }
        Ok(answers)
    }
}

async fn run_direct(tx: &mut Transaction<'_>, direct: &Direct) -> sqlx::Result<Answer<Direct>> {
    let Some((job, fence)) = find(tx, direct.id).await? else {
        return Ok(Err(DirectError::NotFound(direct.id)));
    };
    let sql = "SELECT EXISTS (SELECT 1 FROM mail_bodies WHERE job = ?)";
    let has_mail = sqlx::query_scalar(sql).bind(rows::id_to(direct.id));
    let has_mail: bool = has_mail.fetch_one(&mut *tx.connection).await?;
    match life::directed(job.clone(), direct.direction, has_mail, whole_us(direct.now)) {
        Ok(Some(directed)) => {
            advance(tx, &[&Advance::step(&job, fence, &directed)]).await?;
            Ok(Ok(directed))
        }
        Ok(None) => Ok(Ok(job)),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// A job and the fence of its last lease.
async fn find(tx: &mut Transaction<'_>, id: MailJobId) -> sqlx::Result<Option<(Job, i64)>> {
    let sql = concat!("SELECT ", held_columns!(), " FROM mail_jobs WHERE id = ?");
    let row: Option<HeldRow> =
        sqlx::query_as(sql).bind(rows::id_to(id)).fetch_optional(&mut *tx.connection).await?;
    let Some(HeldRow { job, fence, .. }) = row else { return Ok(None) };
    Ok(Some((Job::try_from(job).map_err(unreadable)?, fence)))
}

impl Op for Expire {
    type Out = Vec<Job>;
    type Refusal = StoreError;

    const TOGETHER_MAX: usize = 1;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.expiries
    }

    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut answers = Vec::with_capacity(ops.len());
        for expire in ops {
            let mut sql = QueryBuilder::new(concat!(
                "SELECT ",
                held_columns!(),
                " FROM mail_jobs WHERE ",
                waiting!(),
                " AND expires_at_us <= "
            ));
            sql.push_bind(expire.now.as_microsecond());
            sql.push(" ORDER BY expires_at_us LIMIT ").push_bind(expire.limit);
            let jobs = step_each(tx, sql, |job, row| {
                let expired = life::expired(job.clone(), expire.now);
                Ok(Advance::step(job, row.fence, &expired))
            });
            answers.push(Ok(jobs.await?));
            remove_mails_of_unknown(tx, expire).await?;
        }
        Ok(answers)
    }
}

/// Nobody can have these jobs sent again any more.
async fn remove_mails_of_unknown(tx: &mut Transaction<'_>, expire: &Expire) -> sqlx::Result<()> {
    let sql = "DELETE FROM mail_bodies WHERE job IN (SELECT id FROM mail_jobs \
               WHERE state = 'UNKNOWN' AND expires_at_us <= ? \
               AND EXISTS (SELECT 1 FROM mail_bodies WHERE job = id) LIMIT ?)";
    let delete = sqlx::query(sql).bind(expire.now.as_microsecond()).bind(expire.limit);
    delete.execute(&mut *tx.connection).await.map(drop)
}

impl Op for Rescue {
    type Out = Vec<Job>;
    type Refusal = StoreError;

    const TOGETHER_MAX: usize = 1;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.rescues
    }

    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut answers = Vec::with_capacity(ops.len());
        for rescue in ops {
            let mut sql = QueryBuilder::new(concat!(
                "SELECT ",
                held_columns!(),
                " FROM mail_jobs WHERE state = 'SENDING' AND "
            ));
            match &rescue.dead {
                Dead::LeaseEnded => {
                    sql.push("lease_until_us <= ").push_bind(rescue.now.as_microsecond())
                }
                Dead::AllBut(alive) => sql.push("lease_holder <> ").push_bind(&alive.0),
            };
            let jobs = step_each(tx, sql, |job, row| {
                let count = rows::number_from("rescues", row.rescues + 1).map_err(unreadable)?;
                let (rescued, attempt) =
                    life::rescued(job.clone(), row.body_entered, count, rescue.now);
                Ok(Advance::step(job, row.fence, &rescued).rescue(attempt))
            });
            answers.push(Ok(jobs.await?));
        }
        Ok(answers)
    }
}

/// Reads jobs with their leases, and takes one step with each.
async fn step_each(
    tx: &mut Transaction<'_>,
    mut sql: QueryBuilder<Sqlite>,
    step: impl Fn(&Job, &Held) -> sqlx::Result<Advance>,
) -> sqlx::Result<Vec<Job>> {
    let found: Vec<HeldRow> = sql.build_query_as().fetch_all(&mut *tx.connection).await?;
    let steps = found.into_iter().filter_map(|HeldRow { job, fence, body_entered, rescues }| {
        let id = job.id.clone();
        let job = readable(&id, Job::try_from(job))?;
        Some(step(&job, &Held { fence, body_entered, rescues }))
    });
    let steps: Vec<_> = steps.collect::<sqlx::Result<_>>()?;
    let jobs = advance(tx, &steps.iter().collect::<Vec<_>>()).await?;
    Ok(jobs.into_values().collect())
}

/// What a store knows of a job beside the job.
struct Held {
    fence: i64,
    body_entered: bool,
    rescues: i64,
}

impl Op for ReleaseHeld {
    type Out = u64;
    type Refusal = StoreError;

    const TOGETHER_MAX: usize = 1;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.releases
    }

    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut answers = Vec::with_capacity(ops.len());
        for release in ops {
            // What a caller holds is due when it expires.
            let sql = "UPDATE mail_jobs SET due_at_us = ?1 WHERE state = 'HELD' AND due_at_us > ?1 \
                       AND due_at_us < expires_at_us";
            let update = sqlx::query(sql).bind(release.now.as_microsecond());
            let released = update.execute(&mut *tx.connection).await?.rows_affected();
            tx.changed |= 0 < released;
            answers.push(Ok(released));
        }
        Ok(answers)
    }
}

impl Op for Prune {
    type Out = u32;
    type Refusal = StoreError;

    const TOGETHER_MAX: usize = 1;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.prunings
    }

    /// What belongs to a job goes with it, by its foreign keys.
    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let sql = concat!(
            "DELETE FROM mail_jobs WHERE id IN (SELECT id FROM mail_jobs WHERE ",
            ended!(),
            " AND updated_at_us < ? ORDER BY updated_at_us LIMIT ?)"
        );
        let mut answers = Vec::with_capacity(ops.len());
        for prune in ops {
            let delete = sqlx::query(sql).bind(prune.before.as_microsecond()).bind(prune.limit);
            let pruned = delete.execute(&mut *tx.connection).await?.rows_affected();
            answers.push(Ok(u32::try_from(pruned).expect("the limit is a u32")));
        }
        Ok(answers)
    }
}
