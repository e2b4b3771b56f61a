use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use nuncio_core::ports::records::{Committed, DuePlace, RecordKind, RecordQuery};
use nuncio_runtime::clock::TestClock;
use nuncio_store::memory::MemoryJobStore;
use tokio::task::JoinSet;

use super::*;
use crate::fenced::FencedRecords;
use crate::leaders::leaders;

const NOON: Timestamp = Timestamp::constant(1_800_000_000, 0);
/// How late a successor may be after the end of a lease.
const LATE_MAX: Duration = Duration::from_secs(1);
/// Between two looks at who leads.
const POLL: Duration = Duration::from_millis(10);

/// Some nodes of one store.
struct Cluster {
    store: Arc<MemoryJobStore>,
    clock: TestClock,
    /// Who led from when to when; none while he leads.
    terms: Arc<Mutex<Vec<Term>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    node: &'static str,
    from: Instant,
    to: Option<Instant>,
    number: i64,
}

/// A node: its way to the store, and what it runs.
struct Node {
    store: Arc<Way>,
    stop: CancellationToken,
    running: JoinSet<()>,
}

/// A way to the store that may be cut.
struct Way {
    store: Arc<MemoryJobStore>,
    /// [`OPEN`] and so on.
    state: AtomicU8,
}

const OPEN: u8 = 0;
/// Nothing is answered.
const SILENT: u8 = 1;
/// What is written is done, but its answer is an error.
const DEAF: u8 = 2;

impl Cluster {
    fn new() -> Self {
        let clock = TestClock::starting_at(NOON);
        Self { store: Arc::default(), clock, terms: Arc::default() }
    }

    fn elections(&self, node: &'static str) -> (Elections, Arc<Way>) {
        let way = Arc::new(Way { store: Arc::clone(&self.store), state: AtomicU8::new(OPEN) });
        let records: Arc<dyn RecordStore> = Arc::<Way>::clone(&way);
        let incarnation = Incarnation(format!("life of {node}"));
        let clock = Arc::new(self.clock);
        (Elections::among(records, clock, incarnation, node.to_owned()), way)
    }

    /// Starts a node that leads as long as it may.
    fn start(&self, node: &'static str) -> Node {
        self.start_with(node, |over| async move {
            over.cancelled().await;
            Duration::ZERO
        })
    }

    fn start_with<F>(
        &self,
        node: &'static str,
        work: impl Fn(CancellationToken) -> F + Send + Sync + 'static,
    ) -> Node
    where
        F: Future<Output = Duration> + Send,
    {
        let (elections, store) = self.elections(node);
        let (stop, terms, work) =
            (CancellationToken::new(), Arc::clone(&self.terms), Arc::new(work));
        let mut running = JoinSet::new();
        let stopped = stop.clone();
        running.spawn(async move {
            let lead = |leadership: Leadership| {
                let (terms, work) = (Arc::clone(&terms), Arc::clone(&work));
                async move {
                    let number = leadership.term.as_ref().map_or(0, |(_, term)| *term);
                    let led = Led::begin(&terms, node, number);
                    let rest = work(leadership.over().clone()).await;
                    drop(led);
                    rest
                }
            };
            elections.lead(Duty::Pan, stopped, lead).await;
        });
        Node { store, stop, running }
    }

    fn terms(&self) -> Vec<Term> {
        self.terms.lock().unwrap().clone()
    }

    fn leader(&self) -> Option<&'static str> {
        let terms = self.terms();
        let mut leading = terms.iter().filter(|term| term.to.is_none());
        let leader = leading.next().map(|term| term.node);
        assert_eq!(leading.next(), None, "two lead at once: {terms:?}");
        leader
    }

    /// Waits until this node leads, and gives how long that took.
    async fn wait_for(&self, node: &str) -> Duration {
        let begun = Instant::now();
        while self.leader() != Some(node) {
            assert!(begun.elapsed() < Duration::from_mins(2), "{node} never leads");
            sleep(POLL).await;
        }
        begun.elapsed()
    }
}

/// Notes the end of a term, also of one that is cut short.
struct Led {
    terms: Arc<Mutex<Vec<Term>>>,
    place: usize,
}

impl Led {
    fn begin(terms: &Arc<Mutex<Vec<Term>>>, node: &'static str, number: i64) -> Self {
        let mut all = terms.lock().unwrap();
        all.push(Term { node, from: Instant::now(), to: None, number });
        Self { terms: Arc::clone(terms), place: all.len() - 1 }
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        self.terms.lock().unwrap()[self.place].to = Some(Instant::now());
    }
}

impl Node {
    /// As `kill -9` does.
    fn kill(mut self) {
        self.running.abort_all();
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(end) = self.running.join_next().await {
            end.unwrap();
        }
    }
}

impl Way {
    fn set(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
    }

    async fn open(&self) {
        if self.state.load(Ordering::Relaxed) == SILENT {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl RecordStore for Way {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, StoreError> {
        self.open().await;
        self.store.read(keys).await
    }

    async fn list_records(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        self.open().await;
        self.store.list_records(query).await
    }

    async fn due_records(
        &self,
        kind: RecordKind,
        until: Timestamp,
        after: Option<&DuePlace>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        self.store.due_records(kind, until, after, limit).await
    }

    async fn next_due_record(&self, kind: RecordKind) -> Result<Option<Timestamp>, StoreError> {
        self.store.next_due_record(kind).await
    }

    async fn count_records(&self, kind: RecordKind) -> Result<u64, StoreError> {
        self.store.count_records(kind).await
    }

    async fn commit(&self, changes: Changeset) -> Result<Committed, CommitError> {
        self.open().await;
        let done = self.store.commit(changes).await;
        if self.state.load(Ordering::Relaxed) == DEAF {
            return Err(CommitError::Store(StoreError::Unusable("the answer is lost".into())));
        }
        done
    }

    fn records_changed(&self) -> watch::Receiver<()> {
        self.store.records_changed()
    }
}

fn put(id: &str) -> Changeset {
    let key = RecordKey::new(RecordKind("reminder"), id);
    let content = "{}".to_owned();
    let put = Write::Put { key, expected: Expected::Absent, owner: None, due_at: None, content };
    Changeset { writes: vec![put], ..Changeset::new(NOON) }
}

#[tokio::test(start_paused = true)]
async fn of_three_nodes_one_leads_for_as_long_as_it_lives() {
    let cluster = Cluster::new();
    let one = cluster.start("one");
    cluster.wait_for("one").await;
    let (_two, _three) = (cluster.start("two"), cluster.start("three"));

    sleep(Duration::from_mins(10)).await;

    assert_eq!(cluster.leader(), Some("one"));
    assert_eq!(cluster.terms().len(), 1);
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_death_another_node_leads_within_the_lease() {
    let cluster = Cluster::new();
    let one = cluster.start("one");
    cluster.wait_for("one").await;
    let _two = cluster.start("two");
    sleep(Duration::from_secs(61)).await;

    one.kill();
    let took = cluster.wait_for("two").await;

    assert!(took <= LEASE_DURATION + LATE_MAX, "{took:?}");
    let numbers: Vec<_> = cluster.terms().iter().map(|term| term.number).collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_is_taken_at_once() {
    let cluster = Cluster::new();
    let one = cluster.start("one");
    cluster.wait_for("one").await;
    let _two = cluster.start("two");
    sleep(Duration::from_secs(30)).await;

    one.stop().await;
    let took = cluster.wait_for("two").await;

    assert!(took <= LOOK_PERIOD + POLL, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_winds_up_keeps_its_lease_until_it_is_done() {
    let cluster = Cluster::new();
    let one = cluster.start_with("one", |over| async move {
        over.cancelled().await;
        sleep(Duration::from_secs(20)).await;
        Duration::ZERO
    });
    cluster.wait_for("one").await;
    let _two = cluster.start("two");

    let begun = Instant::now();
    one.stop().await;
    cluster.wait_for("two").await;

    let [of_one, of_two] = cluster.terms().try_into().expect("two terms");
    assert!(Duration::from_secs(20) <= begun.elapsed());
    assert!(of_one.to.unwrap() <= of_two.from);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_loses_the_store_steps_down_before_another_one_leads() {
    let cluster = Cluster::new();
    let one = cluster.start("one");
    cluster.wait_for("one").await;
    let _two = cluster.start("two");
    sleep(Duration::from_secs(33)).await;

    let cut_at = Instant::now();
    one.store.set(SILENT);
    cluster.wait_for("two").await;

    let [of_one, of_two] = cluster.terms().try_into().expect("two terms");
    assert!(of_one.to.unwrap() + Duration::from_secs(1) <= of_two.from, "{of_one:?} {of_two:?}");
    assert!(of_two.from <= cut_at + LEASE_DURATION + LATE_MAX);
}

#[tokio::test(start_paused = true)]
async fn when_the_store_is_away_for_all_the_next_term_begins_when_it_is_back() {
    let cluster = Cluster::new();
    let one = cluster.start("one");
    cluster.wait_for("one").await;
    one.store.set(SILENT);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(cluster.leader(), None);

    let _heir = cluster.start("heir");
    let took = cluster.wait_for("heir").await;

    assert!(took <= LOOK_PERIOD + POLL, "nobody has led for a minute: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_is_lost_costs_no_leadership() {
    let cluster = Cluster::new();
    let one = cluster.start("one");
    cluster.wait_for("one").await;
    let _two = cluster.start("two");
    one.store.set(DEAF);
    sleep(Duration::from_secs(4)).await;

    one.store.set(OPEN);
    sleep(Duration::from_mins(1)).await;

    assert_eq!((cluster.leader(), cluster.terms().len()), (Some("one"), 1));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_it_to_others_and_takes_it_back_when_nobody_wants_it() {
    let cluster = Cluster::new();
    let gives_up = |_over| async {
        sleep(Duration::from_secs(5)).await;
        Duration::from_secs(7)
    };
    let one = cluster.start_with("one", gives_up);
    cluster.wait_for("one").await;
    sleep(Duration::from_secs(6)).await;
    assert_eq!(cluster.leader(), None);
    cluster.wait_for("one").await;
    let _two = cluster.start("two");

    let took = cluster.wait_for("two").await;

    assert!(took <= Duration::from_secs(5) + LOOK_PERIOD + POLL, "{took:?}");
    sleep(Duration::from_mins(2)).await;
    assert_eq!(cluster.leader(), Some("two"), "it keeps what was left to it");
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_replaced_leader_changes_nothing_more_and_learns_that_it_leads_no_more() {
    let cluster = Cluster::new();
    let (elections, way) = cluster.elections("one");
    let among = Arc::clone(elections.among.as_ref().unwrap());
    let stop = CancellationToken::new();
    let held = among.campaign(&Duty::Mnt, &stop).await.expect("nobody else stands");
    let (trust, trusted_until) = watch::channel(Some(held.trusted_until));
    let term = Some((Duty::Mnt.term_key(), held.term));
    let leadership = Leadership { term, trusted_until, over: stop.clone() };
    let records: Arc<dyn RecordStore> = Arc::<Way>::clone(&way);
    let fenced = FencedRecords::over(records, &leadership);
    fenced.commit(put("while it leads")).await.unwrap();

    // It does nothing for so long that another one takes over.
    sleep(LEASE_DURATION).await;
    let (others, _way) = cluster.elections("two");
    let heir = others.among.as_ref().unwrap().campaign(&Duty::Mnt, &stop).await;

    assert_eq!(heir.map(|heir| heir.term), Some(2));
    assert!(!leadership.is_trusted());
    let refused = fenced.commit(put("after its term")).await.unwrap_err();
    assert!(matches!(&refused, CommitError::Store(_)), "{refused:?}");
    assert!(leadership.over().is_cancelled());
    let late = RecordKey::new(RecordKind("reminder"), "after its term");
    assert_eq!(cluster.store.read(&[late]).await.unwrap(), [None]);
    drop(trust);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_alone_with_its_store_leads_at_once_and_writes_nothing() {
    let elections = Elections::alone();
    let stop = CancellationToken::new();
    let led = elections.led();
    let work = |leadership: Leadership| async move {
        assert!(leadership.is_trusted() && !leadership.has_others());
        leadership.over().cancelled().await;
        Duration::ZERO
    };
    let leading = elections.lead(Duty::Pan, stop.clone(), work);
    let stopping = async {
        sleep(Duration::from_hours(1)).await;
        assert!(led.borrow().contains(&Duty::Pan));
        stop.cancel();
    };

    tokio::join!(leading, stopping);

    assert!(led.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn everybody_can_see_who_leads_what() {
    let cluster = Cluster::new();
    let one = cluster.start("one");
    cluster.wait_for("one").await;

    let seen = leaders(&*cluster.store, cluster.clock.now()).await.unwrap();
    let [leader] = seen.as_slice() else { panic!("one leads: {seen:?}") };
    assert_eq!((&leader.duty, leader.node.as_str()), (&Duty::Pan, "one"));

    one.stop().await;
    assert_eq!(leaders(&*cluster.store, cluster.clock.now()).await.unwrap(), []);
}
