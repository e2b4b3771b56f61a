use std::collections::BTreeSet;

use nuncio_runtime::clock::{TestClock, TestEntropy};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::forwarder::{AlarmReceiver, TellError, Told};
use crate::outbox::Waiting;

struct Nobody;

impl DeliveryObserver for Nobody {
    fn job_accepted(&self, _class: MailClass) {}
    fn attempt_ended(&self, _class: MailClass, _outcome: &str, _elapsed: Duration) {}
    fn job_ended(&self, _class: MailClass, _state: JobState) {}
    fn alarm_raised(&self, _alarm: &Alarm) {}
    fn alarm_cleared(&self, _kind: AlarmKind, _mailbox: &EmailAddress) {}
}

/// A sink that refuses what it is told first.
#[derive(Default)]
struct Sink(watch::Sender<(u32, Vec<(bool, AlarmIdentity)>)>);

impl Sink {
    fn take(&self, raised: bool, alarm: AlarmIdentity) -> Result<(), StoreError> {
        let mut first = false;
        self.0.send_modify(|(asked, told)| {
            first = *asked == 0;
            *asked += 1;
            if !first {
                told.push((raised, alarm));
            }
        });
        if first { Err(StoreError::Unusable("down".into())) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl AlarmSink for Sink {
    async fn raise(&self, alarm: RaisedAlarm) -> Result<(), StoreError> {
        self.take(true, alarm.identity)
    }

    async fn clear(&self, alarm: AlarmIdentity) -> Result<(), StoreError> {
        self.take(false, alarm)
    }
}

/// No MnT and no routes.
fn nowhere() -> LastResort {
    let entropy = Arc::new(TestEntropy::default());
    LastResort { receiver: None, courier: None, entropy, told: BTreeSet::new() }
}

/// A sink whose disk is full until it has been asked so often.
struct FullDisk {
    until: u32,
    asked: watch::Sender<u32>,
    told: Mutex<Vec<(bool, AlarmIdentity)>>,
}

impl FullDisk {
    fn take(&self, raised: bool, alarm: AlarmIdentity) -> Result<(), StoreError> {
        self.asked.send_modify(|asked| *asked += 1);
        if *self.asked.borrow() <= self.until {
            return Err(StoreError::Full("full".into()));
        }
        self.told.lock().unwrap().push((raised, alarm));
        Ok(())
    }
}

#[async_trait::async_trait]
impl AlarmSink for FullDisk {
    async fn raise(&self, alarm: RaisedAlarm) -> Result<(), StoreError> {
        self.take(true, alarm.identity)
    }

    async fn clear(&self, alarm: AlarmIdentity) -> Result<(), StoreError> {
        self.take(false, alarm)
    }
}

/// An MnT with a disk of its own.
#[derive(Default)]
struct Elsewhere(Mutex<Vec<Waiting>>);

#[async_trait::async_trait]
impl AlarmReceiver for Elsewhere {
    async fn tell(&self, events: &[Waiting]) -> Result<Vec<Told>, TellError> {
        self.0.lock().unwrap().extend_from_slice(events);
        Ok(vec![Told::Taken; events.len()])
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_told_straight_to_the_mnt_once_and_its_end_when_there_is_room() {
    let clock = TestClock::starting_at("2026-11-24T03:00:00Z".parse().unwrap());
    let alarms = Arc::new(StandingAlarms::new(Arc::new(Nobody), Arc::new(clock), "node"));
    let asked = watch::Sender::new(0);
    let sink = Arc::new(FullDisk { until: 1, asked, told: Mutex::default() });
    let mnt = Arc::new(Elsewhere::default());
    let last_resort =
        LastResort { receiver: Some(Arc::<Elsewhere>::clone(&mnt) as _), ..nowhere() };
    let (mut running, stop) = (JoinSet::new(), CancellationToken::new());
    let told_to = Arc::<FullDisk>::clone(&sink);
    running.spawn(Arc::clone(&alarms).run(told_to, last_resort, stop.clone()));

    for _submit in 0..10 {
        alarms.store_full(true);
    }
    let mut seen = sink.asked.subscribe();
    timeout(PAUSE, seen.wait_for(|asked| *asked == 1)).await.expect("it is told").unwrap();
    alarms.store_full(false);
    alarms.store_full(false);
    stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();

    let raised = mnt.0.lock().unwrap().clone();
    assert_eq!(raised.len(), 1);
    assert_eq!(raised[0].event.identity().alarm_type, JOB_STORE_FULL);
    let told = sink.told.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(!told[0].0, "its end");
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_is_refused_for_many_mails_is_one_alarm_until_it_may_send() {
    let clock = TestClock::starting_at("2026-11-24T03:00:00Z".parse().unwrap());
    let alarms = Arc::new(StandingAlarms::new(Arc::new(Nobody), Arc::new(clock), "node"));
    let asked = watch::Sender::new(0);
    let sink = Arc::new(FullDisk { until: 0, asked, told: Mutex::default() });
    let (mut running, stop) = (JoinSet::new(), CancellationToken::new());
    let told_to = Arc::<FullDisk>::clone(&sink);
    running.spawn(Arc::clone(&alarms).run(told_to, nowhere(), stop.clone()));
    let sender: EmailAddress = "sponsor@example.com".parse().unwrap();
    let reason = Reason::new("SENDER_REFUSED", "no right to send as it");

    let mut seen = sink.asked.subscribe();
    for _mail in 0..10 {
        alarms.sender_refused(&sender, &reason);
        timeout(PAUSE, seen.wait_for(|asked| *asked == 1)).await.expect("it is told").unwrap();
    }
    alarms.sender_taken(&sender);
    stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();

    let told = sink.told.lock().unwrap().clone();
    let raised: Vec<bool> = told.iter().map(|(raised, _)| *raised).collect();
    assert_eq!(raised, [true, false]);
    assert!(told.iter().all(|(_, one)| one.alarm_type == SENDER_NOT_ALLOWED));
    assert!(told.iter().all(|(_, one)| one.labels[SENDER_LABEL] == "sponsor@example.com"));
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_told_again_until_the_sink_has_it() {
    let clock = TestClock::starting_at("2026-11-24T03:00:00Z".parse().unwrap());
    let alarms = Arc::new(StandingAlarms::new(Arc::new(Nobody), Arc::new(clock), "node"));
    let sink = Arc::new(Sink::default());
    let mut running = JoinSet::new();
    let stop = CancellationToken::new();
    running.spawn(Arc::clone(&alarms).run(Arc::<Sink>::clone(&sink), nowhere(), stop.clone()));
    let mailbox: EmailAddress = "wifi@example.com".parse().unwrap();
    let reason = Reason::new("CLIENT_SECRET_EXPIRED", "535 5.7.3");
    let kind = AlarmKind::MailboxClosed;

    alarms.alarm_raised(&Alarm { kind, mailbox: mailbox.clone(), reason });
    let mut told = sink.0.subscribe();
    let waited = told.wait_for(|(_, told)| told.len() == 1);
    drop(timeout(PAUSE * 2, waited).await.expect("it is told").unwrap());
    alarms.alarm_cleared(kind, &mailbox);
    stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();

    let (asked, told) = sink.0.borrow().clone();
    let raised: Vec<_> = told.iter().map(|(raised, _)| *raised).collect();
    assert_eq!((asked, raised), (3, vec![true, false]));
    assert!(told.iter().all(|(_, one)| one.labels[MAILBOX_LABEL] == "wifi@example.com"));
}
