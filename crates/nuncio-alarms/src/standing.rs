//! The alarms of this node about its own way of mail, told to the sink whenever it takes them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::alarm::catalogue::{JOB_STORE_FULL, SENDER_NOT_ALLOWED};
use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm};
use nuncio_core::class::MailClass;
use nuncio_core::job::{JobState, Reason};
use nuncio_core::ports::alarms::AlarmSink;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::StoreError;
use nuncio_delivery::observer::{Alarm, AlarmKind, DeliveryObserver, RecipientsOfDay};
use nuncio_runtime::chain::Chain;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::last_resort::LastResort;

/// The label that names the mailbox of an alarm.
pub const MAILBOX_LABEL: &str = "mailbox";
/// The label that names the sender of an alarm.
pub const SENDER_LABEL: &str = "sender";
/// How long a sender's refusal is no news: many mails may have the same sender.
const REFUSAL_PERIOD: Duration = Duration::from_hours(1);
/// The most senders of which that is known.
const REFUSED_MAX: usize = 1000;
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
    /// When the refusal of a sender was last noted.
    refused: Mutex<BTreeMap<EmailAddress, Timestamp>>,
    /// Whether the store has room, as far as is known.
    room: AtomicU8,
    news: Notify,
}

const UNKNOWN: u8 = 0;
const ROOM: u8 = 1;
const FULL: u8 = 2;

impl StandingAlarms {
    pub fn new(
        next: Arc<dyn DeliveryObserver>,
        clock: Arc<dyn Clock>,
        node: impl Into<String>,
    ) -> Self {
        Self {
            next,
            clock,
            node: node.into(),
            untold: Mutex::default(),
            refused: Mutex::default(),
            room: AtomicU8::new(UNKNOWN),
            news: Notify::new(),
        }
    }

    /// Tells the sink until it is stopped, and what is left at the end once more.
    pub async fn run(
        self: Arc<Self>,
        sink: Arc<dyn AlarmSink>,
        mut last_resort: LastResort,
        stop: CancellationToken,
    ) -> Result<(), Infallible> {
        while stop.run_until_cancelled(self.news.notified()).await.is_some() {
            while let Err(error) = self.tell(&*sink, &mut last_resort).await {
                warn!("an alarm of this node is told later: {}", Chain(&error));
                if stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                    break;
                }
            }
        }
        if let Err(error) = self.tell(&*sink, &mut last_resort).await {
            warn!("an alarm of this node is not told: {}", Chain(&error));
        }
        Ok(())
    }

    async fn tell(
        &self,
        sink: &dyn AlarmSink,
        last_resort: &mut LastResort,
    ) -> Result<(), StoreError> {
        loop {
            let first = self.untold().first_key_value().map(|(id, one)| (id.clone(), one.clone()));
            let Some((identity, state)) = first else { return Ok(()) };
            let told = match state.clone() {
                Some(alarm) => sink.raise(alarm).await,
                None => sink.clear(identity.clone()).await,
            };
            match (told, &state) {
                (Ok(()), None) => last_resort.over(&identity, self.clock.now()).await,
                (Ok(()), Some(_)) => {}
                (Err(full @ StoreError::Full(_)), Some(alarm)) => {
                    if !last_resort.tell(alarm).await {
                        return Err(full);
                    }
                }
                (Err(problem), _) => return Err(problem),
            }
            let mut untold = self.untold();
            if untold.get(&identity) == Some(&state) {
                untold.remove(&identity);
            }
        }
    }

    fn note(&self, identity: AlarmIdentity, alarm: Option<RaisedAlarm>) {
        self.untold().insert(identity, alarm);
        self.news.notify_one();
    }

    fn identity(&self, alarm_type: &str, label: Option<(&str, &EmailAddress)>) -> AlarmIdentity {
        let labels = label.into_iter().map(|(name, value)| (name.to_owned(), value.to_string()));
        let (alarm_type, labels) = (alarm_type.to_owned(), labels.collect());
        AlarmIdentity { alarm_type, node: self.node.clone(), labels }
    }

    fn alarm(&self, identity: AlarmIdentity, alarm: &Alarm) -> RaisedAlarm {
        let what = match alarm.kind {
            AlarmKind::MailboxClosed => "cannot send: the provider refuses it",
            AlarmKind::MailProviderDown => "has not been able to send for minutes",
        };
        let Alarm { mailbox, reason, kind: _ } = alarm;
        let description = format!("mailbox {mailbox} {what} ({})", reason.code);
        self.raised(identity, description, format!("{}; {}", reason.message, reason.remedy))
    }

    fn raised(&self, identity: AlarmIdentity, description: String, details: String) -> RaisedAlarm {
        let raised_at = self.clock.now();
        RaisedAlarm { identity, severity: None, description, details, raised_at }
    }

    /// Whether the refusal of a sender is news; then it is noted. Of more senders than can be noted, each is.
    fn is_news(&self, sender: &EmailAddress) -> bool {
        let now = self.clock.now();
        let mut told = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_sender, at| now < *at + REFUSAL_PERIOD);
        if told.contains_key(sender) {
            return false;
        }
        if told.len() < REFUSED_MAX {
            told.insert(sender.clone(), now);
        }
        true
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
        let identity = self.identity(alarm.kind.name(), Some((MAILBOX_LABEL, &alarm.mailbox)));
        self.note(identity.clone(), Some(self.alarm(identity, alarm)));
        self.next.alarm_raised(alarm);
    }

    fn alarm_cleared(&self, kind: AlarmKind, mailbox: &EmailAddress) {
        self.note(self.identity(kind.name(), Some((MAILBOX_LABEL, mailbox))), None);
        self.next.alarm_cleared(kind, mailbox);
    }

    fn sender_refused(&self, sender: &EmailAddress, reason: &Reason) {
        if self.is_news(sender) {
            let identity = self.identity(SENDER_NOT_ALLOWED, Some((SENDER_LABEL, sender)));
            let said = reason.reply.as_ref().map_or_else(String::new, |reply| format!("; {reply}"));
            let description = format!("the provider lets no mail be sent as {sender}");
            let details = format!("{}{said}", reason.message);
            self.note(identity.clone(), Some(self.raised(identity, description, details)));
        }
        self.next.sender_refused(sender, reason);
    }

    fn sender_taken(&self, sender: &EmailAddress) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).remove(sender);
        self.note(self.identity(SENDER_NOT_ALLOWED, Some((SENDER_LABEL, sender))), None);
        self.next.sender_taken(sender);
    }

    fn day_used(&self, mailbox: &EmailAddress, day: Option<RecipientsOfDay>) {
        self.next.day_used(mailbox, day);
    }

    fn store_full(&self, is_full: bool) {
        let state = if is_full { FULL } else { ROOM };
        // The first room of this life ends what an earlier one has raised.
        let is_known = self.room.load(Ordering::Relaxed) == state;
        if !is_known && self.room.swap(state, Ordering::Relaxed) != state {
            let identity = self.identity(JOB_STORE_FULL, None);
            let alarm = is_full.then(|| {
                let description = "the job store is full: no mail is taken".to_owned();
                self.raised(identity.clone(), description, String::new())
            });
            self.note(identity, alarm);
        }
        self.next.store_full(is_full);
    }
}

#[cfg(test)]
mod tests;
