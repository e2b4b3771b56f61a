//! What follows from an outcome: when to try again, when to give up, and what to say.

use std::time::Duration;

use jiff::Timestamp;

use crate::address::EmailAddress;
use crate::job::{Job, JobState, Reason, RecipientResult, RecipientState};
use crate::outcome::{SendOutcome, Verdict};
use crate::policy::UnknownPolicy;
use crate::reply::SmtpReply;

/// How long a job of a troubled channel waits at first, and at most: it doubles with each try of this job
/// that came to nothing, so that a mail at which the server breaks off does not stop all others for ever.
/// The channel itself decides when sending goes on.
const CHANNEL_WAIT: Duration = Duration::from_secs(1);
const CHANNEL_WAIT_MAX: Duration = Duration::from_mins(1);
/// How long a held job waits for its channel. It is released earlier when the channel opens.
const HELD_WAIT: Duration = Duration::from_secs(30);
/// How long a job waits at most that is too large for what is left of its mailbox's day.
const OVER_BUDGET_WAIT_MAX: Duration = Duration::from_mins(10);
/// How long before its end a held job is due at the latest: the smallest step of time of a store.
const DUE_BEFORE_EXPIRY: Duration = Duration::from_micros(1);
/// How often a job may be found in the hands of a dead node before it is given up.
pub const RESCUES_MAX: u32 = 5;

/// What becomes of a job after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub state: JobState,
    pub reason: Option<Reason>,
    pub due_at: Timestamp,
    pub recipients: Vec<RecipientResult>,
    /// Whether the provider judged the mail.
    pub counted: bool,
}

/// Decides what becomes of a job. `Abandoned` changes nothing, so there is no decision.
///
/// `claims` tells how often the job was leased, this time included.
pub fn decide(
    job: &Job,
    claims: i64,
    outcome: SendOutcome,
    now: Timestamp,
    jitter: f64,
) -> Option<Decision> {
    let decision = match outcome {
        SendOutcome::Judged(verdicts) => {
            let verdicts = verdicts.into_iter().map(Some).collect();
            let recipients = apply(job, verdicts, RecipientState::Pending);
            after_verdicts(job, recipients, now, jitter)
        }
        SendOutcome::SenderRefused { verdicts, reason } => {
            let verdicts = verdicts.into_iter().map(Some).collect();
            let recipients = apply(job, verdicts, RecipientState::Pending);
            let decision = after_verdicts(job, recipients, now, jitter);
            let reason =
                if decision.state == JobState::Failed { Some(reason) } else { decision.reason };
            Decision { reason, ..decision }
        }
        SendOutcome::Unknown { verdicts, reason } => {
            after_unknown(job, verdicts, reason, now, jitter)
        }
        SendOutcome::Throttled { reason, retry_after }
        | SendOutcome::Unavailable { reason, retry_after } => {
            let due_at = now + retry_after.unwrap_or_default().max(channel_wait(job, claims));
            uncounted(job, JobState::Deferred, reason, due_at)
        }
        SendOutcome::Closed { reason } => {
            // What is due when it expires is held by a caller, and not released with the channel.
            let due_at = (now + HELD_WAIT).min(job.expires_at - DUE_BEFORE_EXPIRY);
            uncounted(job, JobState::Held, reason, due_at)
        }
        SendOutcome::Abandoned => return None,
    };
    Some(expire_early(job, decision))
}

/// Decides what becomes of a job whose node died while sending it.
///
/// `body_entered` tells whether the body may have gone out; if not, the mail is certainly not sent.
pub fn decide_rescue(job: &Job, body_entered: bool, rescues: u32, now: Timestamp) -> Decision {
    if RESCUES_MAX <= rescues {
        let message = format!("the node died {rescues} times while sending this mail");
        let reason = Reason::new("NODE_DIED_REPEATEDLY", message)
            .remedy("look into the logs of the nodes, then submit the mail again");
        let recipients = if body_entered {
            apply(job, vec![None; job.pending().len()], RecipientState::Unknown)
        } else {
            job.recipients.clone()
        };
        let (state, _) = final_state(&recipients, None);
        let (reason, due_at, counted) = (Some(reason), now, body_entered);
        return Decision { state, reason, due_at, recipients, counted };
    }
    if body_entered {
        let message = "the node died while the mail was being handed over";
        let reason = Reason::new("OUTCOME_UNKNOWN", message);
        let verdicts = vec![None; job.pending().len()];
        return expire_early(job, after_unknown(job, verdicts, reason, now, 0.0));
    }
    let reason = Reason::new("NODE_DIED", "the node died before it handed the mail over");
    expire_early(job, uncounted(job, JobState::Deferred, reason, now))
}

/// Decides what becomes of a job to more recipients than its mailbox may still reach within a day; it fits
/// after `fits_in`, if it fits at all. It was not tried.
pub fn decide_over_budget(
    job: &Job,
    mailbox: &EmailAddress,
    fits_in: Option<Duration>,
    now: Timestamp,
) -> Decision {
    let message = format!(
        "`{mailbox}` may not send to {} more recipients within 24 hours",
        job.pending().len()
    );
    let reason = Reason::new("RECIPIENT_LIMIT_REACHED", message).remedy(
        "it is sent when the day's earlier mails count no more; or name another mailbox in the \
         settings, or split the mail",
    );
    // Another mailbox may have room before.
    let due_at = now + fits_in.unwrap_or(OVER_BUDGET_WAIT_MAX).min(OVER_BUDGET_WAIT_MAX);
    expire_early(job, uncounted(job, JobState::Deferred, reason, due_at))
}

/// The decision for a job whose time to live is over.
pub fn expired(reason: Option<&Reason>) -> Reason {
    let before = reason.map(|reason| format!("; before: {}", reason.message)).unwrap_or_default();
    Reason::new("EXPIRED", format!("the time to live ended before the mail could be sent{before}"))
}

fn channel_wait(job: &Job, claims: i64) -> Duration {
    let in_vain = claims.saturating_sub(i64::from(job.attempts)).clamp(1, 16);
    let factor = 2_u32.pow(u32::try_from(in_vain - 1).expect("it is small"));
    CHANNEL_WAIT.saturating_mul(factor).min(CHANNEL_WAIT_MAX)
}

fn apply(
    job: &Job,
    verdicts: Vec<Option<Verdict>>,
    otherwise: RecipientState,
) -> Vec<RecipientResult> {
    let mut recipients = job.recipients.clone();
    for (place, verdict) in job.pending().into_iter().zip(verdicts) {
        let (state, reply) = match verdict {
            Some(Verdict::Accepted(reply)) => (RecipientState::Accepted, Some(reply)),
            Some(Verdict::Deferred(reply)) => (RecipientState::Pending, Some(reply)),
            Some(Verdict::Refused(reply)) => (RecipientState::Refused, Some(reply)),
            None => (otherwise, None),
        };
        recipients[place] = RecipientResult { state, reply, ..recipients[place].clone() };
    }
    recipients
}

fn after_verdicts(
    job: &Job,
    mut recipients: Vec<RecipientResult>,
    now: Timestamp,
    jitter: f64,
) -> Decision {
    let policy = job.class.retry_policy();
    let attempt = job.attempts + 1;
    let deferral = last_reply(&recipients, RecipientState::Pending);
    if let Some(reply) = deferral.clone().filter(|_| attempt < policy.attempts_max) {
        let reason =
            Reason::new("PROVIDER_DEFERRED", "the provider asked to try again later").reply(reply);
        let due_at = now + policy.backoff(attempt, jitter);
        let (state, reason) = (JobState::Deferred, Some(reason));
        return Decision { state, reason, due_at, recipients, counted: true };
    }
    replace(&mut recipients, RecipientState::Pending, RecipientState::Refused);
    let (state, reason) = final_state(&recipients, deferral.is_some().then_some(attempt));
    Decision { state, reason, due_at: now, recipients, counted: true }
}

fn final_state(
    recipients: &[RecipientResult],
    attempts_used_up: Option<u32>,
) -> (JobState, Option<Reason>) {
    let any = |state| recipients.iter().any(|one| one.state == state);
    let refused = last_reply(recipients, RecipientState::Refused);
    let (accepted, unknown) = (any(RecipientState::Accepted), any(RecipientState::Unknown));
    let reason = match (refused, attempts_used_up) {
        (None, _) => None,
        (Some(reply), Some(attempts)) => {
            let message = format!("still deferred by the provider after {attempts} attempts");
            Some(Reason::new("ATTEMPTS_USED_UP", message).reply(reply))
        }
        (Some(reply), None) if accepted || unknown => {
            let message = "the provider refused some of the recipients";
            Some(Reason::new("SOME_RECIPIENTS_REFUSED", message).reply(reply))
        }
        (Some(reply), None) => {
            Some(Reason::new("PROVIDER_REFUSED", "the provider refused the mail").reply(reply))
        }
    };
    let state = if unknown {
        JobState::Unknown
    } else if accepted {
        JobState::Sent
    } else {
        JobState::Failed
    };
    (state, reason)
}

fn after_unknown(
    job: &Job,
    verdicts: Vec<Option<Verdict>>,
    reason: Reason,
    now: Timestamp,
    jitter: f64,
) -> Decision {
    let policy = job.class.retry_policy();
    let attempt = job.attempts + 1;
    let mut recipients = apply(job, verdicts, RecipientState::Unknown);
    if recipients.iter().all(|one| one.state != RecipientState::Unknown) {
        return after_verdicts(job, recipients, now, jitter);
    }
    match job.class.unknown_policy() {
        UnknownPolicy::Resend if attempt < policy.attempts_max => {
            replace(&mut recipients, RecipientState::Unknown, RecipientState::Pending);
            let due_at = now + policy.backoff(attempt, jitter);
            let reason = reason.remedy("it is sent again: a second copy may arrive");
            let (state, reason) = (JobState::Deferred, Some(reason));
            Decision { state, reason, due_at, recipients, counted: true }
        }
        UnknownPolicy::Resend | UnknownPolicy::Stop => {
            replace(&mut recipients, RecipientState::Pending, RecipientState::Refused);
            let reason = reason.remedy(
                "ask a recipient or look into the mailbox's sent items; if it did not arrive, \
                 retry it",
            );
            let state = JobState::Unknown;
            Decision { state, reason: Some(reason), due_at: now, recipients, counted: true }
        }
    }
}

fn replace(recipients: &mut [RecipientResult], from: RecipientState, to: RecipientState) {
    for one in recipients.iter_mut().filter(|one| one.state == from) {
        one.state = to;
    }
}

fn uncounted(job: &Job, state: JobState, reason: Reason, due_at: Timestamp) -> Decision {
    let recipients = job.recipients.clone();
    Decision { state, reason: Some(reason), due_at, recipients, counted: false }
}

/// A job that could only be tried again after its end expires now, so that its sender learns it early.
fn expire_early(job: &Job, decision: Decision) -> Decision {
    if decision.state != JobState::Deferred || decision.due_at < job.expires_at {
        return decision;
    }
    let accepted = decision.recipients.iter().any(|one| one.state == RecipientState::Accepted);
    let state = if accepted { JobState::Sent } else { JobState::Expired };
    let reason = Some(expired(decision.reason.as_ref()));
    Decision { state, reason, ..decision }
}

fn last_reply(recipients: &[RecipientResult], state: RecipientState) -> Option<SmtpReply> {
    recipients.iter().rev().filter(|one| one.state == state).find_map(|one| one.reply.clone())
}

#[cfg(test)]
mod tests;
