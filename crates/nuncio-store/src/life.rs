//! How a job changes, without saying where it is kept: every store of this crate uses it.

use jiff::Timestamp;
use nuncio_core::job::{Attempt, Job, JobState, Reason, RecipientState};
use nuncio_core::ports::job_store::{CancelError, Settlement};
use nuncio_core::retry::{self, Decision};

/// The job in the hands of a node.
pub(crate) fn claimed(job: Job, now: Timestamp) -> Job {
    Job { state: JobState::Sending, updated_at: now, ..job }
}

/// The job after an attempt.
pub(crate) fn settled(job: Job, settlement: &Settlement) -> Job {
    let settings_generation = settlement.settings_generation.or(job.settings_generation);
    Job { settings_generation, ..decided(job, settlement.decision.clone(), settlement.now) }
}

/// The job after a caller took it back.
pub(crate) fn cancelled(job: Job, now: Timestamp) -> Result<Job, CancelError> {
    if !job.state.is_waiting() {
        return Err(CancelError::NotWaiting { id: job.id, state: job.state });
    }
    let reason = Some(Reason::new("CANCELLED", "cancelled by a caller"));
    Ok(Job { state: JobState::Cancelled, reason, updated_at: now, ..job })
}

/// The job after its time to live ended.
pub(crate) fn expired(job: Job, now: Timestamp) -> Job {
    let accepted = job.recipients.iter().any(|one| one.state == RecipientState::Accepted);
    let state = if accepted { JobState::Sent } else { JobState::Expired };
    let reason = Some(retry::expired(job.reason.as_ref()));
    Job { state, reason, updated_at: now, ..job }
}

/// The job after its node died, and the record of the attempt that was cut short.
///
/// `rescues` counts this one too. A claimed job last changed when it was claimed: that is when the
/// attempt began.
pub(crate) fn rescued(
    job: Job,
    body_entered: bool,
    rescues: u32,
    now: Timestamp,
) -> (Job, Attempt) {
    let decision = retry::decide_rescue(&job, body_entered, rescues, now);
    let reason = decision.reason.as_ref();
    let attempt = Attempt {
        started_at: job.updated_at,
        ended_at: now,
        outcome: reason.map(|reason| reason.code.clone()).unwrap_or_default(),
        detail: reason.map(|reason| reason.message.clone()).unwrap_or_default(),
        counted: decision.counted,
    };
    (decided(job, decision, now), attempt)
}

fn decided(job: Job, decision: Decision, now: Timestamp) -> Job {
    Job {
        state: decision.state,
        reason: decision.reason,
        due_at: decision.due_at,
        recipients: decision.recipients,
        attempts: job.attempts + u32::from(decision.counted),
        updated_at: now,
        ..job
    }
}
