//! One attempt to send one mail, from its lease to its settlement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::job::{Attempt, BudgetUse, Job, JobState, MailJobId, Reason};
use nuncio_core::outcome::{SendOutcome, Verdict};
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::job_store::{Claimed, JobStore, Lease, LeaseError, Settlement, StoreError};
use nuncio_core::ports::mail::{BodyGate, MailTransport, OutgoingMail};
use nuncio_core::retry::{Decision, decide};
use nuncio_core::settings::SavedSmtpSettings;
use nuncio_nodes::election::Leadership;
use nuncio_runtime::chain::Chain;
use tokio::time::{Instant, interval_at, sleep};
use tracing::{info, warn};

use crate::channel::Effect;
use crate::observer::{DeliveryObserver, tell_ended, tell_room};
use crate::senders::Senders;

/// How often a lease is extended while it lasts: three times in vain, and it is lost.
const HEART_BEATS: u32 = 4;
/// The pause between two tries to settle while the store is down.
const SETTLE_PAUSE: Duration = Duration::from_secs(1);
/// How many tries to settle in vain there are to a line in the log, after the first one.
const SETTLE_TRIES_TOLD: u32 = 60;

/// What all attempts of one mailbox share.
pub(crate) struct Context {
    pub(crate) mailbox: EmailAddress,
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) transport: Arc<dyn MailTransport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) observer: Arc<dyn DeliveryObserver>,
    pub(crate) senders: Senders,
    pub(crate) lease: Duration,
    /// The right to send for this mailbox.
    pub(crate) leadership: Leadership,
}

/// An attempt whose mail is no longer on its way.
pub(crate) struct Sent {
    pub(crate) job: MailJobId,
    pub(crate) effect: Effect,
    /// Whether it came to nothing for want of a way: the provider said nothing about this mail.
    pub(crate) in_vain: bool,
    /// How many recipients the provider was offered.
    pub(crate) recipients: u32,
    /// How many were left for another mail.
    pub(crate) left: u32,
    /// Whether the provider may have counted the message.
    pub(crate) reached_provider: bool,
    pub(crate) took: Duration,
    /// The generation of the settings that were used.
    pub(crate) generation: i64,
    pub(crate) unsettled: Unsettled,
}

/// What is left to do of an attempt: to record what came of it.
pub(crate) struct Unsettled {
    lease: Lease,
    job: Job,
    outcome: SendOutcome,
    /// What there is to tell of senders that were refused before.
    refused: Vec<String>,
    used: Option<BudgetUse>,
    generation: i64,
    started_at: Timestamp,
    ended_at: Timestamp,
    took: Duration,
}

impl Context {
    /// Sends a leased job. Until `entered` its claim stands for the note that the body goes out.
    pub(crate) async fn send(
        &self,
        settings: Arc<SavedSmtpSettings>,
        claimed: Claimed,
        entered: Option<Instant>,
    ) -> Sent {
        let Claimed { lease, job, mail } = claimed;
        let (started, started_at) = (Instant::now(), self.clock.now());
        let addresses = job.pending().into_iter().map(|at| job.recipients[at].address.clone());
        let outgoing = OutgoingMail {
            recipients: addresses.collect(),
            message_id: job.message_id.clone(),
            date: job.created_at,
            mail,
        };
        let wanted = outgoing.recipients.len();
        let (store, failed, opened) =
            (&*self.store, AtomicBool::new(false), AtomicBool::new(false));
        let leadership = &self.leadership;
        let gate = LeaseGate { store, lease: &lease, leadership, entered, opened, failed };
        let (outcome, refused) = self.hand_over_by_senders(&settings, outgoing, &gate).await;
        let (ended_at, took) = (self.clock.now(), started.elapsed());
        let generation = settings.generation;
        let reached_provider =
            may_have_reached_provider(&outcome, gate.opened.load(Ordering::Relaxed));
        let mailbox = Some(self.mailbox.clone());
        let left = left_for_another_mail(&outcome);
        let (recipients, left) = (count(wanted - left), count(left));
        let used = reached_provider.then_some(BudgetUse { mailbox, recipients });
        let effect = Effect::of(&outcome);
        // Without this the lease would end with the mark of a body that never went out.
        let stays = gate.failed.into_inner() && outcome == SendOutcome::Abandoned;
        let outcome = if stays { kept_back() } else { outcome };
        Sent {
            job: job.id,
            effect,
            in_vain: is_in_vain(&outcome),
            recipients,
            left,
            reached_provider,
            took,
            generation,
            unsettled: Unsettled {
                lease,
                job,
                outcome,
                refused,
                used,
                generation,
                started_at,
                ended_at,
                took,
            },
        }
    }

    /// Hands a mail over from its sender, or from the first of its other senders that the provider takes. Gives
    /// what there is to tell of those that it refused before.
    async fn hand_over_by_senders(
        &self,
        settings: &SavedSmtpSettings,
        mut outgoing: OutgoingMail,
        gate: &LeaseGate<'_>,
    ) -> (SendOutcome, Vec<String>) {
        let mut refused = Vec::new();
        while let Some(next) = outgoing.mail.with_next_sender() {
            // Only the mailbox itself has no name here, and it is the last one.
            let Some(from) = outgoing.mail.from.as_ref().map(|from| from.address.clone()) else {
                break;
            };
            if self.senders.is_passed_over(&from, self.clock.now()).await {
                refused.push(format!("from `{from}` was refused lately"));
                outgoing.mail = next;
                continue;
            }
            let outcome = self.hand_over(settings, &outgoing, gate).await;
            match &outcome {
                SendOutcome::SenderRefused { reason, .. } => {
                    self.senders.refused(&from, reason, self.clock.now()).await;
                    self.observer.sender_refused(&from, reason);
                    refused.push(format!("from `{from}`: {}", reason.message));
                    outgoing.mail = next;
                }
                SendOutcome::Judged(_) => {
                    if self.senders.taken(&from, self.clock.now()).await {
                        self.observer.sender_taken(&from);
                    }
                    return (outcome, refused);
                }
                SendOutcome::Unknown { .. }
                | SendOutcome::Throttled { .. }
                | SendOutcome::Unavailable { .. }
                | SendOutcome::Closed { .. }
                | SendOutcome::Abandoned => return (outcome, refused),
            }
        }
        let outcome = self.hand_over(settings, &outgoing, gate).await;
        if let (SendOutcome::SenderRefused { reason, .. }, Some(from)) =
            (&outcome, &outgoing.mail.from)
        {
            self.observer.sender_refused(&from.address, reason);
        }
        (outcome, refused)
    }

    /// Hands a mail over, and keeps its lease alive meanwhile.
    async fn hand_over(
        &self,
        settings: &SavedSmtpSettings,
        outgoing: &OutgoingMail,
        gate: &LeaseGate<'_>,
    ) -> SendOutcome {
        let lease = gate.lease;
        let sending = self.transport.send(settings, &self.mailbox, outgoing, gate);
        tokio::pin!(sending);
        let beat = self.lease / HEART_BEATS;
        let mut beats = interval_at(Instant::now() + beat, beat);
        loop {
            tokio::select! {
                biased;
                outcome = &mut sending => return outcome,
                _ = beats.tick() => {
                    // A lost lease is no reason to cut a mail in the middle: the gate stops what has
                    // not gone out, and the settlement of what has gone out will be refused.
                    let until = self.clock.now() + self.lease;
                    if let Err(error) = self.store.extend(lease, until).await {
                        warn!(job.name = %lease.job, "lease not extended: {}", Chain(&error));
                    }
                }
            }
        }
    }

    /// Records what came of an attempt, and gives the state of its job then.
    pub(crate) async fn settle(&self, unsettled: Unsettled) -> Option<JobState> {
        let Unsettled { lease, job, outcome, refused, used, generation, .. } = unsettled;
        let Unsettled { started_at, ended_at, took, .. } = unsettled;
        let (code, detail) = describe(&outcome);
        let detail = refused.into_iter().rev().fold(detail, |all, one| format!("{all}; {one}"));
        self.observer.attempt_ended(job.class, &code, took);
        let jitter = self.entropy.jitter();
        let Some(decision) = decide(&job, outcome, ended_at, jitter) else {
            warn!(job.name = %job.id, "lease was lost before the mail went out; left to its new holder");
            return None;
        };
        let counted = decision.counted;
        let attempt = Attempt { started_at, ended_at, outcome: code, detail, counted, used };
        let settlement = Settlement {
            decision,
            attempt: Some(attempt),
            settings_generation: Some(generation),
            now: ended_at,
        };
        match self.settle_until_stored(lease, settlement).await {
            Ok(job) => {
                let state = job.state;
                let reason = job.reason.as_ref().map_or("", |reason| reason.code.as_str());
                info!(
                    job.name = %job.id,
                    job.class = job.class.name(),
                    job.state = state.name(),
                    job.reason = reason,
                    job.attempts = job.attempts,
                    elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                    "mail job is {}",
                    state.name(),
                );
                tell_ended(&*self.observer, [&job]);
                Some(state)
            }
            Err(error) => {
                warn!(job.name = %job.id, "mail job not settled: {}", Chain(&error));
                None
            }
        }
    }

    /// Gives a leased job back that was not tried.
    pub(crate) async fn give_back(
        &self,
        lease: Lease,
        decision: Decision,
        now: Timestamp,
    ) -> Option<JobState> {
        let (id, state) = (lease.job, decision.state);
        let settlement = Settlement { decision, attempt: None, settings_generation: None, now };
        match self.settle_until_stored(lease, settlement).await {
            Ok(_) => Some(state),
            Err(error) => {
                warn!(job.name = %id, "mail job not given back: {}", Chain(&error));
                None
            }
        }
    }

    /// The outcome of a mail that went out must not be lost because the store is down, however long: it is told until
    /// the store has it, or says that the lease is lost.
    async fn settle_until_stored(
        &self,
        lease: Lease,
        settlement: Settlement,
    ) -> Result<Job, LeaseError> {
        let mut lease = lease;
        let mut tries = 1;
        loop {
            let again = Lease { job: lease.job, fence: lease.fence };
            let error = match self.store.settle(lease, settlement.clone()).await {
                Ok(job) => {
                    tell_room(&*self.observer, None);
                    return Ok(job);
                }
                Err(error) => error,
            };
            if let LeaseError::Store(problem) = &error {
                tell_room(&*self.observer, Some(problem));
            }
            match &error {
                LeaseError::Store(StoreError::Full(_) | StoreError::Unusable(_)) => {
                    if tries % SETTLE_TRIES_TOLD == 1 {
                        warn!(job.name = %again.job, tries, "settling again: {}", Chain(&error));
                    }
                    sleep(SETTLE_PAUSE).await;
                    tries = tries.saturating_add(1);
                    lease = again;
                }
                LeaseError::Lost(_) => return Err(error),
            }
        }
    }
}

/// Lets a body out only while the job is ours, and has that noted first.
struct LeaseGate<'a> {
    store: &'a dyn JobStore,
    lease: &'a Lease,
    leadership: &'a Leadership,
    /// Until then it is noted already.
    entered: Option<Instant>,
    /// A body may have gone out.
    opened: AtomicBool,
    /// The store did not say whether the job is ours, nor whether it has noted anything; or it may say by now that
    /// another node sends for the mailbox.
    failed: AtomicBool,
}

#[async_trait]
impl BodyGate for LeaseGate<'_> {
    async fn open(&self) -> bool {
        if !self.leadership.is_trusted() {
            self.failed.store(true, Ordering::Relaxed);
            warn!(job.name = %self.lease.job, "mail stays here: another node may send for the mailbox by now");
            return false;
        }
        if self.entered.is_some_and(|until| Instant::now() < until) {
            self.opened.store(true, Ordering::Relaxed);
            return true;
        }
        match self.store.enter_body(self.lease).await {
            Ok(()) => {
                self.opened.store(true, Ordering::Relaxed);
                true
            }
            Err(error) => {
                let is_lost = matches!(error, LeaseError::Lost(_));
                self.failed.store(!is_lost, Ordering::Relaxed);
                warn!(job.name = %self.lease.job, "mail stays here: {}", Chain(&error));
                false
            }
        }
    }
}

/// Whether the provider may have counted the message. One that was turned away before its content went out is no
/// message to anybody: if refused logins counted, their probes would use up the day of a mailbox that sends nothing.
/// What was turned away behind its content may count, whatever the provider says then.
fn may_have_reached_provider(outcome: &SendOutcome, body_went_out: bool) -> bool {
    match outcome {
        SendOutcome::Judged(_)
        | SendOutcome::SenderRefused { .. }
        | SendOutcome::Unknown { .. } => true,
        SendOutcome::Throttled { .. }
        | SendOutcome::Closed { .. }
        | SendOutcome::Unavailable { .. } => body_went_out,
        SendOutcome::Abandoned => false,
    }
}

fn is_in_vain(outcome: &SendOutcome) -> bool {
    match outcome {
        SendOutcome::Throttled { .. }
        | SendOutcome::Unavailable { .. }
        | SendOutcome::Closed { .. } => true,
        SendOutcome::Judged(_)
        | SendOutcome::SenderRefused { .. }
        | SendOutcome::Unknown { .. }
        | SendOutcome::Abandoned => false,
    }
}

/// The outcome of a mail that was ready to go when the store failed.
fn kept_back() -> SendOutcome {
    let message = "the job store failed before the mail went out";
    SendOutcome::Unavailable {
        reason: Reason::new("STORE_UNAVAILABLE", message),
        retry_after: None,
    }
}

/// The code and the words for the record of an attempt. The remedy stands in the job's own reason, once.
fn describe(outcome: &SendOutcome) -> (String, String) {
    match outcome {
        SendOutcome::Judged(verdicts) => describe_verdicts(verdicts),
        SendOutcome::SenderRefused { reason, .. }
        | SendOutcome::Unknown { reason, .. }
        | SendOutcome::Throttled { reason, .. }
        | SendOutcome::Unavailable { reason, .. }
        | SendOutcome::Closed { reason } => describe_reason(reason),
        SendOutcome::Abandoned => ("LEASE_LOST".to_owned(), String::new()),
    }
}

/// What was taken counts for more than what may be taken later, and that for more than what was refused.
fn describe_verdicts(verdicts: &[Verdict]) -> (String, String) {
    let (mut later, mut never) = (None, None);
    for verdict in verdicts {
        match verdict {
            Verdict::Accepted(reply) => return ("SENT".to_owned(), reply.to_string()),
            Verdict::Deferred { reason, .. } | Verdict::InAnotherMail(reason) => {
                later = Some(reason);
            }
            Verdict::Refused(reason) => never = never.or(Some(reason)),
        }
    }
    later.or(never).map(describe_reason).unwrap_or_default()
}

fn describe_reason(reason: &Reason) -> (String, String) {
    let reply = reason.reply.as_ref().map(ToString::to_string);
    // What befalls the way has it in its words already.
    let reply = reply.filter(|reply| !reason.message.contains(reply));
    let reply = reply.map(|reply| format!(": {reply}")).unwrap_or_default();
    (reason.code.clone(), format!("{}{reply}", reason.message))
}

/// How many recipients the provider did not take together with the others: they count with their own mail.
fn left_for_another_mail(outcome: &SendOutcome) -> usize {
    let is_left = |verdict: &&Verdict| matches!(verdict, Verdict::InAnotherMail(_));
    match outcome {
        SendOutcome::Judged(verdicts) | SendOutcome::SenderRefused { verdicts, .. } => {
            verdicts.iter().filter(is_left).count()
        }
        SendOutcome::Unknown { verdicts, .. } => verdicts.iter().flatten().filter(is_left).count(),
        SendOutcome::Throttled { .. }
        | SendOutcome::Unavailable { .. }
        | SendOutcome::Closed { .. }
        | SendOutcome::Abandoned => 0,
    }
}

pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
