//! The alarms of this node about its own way of mail, told to the sink whenever it takes them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nuncio_core::address::EmailAddress;
use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm};
use nuncio_core::class::MailClass;
use nuncio_core::job::JobState;
use nuncio_core::ports::alarms::AlarmSink;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::StoreError;
use nuncio_delivery::observer::{Alarm, AlarmKind, DeliveryObserver};
use nuncio_runtime::chain::Chain;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The label that names the mailbox of an alarm.
pub const MAILBOX_LABEL: &str = "mailbox";
/// Between two tries to tell the sink.
const PAUSE: Duration = Duration::from_secs(5);

/// Hears of alarms from delivery, and passes on everything else that delivery tells.
///
/// Delivery must not wait, so it only notes here how each alarm stands; of an alarm that changes faster than the
/// sink takes it, the last state is told.
pub struct StandingAlarms {
    next: Arc<dyn DeliveryObserver>,
    clock: Arc<dyn Clock>,
    node: String,
    /// What is not told yet: raised, or over.
    untold: Mutex<BTreeMap<AlarmIdentity, Option<RaisedAlarm>>>,
    news: Notify,
}

impl StandingAlarms {
    pub fn new(
        next: Arc<dyn DeliveryObserver>,
        clock: Arc<dyn Clock>,
        node: impl Into<String>,
    ) -> Self {
        Self { next, clock, node: node.into(), untold: Mutex::default(), news: Notify::new() }
    }

    /// Tells the sink until it is stopped, and what is left at the end once more.
    pub async fn run(
        self: Arc<Self>,
        sink: Arc<dyn AlarmSink>,
        stop: CancellationToken,
    ) -> Result<(), Infallible> {
        while stop.run_until_cancelled(self.news.notified()).await.is_some() {
            while let Err(error) = self.tell(&*sink).await {
                warn!("an alarm of this node is told later: {}", Chain(&error));
                if stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                    break;
                }
            }
        }
        if let Err(error) = self.tell(&*sink).await {
            warn!("an alarm of this node is not told: {}", Chain(&error));
        }
        Ok(())
    }

    async fn tell(&self, sink: &dyn AlarmSink) -> Result<(), StoreError> {
        loop {
            let first = self.untold().first_key_value().map(|(id, one)| (id.clone(), one.clone()));
            let Some((identity, state)) = first else { return Ok(()) };
            match state.clone() {
                Some(alarm) => sink.raise(alarm).await?,
                None => sink.clear(identity.clone()).await?,
            }
            let mut untold = self.untold();
            if untold.get(&identity) == Some(&state) {
                untold.remove(&identity);
            }
        }
    }

    fn note(&self, kind: AlarmKind, mailbox: &EmailAddress, raised: Option<&Alarm>) {
        let labels = BTreeMap::from([(MAILBOX_LABEL.to_owned(), mailbox.to_string())]);
        let alarm_type = kind.name().to_owned();
        let identity = AlarmIdentity { alarm_type, node: self.node.clone(), labels };
        let alarm = raised.map(|alarm| self.alarm(identity.clone(), alarm));
        self.untold().insert(identity, alarm);
        self.news.notify_one();
    }

    fn alarm(&self, identity: AlarmIdentity, alarm: &Alarm) -> RaisedAlarm {
        let what = match alarm.kind {
            AlarmKind::MailboxClosed => "cannot send: the provider refuses it",
            AlarmKind::MailProviderDown => "has not been able to send for minutes",
        };
        let Alarm { mailbox, reason, kind: _ } = alarm;
        RaisedAlarm {
            identity,
            severity: None,
            description: format!("mailbox {mailbox} {what} ({})", reason.code),
            details: format!("{}; {}", reason.message, reason.remedy),
            raised_at: self.clock.now(),
        }
    }

    fn untold(&self) -> std::sync::MutexGuard<'_, BTreeMap<AlarmIdentity, Option<RaisedAlarm>>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeliveryObserver for StandingAlarms {
    fn job_accepted(&self, class: MailClass) {
        self.next.job_accepted(class);
    }

    fn attempt_ended(&self, class: MailClass, outcome: &str, elapsed: Duration) {
        self.next.attempt_ended(class, outcome, elapsed);
    }

    fn job_ended(&self, class: MailClass, state: JobState) {
        self.next.job_ended(class, state);
    }

    fn alarm_raised(&self, alarm: &Alarm) {
        self.note(alarm.kind, &alarm.mailbox, Some(alarm));
        self.next.alarm_raised(alarm);
    }

    fn alarm_cleared(&self, kind: AlarmKind, mailbox: &EmailAddress) {
        self.note(kind, mailbox, None);
        self.next.alarm_cleared(kind, mailbox);
    }
}

#[cfg(test)]
mod tests;
