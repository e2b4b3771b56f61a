//! What a node counts and measures, for Prometheus.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nuncio_core::address::EmailAddress;
use nuncio_core::class::MailClass;
use nuncio_core::job::JobState;
use nuncio_core::reminder::Channel;
use nuncio_delivery::observer::{Alarm, AlarmKind, DeliveryObserver, RecipientsOfDay};
use nuncio_pan::reminders::ReminderObserver;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub mod classic;
mod collector;
pub mod gauges;

use crate::access::DENIALS;
use crate::metrics::collector::{Days, GaugeCollector};
use crate::metrics::gauges::Gauges;

/// The format that [`Metrics::scrape`] writes (`OpenMetrics` 1.0, section "Overall Structure").
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The upper bounds of the durations of attempts, in seconds: from a round trip on a warm connection to the
/// longest wait for the end of data.
const SEND_DURATION_BUCKETS_S: [f64; 14] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0];

/// A reminder that goes out so long after its stage had come is late: quiet hours, or a PAN that was down.
const REMINDER_LATE_MIN: Duration = Duration::from_mins(5);

/// The most outcomes that are counted by their own names. Names are few, but come from a text.
const OUTCOMES_MAX: usize = 100;
/// Stands for all further outcomes.
const OTHER_OUTCOME: &str = "OTHER";

/// The counters and gauges of one node. Each node of a process has its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    accepted: Family<ByClass, Counter>,
    ended: Family<ByClassAndState, Counter>,
    attempts: Family<ByOutcome, Counter>,
    alarms: Family<ByAlarm, Counter>,
    denied: Family<ByReason, Counter>,
    reminders: Reminders,
    /// How many outcomes were new.
    outcomes: AtomicUsize,
    send_duration: Histogram,
    gauges: Arc<Mutex<Gauges>>,
    days: Arc<Mutex<Days>>,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("nuncio");
        let accepted = Family::<ByClass, Counter>::default();
        let ended = Family::<ByClassAndState, Counter>::default();
        let attempts = Family::<ByOutcome, Counter>::default();
        let alarms = Family::<ByAlarm, Counter>::default();
        let send_duration = Histogram::new(SEND_DURATION_BUCKETS_S);
        let gauges = Arc::new(Mutex::new(Gauges::default()));
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of nuncio", version);
        registry.register("mail_jobs_accepted", "Mail jobs that were stored", accepted.clone());
        registry.register("mail_jobs_ended", "Mail jobs that came to a final state", ended.clone());
        registry.register("mail_attempts", "Attempts to send a mail", attempts.clone());
        registry.register("alarms_raised", "Alarms that a person must know of", alarms.clone());
        let denied = Family::<ByReason, Counter>::default();
        let help = "Calls of gRPC that were denied";
        registry.register("grpc_calls_denied", help, denied.clone());
        let reminders = Reminders::default();
        reminders.register(&mut registry);
        registry.register_with_unit(
            "mail_send_duration",
            "Time that an attempt to send a mail took",
            Unit::Seconds,
            send_duration.clone(),
        );
        let days = Arc::new(Mutex::new(Days::default()));
        let collector = GaugeCollector { gauges: Arc::clone(&gauges), days: Arc::clone(&days) };
        registry.register_collector(Box::new(collector));
        let outcomes = AtomicUsize::new(0);
        let metrics = Self {
            registry,
            accepted,
            ended,
            attempts,
            alarms,
            denied,
            reminders,
            outcomes,
            send_duration,
            gauges,
            days,
        };
        metrics.begin_at_zero();
        metrics
    }

    /// All metrics as text, with the gauges as they are now.
    pub fn scrape(&self, now: Gauges) -> String {
        *self.gauges.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("a String takes everything");
        text
    }

    /// `reason` is one of few names.
    pub(crate) fn call_denied(&self, reason: &'static str) {
        self.denied.get_or_create(&ByReason { reason }).inc();
    }

    /// Makes all series, as a rate needs the zero from which a counter started.
    fn begin_at_zero(&self) {
        for reason in DENIALS {
            drop(self.denied.get_or_create(&ByReason { reason }));
        }
        for kind in AlarmKind::ALL {
            drop(self.alarms.get_or_create(&ByAlarm { alarm: kind.name() }));
        }
        for class in MailClass::ALL {
            drop(self.accepted.get_or_create(&ByClass::from(class)));
            for state in JobState::ALL.into_iter().filter(|state| state.is_final()) {
                drop(self.ended.get_or_create(&ByClassAndState::from((class, state))));
            }
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl DeliveryObserver for Metrics {
    fn job_accepted(&self, class: MailClass) {
        self.accepted.get_or_create(&ByClass::from(class)).inc();
    }

    fn attempt_ended(&self, _class: MailClass, outcome: &str, elapsed: Duration) {
        let mut label = ByOutcome { outcome: Cow::Owned(outcome.to_owned()) };
        let known = self.attempts.get(&label).is_some();
        if !known && OUTCOMES_MAX <= self.outcomes.fetch_add(1, Ordering::Relaxed) {
            label = ByOutcome { outcome: Cow::Borrowed(OTHER_OUTCOME) };
        }
        self.attempts.get_or_create(&label).inc();
        self.send_duration.observe(elapsed.as_secs_f64());
    }

    fn job_ended(&self, class: MailClass, state: JobState) {
        self.ended.get_or_create(&ByClassAndState::from((class, state))).inc();
    }

    fn alarm_raised(&self, alarm: &Alarm) {
        self.alarms.get_or_create(&ByAlarm { alarm: alarm.kind.name() }).inc();
    }

    fn alarm_cleared(&self, _kind: AlarmKind, _mailbox: &EmailAddress) {}

    fn day_used(&self, mailbox: &EmailAddress, day: Option<RecipientsOfDay>) {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        match day {
            Some(day) => drop(days.insert(mailbox.to_string(), day)),
            None => drop(days.remove(mailbox.as_str())),
        }
    }
}

/// What became of reminders.
#[derive(Debug, Default)]
struct Reminders {
    sent: Family<ByReader, Counter>,
    late: Counter,
    superseded: Counter,
    expired: Counter,
}

impl Reminders {
    fn register(&self, registry: &mut Registry) {
        registry.register("reminders_sent", "Reminders that became a mail job", self.sent.clone());
        let help = "Reminders that became a mail job five minutes after their stage, or later";
        registry.register("reminders_late", help, self.late.clone());
        let help = "Stages that were passed over for a more urgent one";
        registry.register("reminders_superseded", help, self.superseded.clone());
        let help = "Guests whose access has ended";
        registry.register("guests_expired", help, self.expired.clone());
        for channel in Channel::ALL {
            drop(self.sent.get_or_create(&ByReader { to: channel.name() }));
        }
    }
}

impl ReminderObserver for Metrics {
    fn reminder_sent(&self, channel: Channel, late: Duration) {
        self.reminders.sent.get_or_create(&ByReader { to: channel.name() }).inc();
        if REMINDER_LATE_MIN <= late {
            self.reminders.late.inc();
        }
    }

    fn reminder_superseded(&self) {
        self.reminders.superseded.inc();
    }

    fn guest_expired(&self) {
        self.reminders.expired.inc();
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByReader {
    to: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByClass {
    class: &'static str,
}

impl From<MailClass> for ByClass {
    fn from(class: MailClass) -> Self {
        Self { class: class.name() }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByClassAndState {
    class: &'static str,
    state: &'static str,
}

impl From<(MailClass, JobState)> for ByClassAndState {
    fn from((class, state): (MailClass, JobState)) -> Self {
        Self { class: class.name(), state: state.name() }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByAlarm {
    alarm: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByOutcome {
    outcome: Cow<'static, str>,
}

#[cfg(test)]
mod tests;
