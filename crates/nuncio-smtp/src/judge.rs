//! From the replies of a transaction to the outcome of an attempt.

use nuncio_core::job::Reason;
use nuncio_core::outcome::{SendOutcome, Verdict};
use nuncio_core::reply::SmtpReply;

use crate::classify::{Class, Finding, classify};
use crate::phase::Phase;
use crate::session::transaction::Replies;

/// Whom a mail names as its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderKind {
    /// The mailbox of the settings.
    Mailbox,
    /// Somebody else, for this mail only.
    Other,
}

/// What came of a transaction that went to its end.
pub fn judge(replies: &Replies, sender: SenderKind) -> SendOutcome {
    let count = replies.recipients.len();
    if let Some(reply) = replies.mail.as_ref().filter(|reply| is_negative(reply)) {
        return for_all(Phase::Mail, reply, vec![None; count], sender);
    }
    let verdicts = recipient_verdicts(replies);
    if verdicts.iter().all(Option::is_some) {
        return no_recipient(replies, verdicts, sender);
    }
    for (phase, reply) in [(Phase::Data, &replies.data), (Phase::EndOfData, &replies.end)] {
        if let Some(reply) = reply.as_ref().filter(|reply| is_negative(reply)) {
            return for_all(phase, reply, verdicts, sender);
        }
    }
    let Some(end) = &replies.end else {
        return lost(replies, Reason::new("OUTCOME_UNKNOWN", "the server's answer is missing"));
    };
    SendOutcome::Judged(fill(verdicts, || Verdict::Accepted(end.clone())))
}

/// The outcome where the answer to the mail was lost.
pub fn lost(replies: &Replies, reason: Reason) -> SendOutcome {
    SendOutcome::Unknown { verdicts: recipient_verdicts(replies), reason }
}

/// The outcome of a mail that was refused as a whole, by a reply that nuncio made up.
pub fn refused_here(reply: &SmtpReply, recipients: usize) -> SendOutcome {
    let reason = classify(Phase::Mail, reply).verdict(reply);
    SendOutcome::Judged(vec![Verdict::Refused(reason); recipients])
}

/// The outcome of a mail that makes no message.
pub fn not_built(recipients: usize) -> SendOutcome {
    let reason = Reason::new("MESSAGE_INVALID", "the message could not be built; nothing was sent")
        .remedy("this is a fault of nuncio: report it with what the log says");
    SendOutcome::Judged(vec![Verdict::Refused(reason); recipients])
}

/// Verdicts on those who were not accepted at RCPT.
fn recipient_verdicts(replies: &Replies) -> Vec<Option<Verdict>> {
    let judged = |reply: &Option<SmtpReply>| {
        let reply = reply.as_ref().filter(|reply| is_negative(reply))?;
        Some(verdict(&classify(Phase::Rcpt, reply), reply))
    };
    replies.recipients.iter().map(judged).collect()
}

/// What a reply means for those it is about, while the way is good for others.
fn verdict(finding: &Finding, reply: &SmtpReply) -> Verdict {
    let reason = finding.verdict(reply);
    match finding.class {
        Class::Deferred(retry_after) => Verdict::Deferred { reason, retry_after },
        // It is no fault of the recipient.
        Class::SessionLost
        | Class::Unavailable
        | Class::Logon
        | Class::Throttled(_)
        | Class::TenantThrottled(_)
        | Class::TooManyThrottled(_) => Verdict::Deferred { reason, retry_after: None },
        Class::TooMany => Verdict::InAnotherMail(reason),
        Class::Refused | Class::Closed | Class::Sender | Class::Login => Verdict::Refused(reason),
    }
}

/// Nobody was accepted. If the way is to blame for one, it is for all.
fn no_recipient(
    replies: &Replies,
    verdicts: Vec<Option<Verdict>>,
    sender: SenderKind,
) -> SendOutcome {
    let findings = replies.recipients.iter().flatten().map(|r| (r, classify(Phase::Rcpt, r)));
    let mut of_the_way = findings.filter_map(|(reply, finding)| way(&finding, reply, sender));
    if let Some(outcome) = of_the_way.next() {
        return outcome;
    }
    // Some servers tell it at the first recipient, and then at each.
    let negative = replies.recipients.iter().flatten();
    let mut refused = negative.filter_map(|reply| sender_refused(Phase::Rcpt, reply, sender));
    match refused.next() {
        Some(reason) => {
            let verdicts = verdicts.into_iter().flatten().collect();
            SendOutcome::SenderRefused { verdicts, reason }
        }
        None => judged(verdicts),
    }
}

fn for_all(
    phase: Phase,
    reply: &SmtpReply,
    verdicts: Vec<Option<Verdict>>,
    sender: SenderKind,
) -> SendOutcome {
    let finding = classify(phase, reply);
    if let Some(outcome) = way(&finding, reply, sender) {
        return outcome;
    }
    let filled = fill(verdicts, || verdict(&finding, reply));
    match sender_refused(phase, reply, sender) {
        Some(reason) => SendOutcome::SenderRefused { verdicts: filled, reason },
        None => SendOutcome::Judged(filled),
    }
}

/// The reason, if the reply is about a sender that only this mail asks for.
fn sender_refused(phase: Phase, reply: &SmtpReply, sender: SenderKind) -> Option<Reason> {
    let finding = classify(phase, reply);
    let is_about_it = finding.class == Class::Sender && sender == SenderKind::Other;
    is_about_it.then(|| finding.reason(reply))
}

/// The outcome, if the reply is about the way to the provider.
fn way(finding: &Finding, reply: &SmtpReply, sender: SenderKind) -> Option<SendOutcome> {
    let reason = || finding.reason(reply);
    match finding.class {
        Class::Closed | Class::Login | Class::Logon | Class::SessionLost => {
            Some(SendOutcome::Closed { reason: reason() })
        }
        // A sender that one mail asks for must not stop the mail of all others.
        Class::Sender => {
            (sender == SenderKind::Mailbox).then(|| SendOutcome::Closed { reason: reason() })
        }
        Class::Unavailable => {
            Some(SendOutcome::Unavailable { reason: reason(), retry_after: None })
        }
        Class::Throttled(retry_after) => {
            Some(SendOutcome::Throttled { reason: reason(), retry_after })
        }
        Class::TenantThrottled(time) | Class::TooManyThrottled(time) => {
            Some(SendOutcome::Throttled { reason: reason(), retry_after: Some(time) })
        }
        Class::TooMany | Class::Deferred(_) | Class::Refused => None,
    }
}

fn fill(verdicts: Vec<Option<Verdict>>, other: impl Fn() -> Verdict) -> Vec<Verdict> {
    verdicts.into_iter().map(|one| one.unwrap_or_else(&other)).collect()
}

fn judged(verdicts: Vec<Option<Verdict>>) -> SendOutcome {
    SendOutcome::Judged(verdicts.into_iter().flatten().collect())
}

fn is_negative(reply: &SmtpReply) -> bool {
    400 <= reply.code
}

#[cfg(test)]
mod tests;
