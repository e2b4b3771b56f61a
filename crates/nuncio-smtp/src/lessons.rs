//! What answers of a provider teach for the mails that come after.

use std::collections::HashMap;
use std::time::Duration;

use nuncio_core::address::EmailAddress;
use nuncio_core::job::Reason;
use nuncio_core::outcome::{SendOutcome, Verdict};
use tokio::time::Instant;

use crate::classify::{Class, classify};
use crate::phase::Phase;
use crate::session::transaction::{Replies, held_back};

/// How long a mailbox sends to fewer recipients at once after the server took no more. It may have been about this
/// one mail: Exchange Online counts the recipients of a domain, too.
const RECIPIENTS_MAX_KEPT: Duration = Duration::from_hours(1);
/// How long a mailbox that cannot be opened may be in passing trouble, and how long it rests between two tries. Then
/// a permission is missing: <https://github.com/simonrob/email-oauth2-proxy/issues/271>.
const LOGON_GRACE: Duration = Duration::from_secs(45);
const LOGON_PAUSE: Duration = Duration::from_secs(15);

/// What is known of the mailboxes of one generation of the settings.
#[derive(Debug, Default)]
pub struct Lessons {
    generation: i64,
    mailboxes: HashMap<EmailAddress, Lesson>,
    tenant_rest: Option<Rest>,
}

#[derive(Debug, Default)]
struct Lesson {
    /// How many recipients a mail may have, and until when that holds.
    recipients_max: Option<(usize, Instant)>,
    logon_failed_first: Option<Instant>,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    reason: Reason,
}

impl Lessons {
    /// The outcome of any mail while the tenant may send no more: nobody is asked.
    pub fn tenant_rest(&self, generation: i64, now: Instant) -> Option<SendOutcome> {
        let rest = self.tenant_rest.as_ref();
        let rest = rest.filter(|rest| generation == self.generation && now < rest.until)?;
        let retry_after = Some(rest.until - now);
        Some(SendOutcome::Unavailable { reason: rest.reason.clone(), retry_after })
    }

    /// To how many recipients a mail of the mailbox goes at once.
    pub fn recipients_max(&self, generation: i64, mailbox: &EmailAddress, now: Instant) -> usize {
        let lesson = self.mailboxes.get(mailbox).filter(|_| generation == self.generation);
        let known = lesson.and_then(|lesson| lesson.recipients_max);
        known.filter(|(_, until)| now < *until).map_or(usize::MAX, |(most, _)| most)
    }

    /// A mail of the mailbox goes to no more than so many recipients at once for a while.
    pub fn limit_recipients(
        &mut self,
        generation: i64,
        mailbox: &EmailAddress,
        most: usize,
        now: Instant,
    ) {
        let most = most.min(self.recipients_max(generation, mailbox, now));
        if let Some(lesson) = self.lesson(generation, mailbox) {
            lesson.recipients_max = Some((most.max(1), now + RECIPIENTS_MAX_KEPT));
        }
    }

    /// Learns from a transaction, and says what came of it in the light of what is known.
    pub fn learn(
        &mut self,
        generation: i64,
        mailbox: &EmailAddress,
        replies: &Replies,
        outcome: SendOutcome,
        now: Instant,
    ) -> SendOutcome {
        if is_taken(&outcome) {
            self.forget_logon(mailbox);
        }
        let accepted = replies.accepted();
        for (phase, reply) in replies.negative().filter(|(_, reply)| **reply != held_back()) {
            match classify(phase, reply).class {
                Class::TooMany if 0 < accepted && phase == Phase::Rcpt => {
                    self.limit_recipients(generation, mailbox, accepted, now);
                }
                Class::TooManyThrottled(_) => {
                    // Refused before RCPT, the mail tells as much as it would have had.
                    let count = if accepted == 0 { replies.recipients.len() } else { accepted };
                    if 1 < count {
                        self.limit_recipients(generation, mailbox, count.div_ceil(2), now);
                    }
                }
                Class::TenantThrottled(pause) => {
                    self.rest_tenant(generation, &outcome, now + pause);
                }
                Class::Logon => return self.on_logon_failed(generation, mailbox, outcome, now),
                Class::TooMany
                | Class::Login
                | Class::Closed
                | Class::Sender
                | Class::SessionLost
                | Class::Unavailable
                | Class::Throttled(_)
                | Class::Deferred(_)
                | Class::Refused => {}
            }
        }
        outcome
    }

    /// Only if nothing gets through any more: mails within the tenant do not count towards its limit.
    fn rest_tenant(&mut self, generation: i64, outcome: &SendOutcome, until: Instant) {
        if let SendOutcome::Throttled { reason, .. } = outcome
            && self.takes(generation)
        {
            self.tenant_rest = Some(Rest { until, reason: reason.clone() });
        }
    }

    /// The mailbox is refused only after some tries.
    fn on_logon_failed(
        &mut self,
        generation: i64,
        mailbox: &EmailAddress,
        outcome: SendOutcome,
        now: Instant,
    ) -> SendOutcome {
        match (outcome, self.lesson(generation, mailbox)) {
            (SendOutcome::Closed { reason }, Some(lesson)) => {
                let first = *lesson.logon_failed_first.get_or_insert(now);
                if LOGON_GRACE <= now - first {
                    return SendOutcome::Closed { reason };
                }
                SendOutcome::Unavailable { reason, retry_after: Some(LOGON_PAUSE) }
            }
            (outcome, _) => outcome,
        }
    }

    fn forget_logon(&mut self, mailbox: &EmailAddress) {
        if let Some(lesson) = self.mailboxes.get_mut(mailbox) {
            lesson.logon_failed_first = None;
        }
    }

    fn lesson(&mut self, generation: i64, mailbox: &EmailAddress) -> Option<&mut Lesson> {
        let is_taken = self.takes(generation);
        is_taken.then(|| self.mailboxes.entry(mailbox.clone()).or_default())
    }

    /// Whether something learnt under these settings counts. Under newer ones all begins anew.
    fn takes(&mut self, generation: i64) -> bool {
        if self.generation < generation {
            *self = Self { generation, ..Self::default() };
        }
        self.generation == generation
    }
}

/// To how many recipients a mail may go that was refused as a whole for having so many; nothing if that was not the
/// fault, or if it had one only.
pub fn fewer_recipients(replies: &Replies) -> Option<usize> {
    let accepted = replies.accepted();
    let is_too_many =
        |(phase, reply)| phase != Phase::Rcpt && classify(phase, reply).class == Class::TooMany;
    (1 < accepted && replies.negative().any(is_too_many)).then(|| accepted.div_ceil(2))
}

fn is_taken(outcome: &SendOutcome) -> bool {
    match outcome {
        SendOutcome::Judged(verdicts) => {
            verdicts.iter().any(|verdict| matches!(verdict, Verdict::Accepted(_)))
        }
        SendOutcome::SenderRefused { .. }
        | SendOutcome::Unknown { .. }
        | SendOutcome::Throttled { .. }
        | SendOutcome::Unavailable { .. }
        | SendOutcome::Closed { .. }
        | SendOutcome::Abandoned => false,
    }
}

#[cfg(test)]
mod tests;
