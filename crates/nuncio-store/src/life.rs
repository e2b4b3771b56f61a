//! How a job changes, without saying where it is kept: every store of this crate uses it.

use jiff::Timestamp;
use nuncio_core::job::{Attempt, BudgetUse, HELD_BY_CALLER, Job, JobState, Reason, RecipientState};
use nuncio_core::ports::job_store::{CancelError, DirectError, Direction, Settlement};
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

/// The job as a caller wants it; none if it stands so already.
///
/// `has_mail` tells whether the mail is still kept.
pub(crate) fn directed(
    job: Job,
    direction: Direction,
    has_mail: bool,
    now: Timestamp,
) -> Result<Option<Job>, DirectError> {
    let (id, state) = (job.id, job.state);
    match direction {
        Direction::Hold if !state.is_waiting() => Err(DirectError::NotHoldable { id, state }),
        Direction::Hold => Ok((!job.is_held_by_caller()).then(|| held(job, now))),
        Direction::Release | Direction::Retry { .. } if job.is_held_by_caller() => {
            Ok(Some(released(job, now)))
        }
        Direction::Release => Err(DirectError::NotHeld { id, state }),
        Direction::Retry { allow_duplicate } => retried(job, allow_duplicate, has_mail, now),
    }
}

fn retried(
    job: Job,
    allow_duplicate: bool,
    has_mail: bool,
    now: Timestamp,
) -> Result<Option<Job>, DirectError> {
    let (id, state) = (job.id, job.state);
    match state {
        JobState::Deferred | JobState::Held => {
            Ok((now < job.due_at).then_some(Job { due_at: now, updated_at: now, ..job }))
        }
        JobState::Unknown if !has_mail || job.expires_at <= now => Err(DirectError::TooLate(id)),
        JobState::Unknown if !allow_duplicate => Err(DirectError::MayBeDuplicate(id)),
        JobState::Unknown => Ok(Some(sent_again(job, now))),
        JobState::Queued
        | JobState::Sending
        | JobState::Sent
        | JobState::Failed
        | JobState::Expired
        | JobState::Cancelled => Err(DirectError::NotRetryable { id, state }),
    }
}

fn held(job: Job, now: Timestamp) -> Job {
    let before = job.reason.as_ref().map(|reason| format!("; before: {}", reason.message));
    let message = format!("held by a caller{}", before.unwrap_or_default());
    let reason = Reason::new(HELD_BY_CALLER, message)
        .remedy("release it, or cancel it; if nobody does, it expires");
    // Due when it expires is never: no claim takes it, and no other job waits behind it.
    Job {
        state: JobState::Held,
        reason: Some(reason),
        due_at: job.expires_at,
        updated_at: now,
        ..job
    }
}

/// A job that nobody has tried to send goes back to where it was; any other waits for its next attempt.
fn released(job: Job, now: Timestamp) -> Job {
    let untried = job.attempts == 0
        && job.settings_generation.is_none()
        && job.recipients.iter().all(|one| one.state == RecipientState::Pending);
    let (state, reason) = if untried {
        (JobState::Queued, None)
    } else {
        (JobState::Deferred, Some(Reason::new("RELEASED_BY_CALLER", "released by a caller")))
    };
    Job { state, reason, due_at: now, updated_at: now, ..job }
}

fn sent_again(mut job: Job, now: Timestamp) -> Job {
    for one in job.recipients.iter_mut().filter(|one| one.state == RecipientState::Unknown) {
        (one.state, one.reply) = (RecipientState::Pending, None);
    }
    let message = "a caller wants it sent again; a second copy may arrive";
    let reason = Some(Reason::new("RETRIED_BY_CALLER", message));
    Job { state: JobState::Deferred, reason, due_at: now, updated_at: now, ..job }
}

/// Whether the mail of a job in this state is still needed.
pub(crate) fn keeps_mail(state: JobState) -> bool {
    !state.is_final() || state == JobState::Unknown
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
    let recipients = u32::try_from(job.pending().len()).unwrap_or(u32::MAX);
    let attempt = Attempt {
        started_at: job.updated_at,
        ended_at: now,
        outcome: reason.map(|reason| reason.code.clone()).unwrap_or_default(),
        detail: reason.map(|reason| reason.message.clone()).unwrap_or_default(),
        counted: decision.counted,
        used: body_entered.then_some(BudgetUse { mailbox: None, recipients }),
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
