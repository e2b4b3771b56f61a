//! Delivery with a scripted provider, a store in memory and virtual time.

mod seat;
mod store;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use nuncio_core::address::{EmailAddress, Mailbox};
use nuncio_core::class::MailClass;
use nuncio_core::job::*;
use nuncio_core::mail::{ContentDraft, MailDraft, MailboxDraft, Sender};
use nuncio_core::outcome::{SendOutcome, Verdict};
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::*;
use nuncio_core::ports::mail::{BodyGate, MailTransport, OutgoingMail};
use nuncio_core::ports::records::RecordStore;
use nuncio_core::reply::SmtpReply;
use nuncio_core::settings::document::SavedDocument;
use nuncio_core::settings::*;
use nuncio_core::template::Templates;
use nuncio_core::violation::Violations;
use nuncio_nodes::election::Elections;
use nuncio_runtime::clock::{TestClock, TestEntropy};
use nuncio_runtime::tasks::TaskError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::channel::{ChannelStatus, Channels};
use crate::delivery::Delivery;
use crate::intake::{Intake, Submission};
use crate::observer::{Alarm, AlarmKind, DeliveryObserver};
use crate::senders::Senders;
use store::Store;

/// Longer than any job lives: who waits so long waits in vain.
const DEADLINE: Duration = Duration::from_hours(24 * 30);

pub(super) struct Sandbox {
    clock: Arc<SetClock>,
    provider: Arc<Provider>,
    store: Arc<Store>,
    settings: watch::Sender<Option<Arc<SavedSmtpSettings>>>,
    trusted: watch::Sender<Option<Arc<SavedDocument>>>,
    channels: watch::Receiver<Channels>,
    delivery: Delivery,
    intake: Intake,
    told: Arc<Told>,
    shutdown: CancellationToken,
    running: JoinSet<Result<(), TaskError>>,
    started: Instant,
}

/// A mail as the provider saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) at: Duration,
    pub(super) mailbox: String,
    pub(super) message_id: String,
    pub(super) recipients: Vec<String>,
    /// Empty means the mailbox of the settings.
    pub(super) from: String,
    pub(super) reply_to: String,
}

impl Sandbox {
    pub(super) fn new() -> Self {
        let clock = Arc::new(SetClock::new());
        let provider = Arc::new(Provider::new());
        let store = Arc::new(Store::default());
        let (settings, settings_seen) = watch::channel(Some(saved(1, limits(3, None))));
        let (trusted, trusted_seen) = watch::channel(None);
        let (channels, channels_seen) = watch::channel(Channels::default());
        let told = Arc::new(Told::default());
        let observer: Arc<dyn DeliveryObserver> = Arc::<Told>::clone(&told);
        let intake = Intake {
            store: Arc::<Store>::clone(&store),
            clock: Arc::<SetClock>::clone(&clock),
            entropy: Arc::new(TestEntropy::default()),
            observer: Arc::clone(&observer),
            settings: settings_seen.clone(),
            templates: watch::channel(Templates::shipped()).1,
        };
        let delivery = Delivery {
            store: Arc::<Store>::clone(&store),
            transport: Arc::<Provider>::clone(&provider),
            clock: Arc::<SetClock>::clone(&clock),
            entropy: Arc::new(TestEntropy::default()),
            observer,
            senders: Senders { records: Arc::clone(&store.inner) as Arc<dyn RecordStore> },
            settings: settings_seen,
            trusted: trusted_seen,
            channels,
            incarnation: Incarnation("first".to_owned()),
            elections: Elections::alone(),
            lease: Duration::from_mins(1),
            retention: Duration::from_hours(24),
            drain_timeout: Duration::from_secs(20),
        };
        Self {
            clock,
            provider,
            store,
            settings,
            trusted,
            channels: channels_seen,
            delivery,
            intake,
            told,
            shutdown: CancellationToken::new(),
            running: JoinSet::new(),
            started: Instant::now(),
        }
    }

    /// The outcomes of the first attempts; all others are accepted.
    pub(super) fn replying(self, outcomes: impl IntoIterator<Item = SendOutcome>) -> Self {
        self.provider.script.lock().unwrap().extend(outcomes);
        self
    }

    /// The outcome of all attempts behind the script.
    pub(super) fn then(self, outcome: SendOutcome) -> Self {
        *self.provider.otherwise.lock().unwrap() = outcome;
        self
    }

    pub(super) fn unavailable_for(self, outage: Duration) -> Self {
        *self.provider.outage.lock().unwrap() = outage;
        self
    }

    pub(super) fn taking(self, time: Duration) -> Self {
        *self.provider.takes.lock().unwrap() = time;
        self
    }

    /// The provider takes so long for its answer to a mail.
    pub(super) fn answering_after(self, time: Duration) -> Self {
        *self.provider.answers_after.lock().unwrap() = time;
        self
    }

    /// Somebody sets the clock of the machine.
    pub(super) fn set_clock(&self, by: SignedDuration) {
        *self.clock.ahead.lock().unwrap() += by;
    }

    pub(super) fn limits(mut self, limits: MailboxLimits) -> Self {
        self.save_settings(limits);
        self
    }

    /// Sends from a second mailbox, too.
    pub(super) fn with_mailbox(self, mailbox: &str) -> Self {
        self.settings.send_modify(|saved| {
            let saved = Arc::make_mut(saved.as_mut().expect("there are settings"));
            saved.settings.additional_mailboxes.push(mailbox.parse().unwrap());
        });
        self
    }

    pub(super) fn without_settings(self) -> Self {
        self.settings.send_replace(None);
        self
    }

    pub(super) fn stealing_the_first_lease(self) -> Self {
        self.store.thefts.store(1, Ordering::Relaxed);
        self
    }

    /// The first note that a body goes out is stored, and its answer is lost.
    pub(super) fn losing_the_first_answer_to_a_mark(self) -> Self {
        self.store.lost_marks.store(1, Ordering::Relaxed);
        self
    }

    /// The store does not know so often what was used before.
    pub(super) fn failing_usage(self, count: u32) -> Self {
        self.store.failing_usage.store(count, Ordering::Relaxed);
        self
    }

    pub(super) fn failing_settlements(self, count: u32) -> Self {
        self.store.failing_settlements.store(count, Ordering::Relaxed);
        self
    }

    /// A mailbox that may not log in.
    pub(super) fn closing(self, mailbox: &str) -> Self {
        self.refusing(mailbox, closed())
    }

    /// What was wrong with the provider is right again.
    pub(super) fn refuse_nobody(&self) {
        *self.provider.refused.lock().unwrap() = None;
    }

    /// The provider refuses what is more than so many messages in a minute.
    pub(super) fn counting_at(self, counts_at: CountsAt, per_minute: usize) -> Self {
        *self.provider.counts_at.lock().unwrap() = Some((counts_at, per_minute));
        self
    }

    /// When the provider counted messages, and how many it refused.
    pub(super) fn counted(&self) -> (Vec<Duration>, u32) {
        let counted = self.provider.counted.lock().unwrap().clone();
        (counted, self.provider.refusals.load(Ordering::Relaxed))
    }

    /// There is so much to prune. It takes a tenth of a second each.
    pub(super) fn with_old_batches(self, batches: u32) -> Self {
        self.store.old_batches.store(batches, Ordering::Relaxed);
        self
    }

    pub(super) fn old_batches(&self) -> u32 {
        self.store.old_batches.load(Ordering::Relaxed)
    }

    /// What the provider says to this mailbox, or about mails to this recipient, whatever they are.
    pub(super) fn refusing(self, whom: &str, outcome: SendOutcome) -> Self {
        *self.provider.refused.lock().unwrap() = Some((whom.to_owned(), outcome));
        self
    }

    pub(super) fn recording_in(self, time: Duration) -> Self {
        *self.store.settlement_takes.lock().unwrap() = time;
        self
    }

    pub(super) fn start(mut self) -> Self {
        self.running.spawn(self.delivery.clone().run(self.shutdown.clone()));
        self
    }

    pub(super) fn start_again(mut self) -> Self {
        self.shutdown = CancellationToken::new();
        self.start()
    }

    /// The node dies with all that it does.
    pub(super) fn die(mut self) -> Self {
        self.running.abort_all();
        self
    }

    pub(super) async fn shut_down(mut self) -> Self {
        self.shutdown.cancel();
        self.running.join_next().await.unwrap().unwrap().unwrap();
        self
    }

    pub(super) fn change_trust(&self) {
        self.trusted.send_replace(None);
    }

    pub(super) fn save_settings(&mut self, limits: MailboxLimits) {
        let generation = self.settings.borrow().as_ref().map_or(1, |saved| saved.generation + 1);
        self.settings.send_replace(Some(saved(generation, limits)));
    }

    pub(super) async fn submit(&self, submission: Submission) -> MailJobId {
        match self.intake.submit(submission).await.unwrap() {
            Submitted::New(job) | Submitted::Existing(job) => job.id,
        }
    }

    pub(super) async fn job(&self, id: MailJobId) -> Job {
        self.store.get(id).await.unwrap().unwrap()
    }

    pub(super) fn senders(&self) -> &Senders {
        &self.delivery.senders
    }

    pub(super) async fn attempts(&self, id: MailJobId) -> Vec<Attempt> {
        self.store.attempts(id, 10).await.unwrap()
    }

    pub(super) async fn ended(&self, id: MailJobId) -> Job {
        self.wait(id, JobState::is_final).await
    }

    pub(super) async fn reached(&self, id: MailJobId, state: JobState) -> Job {
        self.wait(id, |present| present == state).await
    }

    async fn wait(&self, id: MailJobId, done: impl Fn(JobState) -> bool) -> Job {
        let mut changed = self.store.changed();
        let found = timeout(DEADLINE, async {
            loop {
                changed.borrow_and_update();
                let job = self.job(id).await;
                if done(job.state) {
                    return job;
                }
                changed.changed().await.unwrap();
            }
        });
        found.await.expect("the job must get there")
    }

    /// Waits until so many mails were sent.
    pub(super) async fn sent_count(&self, count: usize) {
        let mut changed = self.store.changed();
        let reached = timeout(DEADLINE, async {
            while self.sent().len() < count {
                changed.changed().await.unwrap();
            }
        });
        reached.await.expect("so many mails are sent");
    }

    pub(super) fn sent(&self) -> Vec<Sent> {
        self.provider.sent.lock().unwrap().clone()
    }

    /// The ends that the observer was told of.
    pub(super) fn ends(&self) -> Vec<(MailClass, JobState)> {
        self.told.ends.lock().unwrap().clone()
    }

    /// The alarms in their order; nothing where one was cleared.
    pub(super) fn alarms(&self) -> Vec<(AlarmKind, Option<Alarm>)> {
        self.told.alarms.lock().unwrap().clone()
    }

    /// What was told of senders: refused (true), or taken.
    pub(super) fn sender_news(&self) -> Vec<(String, bool)> {
        self.told.senders.lock().unwrap().clone()
    }

    /// Whether the store was full, each time that it changed.
    pub(super) fn full_news(&self) -> Vec<bool> {
        self.told.full.lock().unwrap().clone()
    }

    pub(super) fn under_way_max(&self) -> u32 {
        self.provider.under_way_max.load(Ordering::Relaxed)
    }

    pub(super) fn channel(&self) -> ChannelStatus {
        self.channels.borrow().overall()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

pub(super) fn mail() -> Submission {
    mail_to(&["guest@example.com"])
}

pub(super) fn mail_to(to: &[&str]) -> Submission {
    let mailbox = |address: &&str| MailboxDraft {
        address: (*address).to_owned(),
        display_name: String::new(),
    };
    let content = ContentDraft::Raw {
        subject: "hello".to_owned(),
        text: "hello".to_owned(),
        html: String::new(),
    };
    Submission {
        mail: MailDraft {
            to: to.iter().map(mailbox).collect(),
            content: Some(content),
            ..MailDraft::default()
        },
        class: None,
        options: JobOptionsDraft::default(),
        caller: CallerId("test".to_owned()),
        fingerprint: [0; 32],
        trace: None,
        violations: Violations::default(),
    }
}

/// A mail that the first of these senders sends, or else the next; answers go to the first.
pub(super) fn mail_from(first: &str, others: &[Option<&str>]) -> Submission {
    let mailbox = |address: &str| Mailbox::from(address.parse::<EmailAddress>().unwrap());
    let mut submission = mail();
    submission.mail.from =
        Some(MailboxDraft { address: first.to_owned(), display_name: String::new() });
    submission.mail.other_senders = others
        .iter()
        .map(|from| Sender { from: from.map(mailbox), reply_to: Some(mailbox(first)) })
        .collect();
    submission
}

pub(super) fn sender_refused() -> SendOutcome {
    let reply = reply(554, "5.2.252 SendAsDenied");
    let reason = because("SENDER_REFUSED", reply);
    SendOutcome::SenderRefused { verdicts: vec![Verdict::Refused(reason.clone())], reason }
}

pub(super) fn because(code: &str, reply: SmtpReply) -> Reason {
    Reason::new(code, format!("cause of {code}")).remedy("remedy").reply(reply)
}

fn address_of(mailbox: Option<&Mailbox>) -> String {
    mailbox.map(|mailbox| mailbox.address.to_string()).unwrap_or_default()
}

pub(super) fn of_class(class: MailClass, submission: Submission) -> Submission {
    Submission { class: Some(class), ..submission }
}

pub(super) fn closed() -> SendOutcome {
    SendOutcome::Closed { reason: Reason::new("INVALID_EMAIL_ADDRESS", "535 5.7.3") }
}

pub(super) fn limits(connections_max: u32, per_minute: Option<u32>) -> MailboxLimits {
    MailboxLimits {
        connections_max,
        messages_per_minute_max: per_minute,
        recipients_per_day_max: None,
    }
}

pub(super) fn reply(code: u16, text: &str) -> SmtpReply {
    SmtpReply { code, enhanced: None, text: text.to_owned() }
}

pub(super) fn accepted() -> SendOutcome {
    SendOutcome::Judged(vec![Verdict::Accepted(reply(250, "ok"))])
}

pub(super) fn throttled(hint: Duration) -> SendOutcome {
    let reason = Reason::new("MAILBOX_THROTTLED", "4.3.2");
    SendOutcome::Throttled { reason, retry_after: Some(hint) }
}

pub(super) fn unavailable() -> SendOutcome {
    let reason = Reason::new("CONNECTION_REFUSED", "test outage");
    SendOutcome::Unavailable { reason, retry_after: None }
}

fn saved(generation: i64, limits: MailboxLimits) -> Arc<SavedSmtpSettings> {
    let settings = SmtpSettings {
        provider: nuncio_core::settings::Provider::Generic,
        host: "smtp.example.com".to_owned(),
        port: 587,
        connect_timeout: CONNECT_TIMEOUT,
        encryption: Encryption::StartTls,
        email_address: "no-reply@example.com".parse().unwrap(),
        proxy: None,
        additional_mailboxes: Vec::new(),
        authentication: Authentication::None,
        ca_certificates_pem: String::new(),
        limits,
    };
    Arc::new(SavedSmtpSettings {
        settings,
        generation,
        saved_at: Timestamp::UNIX_EPOCH,
        history: Vec::new(),
    })
}

/// A clock that can be set.
struct SetClock {
    right: TestClock,
    ahead: Mutex<SignedDuration>,
}

impl SetClock {
    fn new() -> Self {
        // Late enough to be set back.
        let start = Timestamp::UNIX_EPOCH + Duration::from_hours(1000);
        Self { right: TestClock::starting_at(start), ahead: Mutex::default() }
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.right.now() + *self.ahead.lock().unwrap()
    }
}

/// When a provider counts a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountsAt {
    /// At MAIL FROM.
    Beginning,
    /// When it takes it.
    End,
}

/// A provider that answers as its script says.
struct Provider {
    script: Mutex<VecDeque<SendOutcome>>,
    otherwise: Mutex<SendOutcome>,
    outage: Mutex<Duration>,
    takes: Mutex<Duration>,
    refused: Mutex<Option<(String, SendOutcome)>>,
    counts_at: Mutex<Option<(CountsAt, usize)>>,
    /// When the messages were counted.
    counted: Mutex<Vec<Duration>>,
    refusals: AtomicU32,
    answers_after: Mutex<Duration>,
    sent: Mutex<Vec<Sent>>,
    under_way: AtomicU32,
    under_way_max: AtomicU32,
    started: Instant,
}

impl Provider {
    fn new() -> Self {
        Self {
            script: Mutex::default(),
            otherwise: Mutex::new(accepted()),
            outage: Mutex::default(),
            takes: Mutex::default(),
            refused: Mutex::default(),
            counts_at: Mutex::default(),
            counted: Mutex::default(),
            refusals: AtomicU32::new(0),
            answers_after: Mutex::default(),
            sent: Mutex::default(),
            under_way: AtomicU32::new(0),
            under_way_max: AtomicU32::new(0),
            started: Instant::now(),
        }
    }

    /// Counts a message, if it is counted here. Returns whether the minute has room for it.
    fn counts(&self, here: CountsAt) -> bool {
        let Some((there, per_minute)) = *self.counts_at.lock().unwrap() else { return true };
        if here != there {
            return true;
        }
        let now = self.started.elapsed();
        let mut counted = self.counted.lock().unwrap();
        let of_this_minute = counted.iter().rev();
        let of_this_minute = of_this_minute.take_while(|at| now < **at + Duration::from_mins(1));
        let fits = of_this_minute.count() < per_minute;
        if fits {
            counted.push(now);
        } else {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }

    fn next(&self) -> SendOutcome {
        if self.started.elapsed() < *self.outage.lock().unwrap() {
            return unavailable();
        }
        let next = self.script.lock().unwrap().pop_front();
        next.unwrap_or_else(|| self.otherwise.lock().unwrap().clone())
    }
}

#[async_trait]
impl MailTransport for Provider {
    async fn send(
        &self,
        _settings: &SavedSmtpSettings,
        mailbox: &EmailAddress,
        mail: &OutgoingMail,
        gate: &dyn BodyGate,
    ) -> SendOutcome {
        let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.under_way_max.fetch_max(under_way, Ordering::Relaxed);
        let takes = *self.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        if let Some((whom, outcome)) = &*self.refused.lock().unwrap() {
            let mut involved = mail.recipients.iter().chain([mailbox]);
            if involved.any(|one| one.as_str() == whom) {
                return outcome.clone();
            }
        }
        if !self.counts(CountsAt::Beginning) {
            return throttled(Duration::ZERO);
        }
        if !gate.open().await {
            return SendOutcome::Abandoned;
        }
        self.sent.lock().unwrap().push(Sent {
            at: self.started.elapsed(),
            mailbox: mailbox.to_string(),
            message_id: mail.message_id.clone(),
            recipients: mail.recipients.iter().map(ToString::to_string).collect(),
            from: address_of(mail.mail.from.as_ref()),
            reply_to: address_of(mail.mail.reply_to.as_ref()),
        });
        let answers_after = *self.answers_after.lock().unwrap();
        tokio::time::sleep(answers_after).await;
        if !self.counts(CountsAt::End) {
            return throttled(Duration::ZERO);
        }
        self.next()
    }

    fn ready(&self, _mailbox: &EmailAddress) -> usize {
        0
    }

    fn connections(&self) -> usize {
        0
    }

    async fn close_idle(&self, _mailbox: &EmailAddress) {}
}

/// Remembers which jobs ended, and which alarms were raised and cleared.
#[derive(Default)]
struct Told {
    ends: Mutex<Vec<(MailClass, JobState)>>,
    alarms: Mutex<Vec<(AlarmKind, Option<Alarm>)>>,
    /// Senders that were refused (true), and that were taken.
    senders: Mutex<Vec<(String, bool)>>,
    /// Whether the store had no room, each time that it changed.
    full: Mutex<Vec<bool>>,
}

impl DeliveryObserver for Told {
    fn job_accepted(&self, _class: MailClass) {}
    fn attempt_ended(&self, _class: MailClass, _outcome: &str, _elapsed: Duration) {}
    fn job_ended(&self, class: MailClass, state: JobState) {
        self.ends.lock().unwrap().push((class, state));
    }
    fn alarm_raised(&self, alarm: &Alarm) {
        self.alarms.lock().unwrap().push((alarm.kind, Some(alarm.clone())));
    }
    fn alarm_cleared(&self, kind: AlarmKind, _mailbox: &EmailAddress) {
        self.alarms.lock().unwrap().push((kind, None));
    }
    fn sender_refused(&self, sender: &EmailAddress, _reason: &Reason) {
        self.senders.lock().unwrap().push((sender.to_string(), true));
    }
    fn sender_taken(&self, sender: &EmailAddress) {
        self.senders.lock().unwrap().push((sender.to_string(), false));
    }
    fn store_full(&self, is_full: bool) {
        let mut full = self.full.lock().unwrap();
        if full.last() != Some(&is_full) {
            full.push(is_full);
        }
    }
}
