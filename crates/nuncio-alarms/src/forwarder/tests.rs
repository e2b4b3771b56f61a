use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nuncio_core::ports::alarms::AlarmSink as _;
use nuncio_runtime::clock::{SystemEntropy, TestClock, TestEntropy};
use nuncio_store::memory::MemoryJobStore;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;
use crate::testing::{alarm, identity};

/// Longer than any pause of the forwarder.
const PATIENCE: Duration = Duration::from_mins(5);

/// An MnT that can be away, and whose answers can get lost.
#[derive(Default)]
struct Mnt {
    away: AtomicBool,
    loses_answer: AtomicBool,
    refuses: AtomicBool,
    taken: Mutex<Vec<Waiting>>,
    asked: watch::Sender<u32>,
}

#[async_trait]
impl AlarmReceiver for Mnt {
    async fn tell(&self, events: &[Waiting]) -> Result<Vec<Told>, TellError> {
        self.asked.send_modify(|asked| *asked += 1);
        if self.away.load(Ordering::Relaxed) {
            return Err(TellError("connection refused".into()));
        }
        let mut taken = self.taken.lock().unwrap();
        for event in events {
            if taken.iter().all(|one| one.request_id != event.request_id) {
                taken.push(event.clone());
            }
        }
        if self.loses_answer.swap(false, Ordering::Relaxed) {
            return Err(TellError("connection reset".into()));
        }
        let refuses = self.refuses.load(Ordering::Relaxed);
        let answer = if refuses { Told::Refused("no such type".into()) } else { Told::Taken };
        Ok(vec![answer; events.len()])
    }
}

struct Fixture {
    store: Arc<MemoryJobStore>,
    outbox: Arc<Outbox>,
    mnt: Arc<Mnt>,
    running: JoinSet<Result<(), Infallible>>,
}

fn fixture() -> Fixture {
    let store = Arc::default();
    let outbox = Arc::new(outbox(&store));
    Fixture { store, outbox, mnt: Arc::default(), running: JoinSet::new() }
}

fn outbox(store: &Arc<MemoryJobStore>) -> Outbox {
    let records = Arc::<MemoryJobStore>::clone(store);
    let clock = TestClock::starting_at("2026-11-24T03:00:00Z".parse().unwrap());
    // Ids that do not begin anew with each life of the node.
    Outbox::new(records, Arc::new(clock), Arc::new(SystemEntropy), "node")
}

impl Fixture {
    fn start(&mut self) {
        let forwarder = Forwarder {
            outbox: Arc::clone(&self.outbox),
            receiver: Arc::<Mnt>::clone(&self.mnt),
            entropy: Arc::new(TestEntropy::default()),
        };
        self.running.spawn(forwarder.run(CancellationToken::new()));
    }

    async fn asked(&self, times: u32) {
        let mut asked = self.mnt.asked.subscribe();
        let waited = asked.wait_for(|asked| times <= *asked);
        timeout(PATIENCE, waited).await.expect("the MnT is asked").unwrap();
    }

    async fn told_all(&self) {
        let mut waiting = self.outbox.waiting();
        let waited = waiting.wait_for(|waiting| *waiting == 0);
        timeout(PATIENCE, waited).await.expect("all is told").unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn alarms_wait_while_no_mnt_answers_and_are_told_once_in_their_order() {
    let mut fixture = fixture();
    fixture.mnt.away.store(true, Ordering::Relaxed);
    fixture.start();
    fixture.outbox.raise(alarm("a")).await.unwrap();
    fixture.outbox.clear(identity("a")).await.unwrap();
    fixture.asked(3).await;
    assert_eq!(*fixture.outbox.waiting().borrow(), 2);

    // The node dies and starts again.
    fixture.running.abort_all();
    fixture.outbox = Arc::new(outbox(&fixture.store));
    fixture.start();
    fixture.outbox.raise(alarm("b")).await.unwrap();
    fixture.mnt.away.store(false, Ordering::Relaxed);
    fixture.told_all().await;

    let taken = fixture.mnt.taken.lock().unwrap().clone();
    let ids: Vec<_> =
        taken.iter().map(|one| one.event.identity().labels["mailbox"].as_str()).collect();
    assert_eq!(ids, ["a", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_doubles_nothing() {
    let mut fixture = fixture();
    fixture.mnt.loses_answer.store(true, Ordering::Relaxed);
    fixture.outbox.raise(alarm("a")).await.unwrap();

    fixture.start();
    fixture.told_all().await;

    assert_eq!(*fixture.mnt.asked.borrow(), 2, "it was told twice");
    assert_eq!(fixture.mnt.taken.lock().unwrap().len(), 1, "under one request id");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_is_refused_for_good_keeps_no_other_back() {
    let mut fixture = fixture();
    fixture.mnt.refuses.store(true, Ordering::Relaxed);
    fixture.outbox.raise(alarm("a")).await.unwrap();
    fixture.outbox.raise(alarm("b")).await.unwrap();

    fixture.start();

    fixture.told_all().await;
}
