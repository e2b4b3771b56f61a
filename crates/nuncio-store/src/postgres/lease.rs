//! What the holder of a lease does before it settles.

use std::collections::HashSet;

use jiff::Timestamp;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::{Lease, LeaseError};

use crate::postgres::writer::{Answer, Group, Lane, Op, Subject, TOGETHER_MAX, Transaction};
use crate::rows;

/// Notes that the body goes out.
pub(super) struct EnterBody {
    id: MailJobId,
    fence: i64,
}

/// Keeps a lease alive.
pub(super) struct Extend {
    id: MailJobId,
    fence: i64,
    until: Timestamp,
}

impl EnterBody {
    pub(super) fn new(lease: &Lease) -> Self {
        Self { id: lease.job, fence: lease.fence }
    }
}

impl Extend {
    pub(super) fn new(lease: &Lease, until: Timestamp) -> Self {
        Self { id: lease.job, fence: lease.fence, until }
    }
}

impl Op for EnterBody {
    type Out = ();
    type Refusal = LeaseError;

    const TOGETHER_MAX: usize = TOGETHER_MAX;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.bodies
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Job(self.id)]
    }

    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let sql = "UPDATE mail_jobs SET body_entered = TRUE \
                   FROM UNNEST($1::BYTEA[], $2::BIGINT[]) AS lease (job, lease_fence) \
                   WHERE id = lease.job AND fence = lease_fence AND state = 'SENDING' RETURNING id";
        let held = sqlx::query_scalar(sql)
            .bind(ops.iter().map(|op| rows::id_to(op.id)).collect::<Vec<_>>())
            .bind(ops.iter().map(|op| op.fence).collect::<Vec<_>>());
        let held = held.fetch_all(&mut *tx.connection).await?.into_iter().collect();
        Ok(ops.iter().map(|op| held_or_lost(&held, op.id)).collect())
    }
}

impl Op for Extend {
    type Out = ();
    type Refusal = LeaseError;

    const TOGETHER_MAX: usize = TOGETHER_MAX;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.extensions
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Job(self.id)]
    }

    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let sql = "UPDATE mail_jobs SET lease_until_us = lease.until_us \
                   FROM UNNEST($1::BYTEA[], $2::BIGINT[], $3::BIGINT[]) \
                   AS lease (job, lease_fence, until_us) \
                   WHERE id = lease.job AND fence = lease_fence AND state = 'SENDING' RETURNING id";
        let held = sqlx::query_scalar(sql)
            .bind(ops.iter().map(|op| rows::id_to(op.id)).collect::<Vec<_>>())
            .bind(ops.iter().map(|op| op.fence).collect::<Vec<_>>())
            .bind(ops.iter().map(|op| op.until.as_microsecond()).collect::<Vec<_>>());
        let held = held.fetch_all(&mut *tx.connection).await?.into_iter().collect();
        Ok(ops.iter().map(|op| held_or_lost(&held, op.id)).collect())
    }
}

fn held_or_lost(held: &HashSet<Vec<u8>>, id: MailJobId) -> Result<(), LeaseError> {
    if held.contains(&rows::id_to(id)) { Ok(()) } else { Err(LeaseError::Lost(id)) }
}
