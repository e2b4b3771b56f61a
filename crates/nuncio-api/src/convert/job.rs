//! Mail jobs: requests in, jobs and attempts out.

use jiff::Timestamp;
use nuncio_core::class::MailClass;
use nuncio_core::job::{Attempt, Job, JobOptionsDraft, JobState, Reason, RecipientResult};
use nuncio_core::mail::MailDraft;
use nuncio_core::reply::{EnhancedCode, SmtpReply};
use nuncio_core::violation::Violations;

use crate::convert::enums::known;
use crate::convert::time::{duration_from, timestamp, timestamp_from};
use crate::v1;

/// What a caller asks for with `CreateMailJob`, not yet checked.
#[derive(Clone, Default)]
pub struct CreateMailJob {
    pub mail: MailDraft,
    /// None means that the mail decides.
    pub class: Option<MailClass>,
    pub options: JobOptionsDraft,
    pub validate_only: bool,
}

impl CreateMailJob {
    /// Takes the request apart. What cannot be read is noted in `violations` and left out, so that the
    /// checks of mail and options can add theirs to the same answer.
    pub fn read(violations: &mut Violations, request: v1::CreateMailJobRequest) -> Self {
        let not_before = request.not_before_time;
        let options = JobOptionsDraft {
            request_id: request.request_id,
            not_before: timestamp_from(violations, "not_before_time", not_before),
            time_to_live: duration_from(violations, "time_to_live", request.time_to_live),
            labels: request.labels,
        };
        let class = known::<v1::MailClass, MailClass>(violations, "class", request.class);
        Self {
            mail: request.mail.map(MailDraft::from).unwrap_or_default(),
            class,
            options,
            validate_only: request.validate_only,
        }
    }
}

impl From<Job> for v1::MailJob {
    fn from(job: Job) -> Self {
        let next_attempt_time = next_attempt(&job).map(timestamp);
        Self {
            name: job.id.to_string(),
            class: v1::MailClass::from(job.class).into(),
            state: v1::MailJobState::from(job.state).into(),
            reason: job.reason.map(v1::Reason::from),
            recipients: job.recipients.into_iter().map(v1::RecipientResult::from).collect(),
            attempt_count: i32::try_from(job.attempts).unwrap_or(i32::MAX),
            create_time: Some(timestamp(job.created_at)),
            update_time: Some(timestamp(job.updated_at)),
            next_attempt_time,
            expire_time: Some(timestamp(job.expires_at)),
            message_id: job.message_id,
            labels: job.labels,
            subject: if job.template.is_some() { String::new() } else { job.subject },
            template: job.template.unwrap_or_default(),
            settings_generation: job.settings_generation.unwrap_or_default(),
        }
    }
}

/// When a waiting job is tried next.
fn next_attempt(job: &Job) -> Option<Timestamp> {
    match job.state {
        JobState::Held if job.is_held_by_caller() => None,
        JobState::Queued | JobState::Deferred | JobState::Held => Some(job.due_at),
        JobState::Sending
        | JobState::Sent
        | JobState::Failed
        | JobState::Expired
        | JobState::Cancelled
        | JobState::Unknown => None,
    }
}

impl From<RecipientResult> for v1::RecipientResult {
    fn from(result: RecipientResult) -> Self {
        Self {
            address: result.address.to_string(),
            kind: v1::RecipientKind::from(result.kind).into(),
            state: v1::RecipientState::from(result.state).into(),
            reply: result.reply.map(v1::SmtpReply::from),
            reason: result.reason.map(v1::Reason::from),
        }
    }
}

impl From<Reason> for v1::Reason {
    fn from(Reason { code, message, remedy, reply }: Reason) -> Self {
        Self { code, message, remedy, reply: reply.map(v1::SmtpReply::from) }
    }
}

impl From<v1::Reason> for Reason {
    fn from(v1::Reason { code, message, remedy, reply }: v1::Reason) -> Self {
        Self { code, message, remedy, reply: reply.map(SmtpReply::from) }
    }
}

impl From<SmtpReply> for v1::SmtpReply {
    fn from(SmtpReply { code, enhanced, text }: SmtpReply) -> Self {
        let enhanced_code = enhanced.map(|code| code.to_string()).unwrap_or_default();
        Self { code: code.into(), enhanced_code, text }
    }
}

/// A reply from another node. It was right when that node made it; what is not is left out.
impl From<v1::SmtpReply> for SmtpReply {
    fn from(v1::SmtpReply { code, enhanced_code, text }: v1::SmtpReply) -> Self {
        let enhanced: Option<EnhancedCode> = enhanced_code.parse().ok();
        Self { code: u16::try_from(code).unwrap_or_default(), enhanced, text }
    }
}

impl From<Attempt> for v1::MailAttempt {
    fn from(attempt: Attempt) -> Self {
        let Attempt { started_at, ended_at, outcome, detail, counted, used: _ } = attempt;
        let (start_time, end_time) = (Some(timestamp(started_at)), Some(timestamp(ended_at)));
        Self { start_time, end_time, outcome, detail, counted }
    }
}

#[cfg(test)]
mod tests;
