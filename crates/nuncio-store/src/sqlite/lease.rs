//! What the holder of a lease does before it settles.

use std::collections::HashSet;

use jiff::Timestamp;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::{Lease, LeaseError};
use sqlx::QueryBuilder;

use crate::rows;
use crate::sqlite::writer::{
    Answer, Group, Lane, Op, Subject, TOGETHER_MAX, Transaction, in_powers_of_two,
};

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
        let leases: Vec<_> = ops.iter().map(|op| (op.id, op.fence, None)).collect();
        let held = update(tx, "body_entered = 1", &leases).await?;
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
        let leases: Vec<_> = ops.iter().map(|op| (op.id, op.fence, Some(op.until))).collect();
        let held = update(tx, "lease_until_us = lease.until_us", &leases).await?;
        Ok(ops.iter().map(|op| held_or_lost(&held, op.id)).collect())
    }
}

/// Changes the leases that still hold, and gives their jobs.
async fn update(
    tx: &mut Transaction<'_>,
    assignment: &str,
    leases: &[(MailJobId, i64, Option<Timestamp>)],
) -> sqlx::Result<HashSet<Vec<u8>>> {
    let mut held = HashSet::with_capacity(leases.len());
    for some in in_powers_of_two(leases, TOGETHER_MAX) {
        let mut sql = QueryBuilder::new("WITH lease (job, fence, until_us) AS (");
        sql.push_values(some, |mut row, (id, fence, until)| {
            row.push_bind(rows::id_to(*id))
                .push_bind(*fence)
                .push_bind(until.map(Timestamp::as_microsecond));
        });
        sql.push(") UPDATE mail_jobs SET ").push(assignment).push(
            " FROM lease WHERE mail_jobs.id = lease.job AND mail_jobs.fence = lease.fence \
             AND mail_jobs.state = 'SENDING' RETURNING id",
        );
        let ids: Vec<Vec<u8>> = sql.build_query_scalar().fetch_all(&mut *tx.connection).await?;
        held.extend(ids);
    }
    Ok(held)
}

fn held_or_lost(held: &HashSet<Vec<u8>>, id: MailJobId) -> Result<(), LeaseError> {
    if held.contains(&rows::id_to(id)) { Ok(()) } else { Err(LeaseError::Lost(id)) }
}
