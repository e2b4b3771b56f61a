//! Jobs, mails and steps that the promises are checked with.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::address::{EmailAddress, Mailbox};
use crate::class::MailClass;
use crate::job::{
    Attempt, BudgetUse, CallerId, Job, JobState, MailJobId, NewJob, Reason, RecipientState,
    RequestKey,
};
use crate::mail::{Mail, Recipient, RecipientKind};
use crate::ports::job_store::*;
use crate::reply::{EnhancedCode, SmtpReply};
use crate::retry::Decision;

/// How long the leases of the suite last.
pub(in crate::conformance) const LEASE: Duration = Duration::from_mins(1);
/// How long the jobs of the suite live.
pub(in crate::conformance) const LIFE: Duration = Duration::from_hours(1);

/// A moment of the suite, in seconds from its start.
pub(in crate::conformance) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(in crate::conformance) fn id(number: u8) -> MailJobId {
    MailJobId::new(at(number.into()), [number; 10])
}

/// A job that is due at once; the job with the greater number is the newer one.
pub(in crate::conformance) fn job(number: u8) -> NewJob {
    NewJob {
        id: id(number),
        request: None,
        class: MailClass::Bulk,
        mail: mail(&["guest@example.com"]),
        message_id: format!("<{number}@nuncio.example>"),
        created_at: at(0),
        due_at: at(0),
        expires_at: at(0) + LIFE,
        labels: BTreeMap::new(),
        trace: None,
    }
}

pub(in crate::conformance) fn mail(recipients: &[&str]) -> Mail {
    let recipient = |address: &&str| Recipient {
        mailbox: Mailbox::from(address.parse::<EmailAddress>().unwrap()),
        kind: RecipientKind::To,
    };
    Mail {
        from: None,
        reply_to: None,
        other_senders: Vec::new(),
        references: Vec::new(),
        recipients: recipients.iter().map(recipient).collect(),
        subject: "Welcome".to_owned(),
        text: Some("Hello".to_owned().into()),
        html: None,
        attachments: Vec::new(),
        template: None,
    }
}

pub(in crate::conformance) fn request(
    caller: &str,
    request_id: &str,
    fingerprint: u8,
) -> RequestKey {
    let caller = CallerId(caller.to_owned());
    RequestKey { caller, request_id: request_id.to_owned(), fingerprint: [fingerprint; 32] }
}

pub(in crate::conformance) fn node(name: &str) -> Incarnation {
    Incarnation(name.to_owned())
}

pub(in crate::conformance) fn reply(code: u16, text: &str) -> SmtpReply {
    let enhanced = Some(EnhancedCode { class: code / 100, subject: 2, detail: 1 });
    SmtpReply { code, enhanced, text: text.to_owned() }
}

pub(in crate::conformance) async fn submit(store: &impl JobStore, new: NewJob) -> Job {
    match store.submit(new).await.unwrap() {
        Submitted::New(job) => job,
        Submitted::Existing(job) => panic!("`{}` was there before", job.id),
    }
}

pub(in crate::conformance) async fn get(store: &impl JobStore, number: u8) -> Job {
    store.get(id(number)).await.unwrap().unwrap()
}

/// Claims up to `limit` jobs for node `a`.
pub(in crate::conformance) async fn claim(
    store: &impl JobStore,
    now: Timestamp,
    limit: u32,
) -> Vec<Claimed> {
    claim_as(store, "a", now, limit).await
}

pub(in crate::conformance) async fn claim_as(
    store: &impl JobStore,
    holder: &str,
    now: Timestamp,
    limit: u32,
) -> Vec<Claimed> {
    store.claim(claim_of(holder, now, limit)).await.unwrap()
}

pub(in crate::conformance) fn claim_of(holder: &str, now: Timestamp, limit: u32) -> Claim {
    Claim {
        holder: node(holder),
        now,
        until: now + LEASE,
        limit,
        patient_max: limit,
        into_body: false,
        except: Vec::new(),
    }
}

/// Claims the one job that can be claimed.
pub(in crate::conformance) async fn claim_one(store: &impl JobStore, now: Timestamp) -> Claimed {
    let mut claimed = claim(store, now, 10).await;
    assert_eq!(claimed.len(), 1, "one job can be claimed");
    claimed.remove(0)
}

/// Claims the one job, and loses it again to a rescue.
pub(in crate::conformance) async fn lose_one(store: &impl JobStore, now: Timestamp) -> Lease {
    let lost = claim_one(store, now).await.lease;
    assert_eq!(store.rescue(Dead::AllBut(node("other")), now).await.unwrap().len(), 1);
    lost
}

/// The lease once more. Only tests do that: a lease is not `Clone`.
pub(in crate::conformance) fn again(lease: &Lease) -> Lease {
    Lease { job: lease.job, fence: lease.fence }
}

pub(in crate::conformance) fn ids(claimed: &[Claimed]) -> Vec<MailJobId> {
    claimed.iter().map(|one| one.job.id).collect()
}

/// The settlement of a mail that everybody took.
pub(in crate::conformance) fn sent(job: &Job, now: Timestamp) -> Settlement {
    let mut recipients = job.recipients.clone();
    for one in &mut recipients {
        one.state = RecipientState::Accepted;
        one.reply = Some(reply(250, "taken"));
    }
    let decision =
        Decision { state: JobState::Sent, reason: None, due_at: now, recipients, counted: true };
    settlement(decision, now)
}

pub(in crate::conformance) fn used(mailbox: &str, recipients: u32) -> BudgetUse {
    BudgetUse { mailbox: Some(mailbox.parse().unwrap()), recipients }
}

/// The settlement of a mail that waits until `due_at`, not judged.
pub(in crate::conformance) fn waits(
    job: &Job,
    state: JobState,
    due_at: Timestamp,
    now: Timestamp,
) -> Settlement {
    let reason = Some(Reason::new("SMTP_UNREACHABLE", "nobody answers").remedy("look there"));
    let recipients = job.recipients.clone();
    settlement(Decision { state, reason, due_at, recipients, counted: false }, now)
}

pub(in crate::conformance) fn settlement(decision: Decision, now: Timestamp) -> Settlement {
    let outcome = decision.reason.as_ref().map_or("SENT", |reason| &reason.code).to_owned();
    let counted = decision.counted;
    let attempt = Some(Attempt {
        started_at: now - Duration::from_secs(1),
        ended_at: now,
        outcome,
        detail: "250 2.0.0 Grüße".to_owned(),
        counted,
        used: counted.then(|| used("sender@example.com", 1)),
    });
    Settlement { decision, attempt, settings_generation: Some(7), now }
}
