//! Decides when which jobs one mailbox sends: within its channel's state and its budget.
//!
//! A mail goes through three hands: a claim leases it, a sending hands it over, a settling records what came
//! of it. All three go on side by side, so that the claim of the next mail and the record of the last one
//! wait for the same commit, and no connection waits for the disk longer than that.
//!
//! Of several nodes with one store, it runs on the one that leads the mailbox.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::job::{JobState, MailJobId};
use nuncio_core::pacing::connections;
use nuncio_core::ports::job_store::{Claim, Claimed, StoreError};
use nuncio_core::retry::decide_over_budget;
use nuncio_core::settings::{MailboxLimits, SavedSmtpSettings};
use nuncio_nodes::election::Leadership;
use nuncio_runtime::chain::Chain;
use nuncio_runtime::trace;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument as _, Span, error, info, info_span, warn};

use crate::alarms::{AlarmChange, Alarms};
use crate::attempt::{Context, Sent, count};
use crate::avoided::Avoided;
use crate::budget::{Budget, Room};
use crate::channel::{Channel, ChannelStatus, Effect, Permit};
use crate::delivery::Delivery;
use crate::history::{History, Past};
use crate::observer::{Alarm, RecipientsOfDay};
use crate::reach::Reach;

/// How long it waits when there is nothing to wait for, or the store cannot be used.
const IDLE: Duration = Duration::from_secs(1);
/// How long it waits at most, so that a lost wake-up costs no more than this.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// How many claims wait for their commit at once while there is more to claim: those that come while one
/// commit is being written share the next one.
const CLAIMS_MAX: usize = 4;
/// How many attempts may wait for their record before no more mails are sent: the store is in trouble.
const SETTLING_MAX: usize = 512;

pub(crate) struct Dispatcher {
    delivery: Delivery,
    mailbox: EmailAddress,
    context: Arc<Context>,
    claims: JoinSet<Answer>,
    /// How many jobs the claims may bring.
    asked: u32,
    /// Whether the last claim brought all that it asked for: then there is more.
    plenty: bool,
    /// Whether jobs may have become due since the last claim was sent.
    news: bool,
    /// When there is something to claim again, as far as the last claim knows.
    due_at: Option<Instant>,
    sending: JoinSet<(Sent, Span)>,
    /// Held by each mail of a patient class that is under way.
    patients: Arc<()>,
    /// Whether patient mails wait until others of them have ended.
    patients_wait: bool,
    settling: JoinSet<Option<JobState>>,
    channel: Channel,
    avoided: Avoided,
    budget: Budget,
    /// What was told last of the budget.
    told_day: Option<RecipientsOfDay>,
    alarms: Alarms,
    history: History,
    /// None if nobody else could send for the mailbox.
    reach: Option<Reach>,
    started: Instant,
}

/// What a claim came to.
struct Answer {
    asked: u32,
    claimed: Result<Batch, StoreError>,
}

/// What is asked of the store.
struct Ask {
    limit: u32,
    patient_max: u32,
    into_body: bool,
    except: Vec<MailJobId>,
    is_probe: bool,
}

/// Jobs that were claimed.
struct Batch {
    jobs: Vec<Claimed>,
    settings: Arc<SavedSmtpSettings>,
    /// Until when the claim stands for the note that the body goes out, if it was made so.
    entered: Option<Instant>,
    rest: Rest,
}

/// What a claim has left in the store.
enum Rest {
    /// Very likely more.
    Plenty,
    /// Patient jobs, maybe: it took as many as it might.
    Patient,
    /// Nothing that is due within this time.
    Nothing(Duration),
    /// Nothing to probe the way with but mails that have failed on it, maybe.
    Avoided,
}

/// What to do next.
enum Step {
    /// Learn what was sent before.
    AskForPast,
    Claim(Arc<SavedSmtpSettings>, Ask),
    /// Wait until something happens, but not longer than to this moment.
    Wait(Instant),
}

impl Dispatcher {
    /// With `yields`, the mailbox is left to other nodes if this one cannot reach the provider.
    pub(crate) fn new(
        delivery: Delivery,
        mailbox: EmailAddress,
        leadership: Leadership,
        yields: bool,
    ) -> Self {
        let reach = (yields && leadership.has_others()).then(Reach::default);
        let context = Arc::new(Context {
            mailbox: mailbox.clone(),
            store: Arc::clone(&delivery.store),
            transport: Arc::clone(&delivery.transport),
            clock: Arc::clone(&delivery.clock),
            entropy: Arc::clone(&delivery.entropy),
            observer: Arc::clone(&delivery.observer),
            senders: delivery.senders.clone(),
            lease: delivery.lease,
            leadership,
        });
        Self {
            history: History::before(delivery.clock.now(), mailbox.clone()),
            delivery,
            mailbox,
            context,
            claims: JoinSet::new(),
            asked: 0,
            plenty: false,
            news: true,
            due_at: None,
            sending: JoinSet::new(),
            patients: Arc::new(()),
            patients_wait: false,
            settling: JoinSet::new(),
            channel: Channel::default(),
            avoided: Avoided::default(),
            budget: Budget::default(),
            told_day: None,
            alarms: Alarms::default(),
            reach,
            started: Instant::now(),
        }
    }

    /// Sends what is due until the leadership is over; then lets end what is under way. Gives whether it has ended by
    /// itself, because others may reach the provider.
    pub(crate) async fn run(mut self) -> bool {
        let stop = self.context.leadership.over().clone();
        let mut settings = self.delivery.settings.clone();
        let mut trusted = self.delivery.trusted.clone();
        trusted.mark_unchanged();
        let mut changed = self.delivery.store.changed();
        self.take_settings(&mut settings).await;
        while !stop.is_cancelled() && !self.is_out_of_reach() {
            let present = settings.borrow().clone();
            self.tell_day();
            let wake = match self.step(present) {
                Step::AskForPast => {
                    let asker = self.delivery.incarnation.clone();
                    self.history.ask(Arc::clone(&self.delivery.store), asker);
                    continue;
                }
                Step::Claim(settings, ask) => {
                    self.claim(settings, ask);
                    continue;
                }
                Step::Wait(until) => self.wake(until),
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Ok(()) = settings.changed() => self.take_settings(&mut settings).await,
                Ok(()) = trusted.changed() => self.take_trust().await,
                Some(end) = self.sending.join_next() => {
                    self.sent(end).await;
                    // All that have ended make room together, so that one claim fills it again.
                    while let Some(end) = self.sending.try_join_next() {
                        self.sent(end).await;
                    }
                }
                Some(end) = self.claims.join_next() => self.claimed(end),
                Some(end) = self.settling.join_next() => self.settled(end).await,
                Some(answer) = self.history.answer() => {
                    self.history.learn(answer, &mut self.budget, self.started.elapsed());
                }
                Ok(()) = changed.changed() => self.news = true,
                () = sleep_until(wake) => self.tell_alarms(false),
            }
        }
        let yields = self.is_out_of_reach();
        self.drain().await;
        yields
    }

    fn tell_day(&mut self) {
        let day = self.budget.day(self.started.elapsed());
        if day != self.told_day {
            self.delivery.observer.day_used(&self.mailbox, day);
            self.told_day = day;
        }
    }

    fn is_out_of_reach(&self) -> bool {
        self.reach.as_ref().is_some_and(|reach| reach.is_lost(self.started.elapsed()))
    }

    fn step(&mut self, settings: Option<Arc<SavedSmtpSettings>>) -> Step {
        let (now, at_last) = (self.started.elapsed(), Instant::now() + SLEEP_MAX);
        let ours = |saved: &Arc<SavedSmtpSettings>| {
            saved.settings.mailboxes().any(|mailbox| *mailbox == self.mailbox)
        };
        let Some(saved) = settings.filter(ours) else { return Step::Wait(at_last) };
        if !self.context.leadership.is_trusted() {
            return Step::Wait(at_last); // Until it is told that it leads no more.
        }
        match self.history.past(&saved.settings.limits) {
            Past::Known => {}
            Past::Unknown => return Step::AskForPast,
            Past::AskedFor(until) => return Step::Wait(until.unwrap_or(at_last)),
        }
        let taken = self.asked + count(self.sending.len());
        let permit = self.channel.permit(now);
        let allowed = match permit {
            Permit::All => saved.settings.limits.connections_max.saturating_sub(taken),
            Permit::Probe => u32::from(taken == 0),
            Permit::NoneUntil(until) => return Step::Wait(self.started + until),
        };
        let claims_max = if self.plenty { CLAIMS_MAX } else { 1 };
        let busy = claims_max <= self.claims.len() || SETTLING_MAX <= self.settling.len();
        if allowed == 0 || busy {
            return Step::Wait(at_last);
        }
        if let Some(due_at) = self.due_at.filter(|at| !self.news && Instant::now() < *at) {
            return Step::Wait(due_at);
        }
        let (messages, patient) = match self.budget.room(now, self.asked) {
            Room::Now { messages, patient } => (messages, patient),
            Room::NoneUntil(until) => {
                return Step::Wait(until.map_or(at_last, |until| self.started + until));
            }
        };
        let limit = allowed.min(messages);
        let connections = self.connections_for_patient(&saved.settings.limits);
        let patient = patient.min(connections.saturating_sub(self.asked));
        let ready = match permit {
            Permit::All => count(self.delivery.transport.ready(&self.mailbox)),
            Permit::Probe | Permit::NoneUntil(_) => 0,
        };
        // What leaves at once needs no note of its own; for the rest there is another claim.
        let (limit, into_body) = match ready.saturating_sub(self.asked) {
            0 => (limit, false),
            ready => (limit.min(ready), true),
        };
        let is_probe = permit == Permit::Probe;
        let except = if is_probe { self.avoided.by_probe() } else { self.avoided.by_open_way(now) };
        let patient_max = patient.min(limit);
        Step::Claim(saved, Ask { limit, patient_max, into_body, except, is_probe })
    }

    /// How many more patient mails may be under way.
    fn connections_for_patient(&self, limits: &MailboxLimits) -> u32 {
        let under_way = count(Arc::strong_count(&self.patients) - 1);
        connections::for_patient(limits).saturating_sub(under_way)
    }

    /// Asks the store for jobs.
    fn claim(&mut self, settings: Arc<SavedSmtpSettings>, ask: Ask) {
        self.asked += ask.limit;
        self.news = false;
        self.due_at = None;
        let now = self.delivery.clock.now();
        self.avoided.claims();
        let Ask { limit, patient_max, into_body, except, is_probe } = ask;
        let looks_again = is_probe && !except.is_empty();
        let (holder, until) = (self.delivery.incarnation.clone(), now + self.delivery.lease);
        let entered = into_body.then(|| Instant::now() + self.delivery.lease / 2);
        let claim = Claim { holder, now, until, limit, patient_max, into_body, except };
        let store = Arc::clone(&self.delivery.store);
        self.claims.spawn(async move {
            let claimed = async {
                let jobs = store.claim(claim).await?;
                let patient = jobs.iter().filter(|one| one.job.class.is_patient()).count();
                let rest = if limit <= count(jobs.len()) {
                    Rest::Plenty
                } else if looks_again {
                    Rest::Avoided
                } else if patient_max <= count(patient) {
                    Rest::Patient
                } else {
                    Rest::Nothing(wait_for(store.next_due().await?, now))
                };
                Ok(Batch { jobs, settings, entered, rest })
            };
            Answer { asked: limit, claimed: claimed.await }
        });
    }

    fn claimed(&mut self, end: Result<Answer, JoinError>) {
        match end {
            Ok(Answer { asked, claimed }) => {
                self.asked = self.asked.saturating_sub(asked);
                match claimed {
                    Ok(batch) => self.take(batch),
                    Err(error) => {
                        warn!("mail jobs cannot be claimed: {}", Chain(&error));
                        self.try_later();
                    }
                }
            }
            Err(panic) => {
                error!("a claim panicked: {panic}");
                self.try_later();
            }
        }
        if self.claims.is_empty() {
            // A claim that panicked has not told what it asked for.
            self.asked = 0;
        }
    }

    fn take(&mut self, batch: Batch) {
        let limits = batch.settings.settings.limits;
        for one in batch.jobs {
            self.send(Arc::clone(&batch.settings), one, batch.entered);
        }
        self.plenty = matches!(batch.rest, Rest::Plenty);
        self.due_at = match batch.rest {
            Rest::Plenty => None,
            Rest::Avoided => {
                self.avoided.found_nothing_else();
                None
            }
            Rest::Patient => {
                self.patients_wait = self.connections_for_patient(&limits) == 0;
                let at = self.budget.patient_at(self.started.elapsed());
                let at = at.filter(|_| !self.patients_wait);
                Some(at.map_or(Instant::now() + SLEEP_MAX, |at| self.started + at))
            }
            Rest::Nothing(wait) => Some(Instant::now() + wait),
        };
    }

    /// The store could not be used.
    fn try_later(&mut self) {
        self.plenty = false;
        self.news = false;
        self.due_at = Some(Instant::now() + IDLE);
    }

    fn send(
        &mut self,
        settings: Arc<SavedSmtpSettings>,
        claimed: Claimed,
        entered: Option<Instant>,
    ) {
        let now = self.started.elapsed();
        let recipients = count(claimed.job.pending().len());
        let is_patient = claimed.job.class.is_patient();
        if !self.budget.fits(recipients, is_patient, now) {
            self.give_back(claimed, recipients, is_patient);
            return;
        }
        let patient = is_patient.then(|| Arc::clone(&self.patients));
        let span = info_span!(
            "mail_job.attempt",
            otel.kind = "consumer",
            job.name = %claimed.job.id,
            job.class = claimed.job.class.name(),
            settings.generation = settings.generation,
        );
        if let Some(origin) = &claimed.job.trace {
            trace::set_parent(&span, origin);
        }
        self.budget.start(recipients, now);
        let (context, of_attempt) = (Arc::clone(&self.context), span.clone());
        let sending = async move {
            let sent = context.send(settings, claimed, entered).await;
            drop(patient);
            (sent, of_attempt)
        };
        self.sending.spawn(sending.instrument(span));
    }

    /// A mail to more recipients than the mailbox may still reach today waits, and lets others pass.
    fn give_back(&mut self, claimed: Claimed, recipients: u32, is_patient: bool) {
        let (elapsed, now) = (self.started.elapsed(), self.delivery.clock.now());
        let fits_at = self.budget.fits_at(recipients, is_patient, elapsed);
        let fits_in = fits_at.map(|at| at.saturating_sub(elapsed));
        let decision = decide_over_budget(&claimed.job, &self.mailbox, fits_in, now);
        let context = Arc::clone(&self.context);
        let lease = claimed.lease;
        self.settling.spawn(async move { context.give_back(lease, decision, now).await });
    }

    /// Learns from an attempt, and has it recorded.
    async fn sent(&mut self, end: Result<(Sent, Span), JoinError>) {
        let now = self.started.elapsed();
        self.news |= std::mem::take(&mut self.patients_wait);
        let (sent, span) = match end {
            Ok(sent) => sent,
            Err(panic) => {
                // Its lease ends by itself, and the rescue decides about the job.
                error!("an attempt panicked: {panic}");
                self.budget.end(0, now, Duration::ZERO, true);
                return;
            }
        };
        self.budget.leave_out(sent.left);
        self.budget.end(sent.recipients, now, sent.took, sent.reached_provider);
        let context = Arc::clone(&self.context);
        let settling = async move { context.settle(sent.unsettled).await };
        self.settling.spawn(settling.instrument(span));
        let present = self.delivery.settings.borrow().as_ref().map(|saved| saved.generation);
        if present != Some(sent.generation) {
            return; // It speaks of settings that are gone.
        }
        if sent.in_vain {
            let was_open = self.channel.permit(now) == Permit::All;
            self.avoided.came_back(sent.job, was_open, now);
        } else {
            self.avoided.got_through(sent.job);
        }
        let jitter = self.delivery.entropy.jitter();
        let healthy = matches!(sent.effect, Effect::Healthy);
        if let Some(reach) = &mut self.reach {
            reach.observe(&sent.effect, now);
        }
        let opened = self.channel.observe(sent.effect, now, jitter);
        self.tell_channel(healthy);
        if opened {
            self.avoided.opened();
            self.news = true;
            self.release_held().await;
        }
    }

    /// A job that is held for this mailbox need not wait where another can send it, or if the channel has
    /// opened before it was recorded.
    async fn settled(&mut self, end: Result<Option<JobState>, JoinError>) {
        match end {
            Ok(Some(JobState::Held)) => {
                let overall = self.delivery.channels.borrow().overall();
                if overall == ChannelStatus::Open {
                    self.release_held().await;
                }
            }
            Ok(_) => {}
            Err(panic) => error!("the record of an attempt panicked: {panic}"),
        }
    }

    async fn take_settings(
        &mut self,
        settings: &mut watch::Receiver<Option<Arc<SavedSmtpSettings>>>,
    ) {
        let saved = settings.borrow_and_update().clone();
        self.start_afresh();
        if let Some(saved) = saved {
            self.budget.set_limits(&saved.settings.limits);
            info!(
                mailbox = %self.mailbox,
                settings.generation = saved.generation,
                "sending with smtp settings"
            );
            self.release_held().await;
        }
        self.tell_channel(false);
    }

    /// What failed because nobody trusted the server may work now.
    async fn take_trust(&mut self) {
        self.start_afresh();
        self.release_held().await;
        self.tell_channel(false);
    }

    /// Whatever was wrong may be right now.
    fn start_afresh(&mut self) {
        self.channel.reset();
        self.avoided.reset();
        self.news = true;
    }

    async fn release_held(&self) {
        match self.delivery.store.release_held(self.delivery.clock.now()).await {
            Ok(0) => {}
            Ok(jobs) => info!(jobs, "released {jobs} held mail jobs"),
            // They become due by themselves a little later.
            Err(error) => warn!("held mail jobs not released: {}", Chain(&error)),
        }
    }

    /// Tells the state of the channel to whoever looks, and to log and observer where it has changed.
    fn tell_channel(&mut self, healthy: bool) {
        let status = self.channel.status(self.started.elapsed(), self.delivery.clock.now());
        let mailbox = &self.mailbox;
        self.delivery.channels.send_if_modified(|channels| {
            let present = channels.0.get(mailbox);
            let same_kind = present.is_some_and(|present| {
                std::mem::discriminant(present) == std::mem::discriminant(&status)
            });
            if !same_kind {
                log_channel(mailbox, &status);
            }
            channels.0.insert(mailbox.clone(), status.clone());
            !same_kind
        });
        self.tell_alarms(healthy);
    }

    /// Tells what a person must know of, and when it is over; `healthy` means that the provider has just answered.
    fn tell_alarms(&mut self, healthy: bool) {
        let now = self.started.elapsed();
        let status = self.channel.status(now, self.delivery.clock.now());
        let observer = &self.delivery.observer;
        for change in self.alarms.observe(&status, healthy, now) {
            match change {
                AlarmChange::Raise(kind, reason) => {
                    observer.alarm_raised(&Alarm { kind, mailbox: self.mailbox.clone(), reason });
                }
                AlarmChange::Clear(kind) => observer.alarm_cleared(kind, &self.mailbox),
            }
        }
    }

    /// The moment to wake at: this one, or earlier if there is an alarm to tell before, or others take over.
    fn wake(&self, wake: Instant) -> Instant {
        let yields_at = self.reach.as_ref().and_then(Reach::lost_at);
        let earlier = self.alarms.look_again_at().into_iter().chain(yields_at);
        earlier.map(|at| self.started + at).fold(wake, Instant::min)
    }

    /// Lets everything end that has begun: what a claim brings is sent, too.
    async fn drain(mut self) {
        self.delivery.observer.day_used(&self.mailbox, None);
        let under_way = self.claims.len() + self.sending.len() + self.settling.len();
        if 0 < under_way {
            info!(
                mailbox = %self.mailbox,
                claims = self.claims.len(),
                mails = self.sending.len(),
                records = self.settling.len(),
                "finishing the mails under way"
            );
        }
        while let Some(end) = self.claims.join_next().await {
            self.claimed(end);
        }
        while let Some(end) = self.sending.join_next().await {
            self.sent(end).await;
        }
        while let Some(end) = self.settling.join_next().await {
            self.settled(end).await;
        }
    }
}

fn log_channel(mailbox: &EmailAddress, status: &ChannelStatus) {
    match status {
        ChannelStatus::NotConfigured | ChannelStatus::Standby => {}
        ChannelStatus::Open => info!(%mailbox, "the way to the provider is open"),
        ChannelStatus::Paused { reason, .. } => {
            warn!(%mailbox, reason = reason.code, "sending is paused: {}", reason.message);
        }
        ChannelStatus::Closed { reason, .. } => error!(
            %mailbox,
            reason = reason.code,
            "sending is stopped: {}; {}", reason.message, reason.remedy
        ),
    }
}

/// How long a claim that brought too few jobs waits for more, as `next_due` says.
fn wait_for(next_due: Option<Timestamp>, now: Timestamp) -> Duration {
    next_due.map_or(SLEEP_MAX, |due| {
        // What is due and was not claimed has expired: housekeeping will find it.
        let ahead = Duration::try_from(due.duration_since(now)).unwrap_or_default();
        if ahead.is_zero() { IDLE } else { ahead.min(SLEEP_MAX) }
    })
}
