//! Steps of a job that has left its holder, its queue or its life: settled, rescued, expired, cancelled.

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::job::{Attempt, BudgetUse, Job, JobState, MailJobId};
use nuncio_core::ports::job_store::{Lease, LeaseError, Settlement};

use crate::rows;
use crate::write::engine::Engine;
use crate::write::group::{Answer, Group, Lane, Op, Subject};

/// One step of one job, from a state under a fence to the next state.
pub(crate) struct Advance {
    pub(crate) id: MailJobId,
    pub(crate) fence: i64,
    pub(crate) from: JobState,
    pub(crate) to: JobState,
    pub(crate) reason: Option<String>,
    pub(crate) results: Option<String>,
    pub(crate) due_at: Timestamp,
    pub(crate) counted: bool,
    pub(crate) rescued: bool,
    pub(crate) settings_generation: Option<i64>,
    pub(crate) now: Timestamp,
    pub(crate) attempt: Option<Attempt>,
}

impl Advance {
    /// The step that the holder of a lease decided.
    pub(crate) fn settlement(lease: &Lease, settlement: Settlement) -> Self {
        let decision = settlement.decision;
        Self {
            id: lease.job,
            fence: lease.fence,
            from: JobState::Sending,
            to: decision.state,
            reason: decision.reason.as_ref().map(rows::reason_to),
            results: rows::results_to(&decision.recipients),
            due_at: decision.due_at,
            counted: decision.counted,
            rescued: false,
            settings_generation: settlement.settings_generation,
            now: settlement.now,
            attempt: settlement.attempt,
        }
    }

    /// The step from a job as it was read in this transaction to the job as it shall be.
    pub(crate) fn step(before: &Job, fence: i64, after: &Job) -> Self {
        Self {
            id: before.id,
            fence,
            from: before.state,
            to: after.state,
            reason: after.reason.as_ref().map(rows::reason_to),
            results: rows::results_to(&after.recipients),
            due_at: after.due_at,
            counted: before.attempts < after.attempts,
            rescued: false,
            settings_generation: None,
            now: after.updated_at,
            attempt: None,
        }
    }

    /// The same step as a rescue.
    pub(crate) fn rescue(self, attempt: Attempt) -> Self {
        Self { rescued: true, attempt: Some(attempt), ..self }
    }
}

impl Op for Advance {
    type Out = Job;
    type Refusal = LeaseError;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.settlements
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Job(self.id)]
    }

    async fn run<E: Engine>(engine: &mut E, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut jobs = engine.advance(ops).await?;
        let answers = ops.iter().map(|op| jobs.remove(&op.id).ok_or(LeaseError::Lost(op.id)));
        Ok(answers.collect())
    }
}

/// The mailbox as it is written down.
pub(crate) fn mailbox_of(used: &BudgetUse) -> Option<&str> {
    used.mailbox.as_ref().map(EmailAddress::as_str)
}
