//! What follows from an outcome: when to try again, when to give up, and what to say.

use std::time::Duration;

use jiff::Timestamp;

use crate::address::EmailAddress;
use crate::job::{Job, JobState, Reason, RecipientResult, RecipientState};
use crate::outcome::{SendOutcome, Verdict};
use crate::policy::UnknownPolicy;
use crate::reply::SmtpReply;

/// How long a held job waits for its channel. It is released earlier when the channel opens.
const HELD_WAIT: Duration = Duration::from_secs(30);
/// How long a job waits at most that is too large for what is left of its mailbox's day.
const OVER_BUDGET_WAIT_MAX: Duration = Duration::from_mins(10);
/// How long before its end a held job is due at the latest: the smallest step of time of a store.
const DUE_BEFORE_EXPIRY: Duration = Duration::from_micros(1);
/// What to do about a mail that may have been taken.
const ASK: &str =
    "ask a recipient or look into the mailbox's sent items; if it did not arrive, retry it";
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
/// What troubles the way to the provider is no matter of the job: it stays due, so that it goes by another
/// mailbox at once, and by this one when its channel lets mails through.
pub fn decide(job: &Job, outcome: SendOutcome, now: Timestamp, jitter: f64) -> Option<Decision> {
    let decision = match outcome {
        SendOutcome::Judged(verdicts) => after_verdicts(job, verdicts, now, jitter),
        SendOutcome::SenderRefused { verdicts, reason } => {
            let decision = after_verdicts(job, verdicts, now, jitter);
            let reason =
                if decision.state == JobState::Failed { Some(reason) } else { decision.reason };
            Decision { reason, ..decision }
        }
        SendOutcome::Unknown { verdicts, reason } => {
            after_unknown(job, verdicts, reason, now, jitter)
        }
        SendOutcome::Throttled { reason, retry_after: _ }
        | SendOutcome::Unavailable { reason, retry_after: _ } => {
            uncounted(job, JobState::Deferred, reason, now)
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

fn apply(
    job: &Job,
    verdicts: impl IntoIterator<Item = Option<Verdict>>,
    otherwise: RecipientState,
) -> Vec<RecipientResult> {
    let mut recipients = job.recipients.clone();
    for (place, verdict) in job.pending().into_iter().zip(verdicts) {
        let (state, reply, reason) = match verdict {
            Some(Verdict::Accepted(reply)) => (RecipientState::Accepted, Some(reply), None),
            Some(Verdict::Deferred { reason, .. } | Verdict::InAnotherMail(reason)) => {
                apart(RecipientState::Pending, reason)
            }
            Some(Verdict::Refused(reason)) => apart(RecipientState::Refused, reason),
            None => (otherwise, None, None),
        };
        recipients[place] = RecipientResult { state, reply, reason, ..recipients[place].clone() };
    }
    recipients
}

/// The reply and the reason side by side, so that a long reply is kept once.
fn apart(
    state: RecipientState,
    reason: Reason,
) -> (RecipientState, Option<SmtpReply>, Option<Reason>) {
    let Reason { code, message, remedy, reply } = reason;
    (state, reply, Some(Reason { code, message, remedy, reply: None }))
}

fn after_verdicts(job: &Job, verdicts: Vec<Verdict>, now: Timestamp, jitter: f64) -> Decision {
    let rest = rest_for_another_mail(&verdicts);
    let hint = wait_of_the_first(&verdicts);
    let mut recipients = apply(job, verdicts.into_iter().map(Some), RecipientState::Pending);
    if let Some(reason) = rest {
        let (state, reason) = (JobState::Deferred, Some(reason));
        return Decision { state, reason, due_at: now, recipients, counted: false };
    }
    let policy = job.class.retry_policy();
    let attempt = job.attempts + 1;
    let deferral = last_reason(&recipients, RecipientState::Pending);
    if let Some(reason) = deferral.clone().filter(|_| attempt < policy.attempts_max) {
        let due_at = now + policy.backoff(attempt, jitter).max(hint);
        let (state, reason) = (JobState::Deferred, Some(reason));
        return Decision { state, reason, due_at, recipients, counted: true };
    }
    replace(&mut recipients, RecipientState::Pending, RecipientState::Refused);
    let (state, reason) = final_state(&recipients, deferral.is_some().then_some(attempt));
    Decision { state, reason, due_at: now, recipients, counted: true }
}

/// Why some recipients are left for another mail. That goes out at once and costs no attempt, but only if this one
/// has settled the matter of somebody: else a server that turns all away would be asked for ever.
fn rest_for_another_mail(verdicts: &[Verdict]) -> Option<Reason> {
    let is_final =
        |verdict: &Verdict| matches!(verdict, Verdict::Accepted(_) | Verdict::Refused(_));
    verdicts.iter().rev().find_map(left).filter(|_| verdicts.iter().any(is_final))
}

/// Why a recipient is left for another mail.
fn left(verdict: &Verdict) -> Option<Reason> {
    match verdict {
        Verdict::InAnotherMail(reason) => Some(reason.clone()),
        Verdict::Accepted(_) | Verdict::Deferred { .. } | Verdict::Refused(_) => None,
    }
}

/// How long those wait who were deferred, as the provider wants it: a mail has one time for all, so whoever may be
/// tried first does not wait for the others.
fn wait_of_the_first(verdicts: &[Verdict]) -> Duration {
    let wait = |verdict: &Verdict| match verdict {
        Verdict::Deferred { retry_after, .. } => Some(retry_after.unwrap_or_default()),
        Verdict::InAnotherMail(_) => Some(Duration::ZERO),
        Verdict::Accepted(_) | Verdict::Refused(_) => None,
    };
    verdicts.iter().filter_map(wait).min().unwrap_or_default()
}

fn final_state(
    recipients: &[RecipientResult],
    attempts_used_up: Option<u32>,
) -> (JobState, Option<Reason>) {
    let any = |state| recipients.iter().any(|one| one.state == state);
    let refused = last_reason(recipients, RecipientState::Refused);
    let (accepted, unknown) = (any(RecipientState::Accepted), any(RecipientState::Unknown));
    let because = |refused: Reason, code: &str, what: &str| {
        let message = format!("{what}: {}", refused.message);
        Reason { code: code.to_owned(), message, ..refused }
    };
    let reason = match (refused, attempts_used_up) {
        (_, _) if unknown => {
            let message = "the answer to the mail for some of the recipients was lost";
            Some(Reason::new("OUTCOME_UNKNOWN", message).remedy(ASK))
        }
        (None, _) => None,
        (Some(refused), Some(attempts)) => {
            let what = format!("still deferred by the provider after {attempts} attempts");
            Some(because(refused, "ATTEMPTS_USED_UP", &what))
        }
        (Some(refused), None) if accepted => {
            let what = "the provider refused some of the recipients";
            Some(because(refused, "SOME_RECIPIENTS_REFUSED", what))
        }
        (Some(refused), None) if is_said_to_all(recipients, &refused) => Some(refused),
        (Some(refused), None) => {
            let what = "each recipient was refused for a reason of its own; the last one";
            Some(because(refused, "PROVIDER_REFUSED", what))
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

fn is_said_to_all(recipients: &[RecipientResult], reason: &Reason) -> bool {
    let mut codes = recipients.iter().filter_map(|one| one.reason.as_ref()).map(|one| &one.code);
    codes.all(|code| *code == reason.code)
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
    if verdicts.iter().all(Option::is_some) {
        return after_verdicts(job, verdicts.into_iter().flatten().collect(), now, jitter);
    }
    let rest = verdicts.iter().flatten().rev().find_map(left);
    let mut recipients = apply(job, verdicts, RecipientState::Unknown);
    match job.class.unknown_policy() {
        UnknownPolicy::Resend if attempt < policy.attempts_max => {
            replace(&mut recipients, RecipientState::Unknown, RecipientState::Pending);
            let due_at = now + policy.backoff(attempt, jitter);
            let reason = reason.remedy("it is sent again: a second copy may arrive");
            let (state, reason) = (JobState::Deferred, Some(reason));
            Decision { state, reason, due_at, recipients, counted: true }
        }
        // Who was not offered to the provider has nothing to do with the answer that was lost.
        UnknownPolicy::Stop if rest.is_some() && attempt < policy.attempts_max => {
            let due_at = now + policy.backoff(attempt, jitter);
            Decision { state: JobState::Deferred, reason: rest, due_at, recipients, counted: true }
        }
        UnknownPolicy::Resend | UnknownPolicy::Stop => {
            replace(&mut recipients, RecipientState::Pending, RecipientState::Refused);
            let reason = reason.remedy(ASK);
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
    let any = |state| decision.recipients.iter().any(|one| one.state == state);
    if any(RecipientState::Unknown) {
        let (state, reason) = final_state(&decision.recipients, None);
        return Decision { state, reason, ..decision };
    }
    let accepted = any(RecipientState::Accepted);
    let state = if accepted { JobState::Sent } else { JobState::Expired };
    let reason = Some(expired(decision.reason.as_ref()));
    Decision { state, reason, ..decision }
}

/// The reason of the last recipient in this state that the provider has answered, with the reply.
fn last_reason(recipients: &[RecipientResult], state: RecipientState) -> Option<Reason> {
    let mut answered = recipients.iter().rev().filter(|one| one.state == state);
    answered.find_map(|one| {
        let reply = one.reply.clone();
        match &one.reason {
            Some(reason) => Some(Reason { reply, ..reason.clone() }),
            // Stored by a version that kept the reply alone.
            None => reply
                .map(|reply| Reason::new("PROVIDER_REFUSED", "refused or deferred").reply(reply)),
        }
    })
}

#[cfg(test)]
mod tests;
