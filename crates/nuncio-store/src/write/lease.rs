//! What the holder of a lease does before it settles.

use std::collections::HashSet;

use jiff::Timestamp;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::{Lease, LeaseError};

use crate::write::engine::Engine;
use crate::write::group::{Answer, Group, Lane, Op, Subject};

/// Notes that the body goes out.
pub(crate) struct EnterBody {
    pub(crate) id: MailJobId,
    pub(crate) fence: i64,
}

/// Keeps a lease alive.
pub(crate) struct Extend {
    pub(crate) id: MailJobId,
    pub(crate) fence: i64,
    pub(crate) until: Timestamp,
}

impl EnterBody {
    pub(crate) fn new(lease: &Lease) -> Self {
        Self { id: lease.job, fence: lease.fence }
    }
}

impl Extend {
    pub(crate) fn new(lease: &Lease, until: Timestamp) -> Self {
        Self { id: lease.job, fence: lease.fence, until }
    }
}

impl Op for EnterBody {
    type Out = ();
    type Refusal = LeaseError;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.bodies
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Job(self.id)]
    }

    async fn run<E: Engine>(engine: &mut E, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let held = engine.enter_bodies(ops).await?;
        Ok(ops.iter().map(|op| held_or_lost(&held, op.id)).collect())
    }
}

impl Op for Extend {
    type Out = ();
    type Refusal = LeaseError;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.extensions
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Job(self.id)]
    }

    async fn run<E: Engine>(engine: &mut E, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let held = engine.extend(ops).await?;
        Ok(ops.iter().map(|op| held_or_lost(&held, op.id)).collect())
    }
}

fn held_or_lost(held: &HashSet<MailJobId>, id: MailJobId) -> Result<(), LeaseError> {
    if held.contains(&id) { Ok(()) } else { Err(LeaseError::Lost(id)) }
}
