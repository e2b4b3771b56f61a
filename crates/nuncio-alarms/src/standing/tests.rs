use nuncio_core::job::Reason;
use nuncio_runtime::clock::TestClock;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;

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

#[tokio::test(start_paused = true)]
async fn an_alarm_is_told_again_until_the_sink_has_it() {
    let clock = TestClock::starting_at("2026-11-24T03:00:00Z".parse().unwrap());
    let alarms = Arc::new(StandingAlarms::new(Arc::new(Nobody), Arc::new(clock), "node"));
    let sink = Arc::new(Sink::default());
    let mut running = JoinSet::new();
    let stop = CancellationToken::new();
    running.spawn(Arc::clone(&alarms).run(Arc::<Sink>::clone(&sink), stop.clone()));
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
