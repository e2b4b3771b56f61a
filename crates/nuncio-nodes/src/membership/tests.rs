//! Nodes over one store in memory, in virtual time.

use std::sync::Mutex;

use nuncio_core::ports::records::Record;
use nuncio_runtime::clock::TestClock;
use nuncio_store::memory::MemoryJobStore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// A store, and the nodes that run on it.
struct Nodes {
    store: Arc<MemoryJobStore>,
    clock: Arc<TestClock>,
    running: JoinSet<Result<(), Infallible>>,
}

/// A node of a test.
struct TestNode {
    membership: Membership,
    report: Arc<Mutex<NodeReport>>,
    settings: watch::Sender<Option<Arc<SavedSmtpSettings>>>,
    stop: CancellationToken,
    abort: tokio::task::AbortHandle,
}

struct TestReporter(Arc<Mutex<NodeReport>>);

#[async_trait]
impl Reporter for TestReporter {
    async fn report(&self) -> NodeReport {
        self.0.lock().unwrap().clone()
    }
}

impl Nodes {
    fn new() -> Self {
        let clock = Arc::new(TestClock::starting_at(START));
        Self { store: Arc::new(MemoryJobStore::default()), clock, running: JoinSet::new() }
    }

    /// Starts a run of a node, and waits until it has said so.
    async fn start(&mut self, name: &str, incarnation: &str) -> TestNode {
        let report = NodeReport {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            address: format!("{name}:7587"),
            started_at: self.clock.now(),
            ..NodeReport::default()
        };
        let report = Arc::new(Mutex::new(report));
        let reporter = Arc::new(TestReporter(Arc::clone(&report)));
        let (records, clock) = (Arc::clone(&self.store) as _, Arc::clone(&self.clock) as _);
        let incarnation = Incarnation(incarnation.to_owned());
        let membership = Membership::shared(records, clock, incarnation, reporter);
        let (settings, stop) = (watch::Sender::new(None), CancellationToken::new());
        let run = membership.clone().run(settings.subscribe(), stop.clone());
        let abort = self.running.spawn(run);
        sleep(Duration::from_millis(1)).await;
        TestNode { membership, report, settings, stop, abort }
    }

    async fn record(&self, incarnation: &str) -> Option<Record> {
        self.store.read(&[RecordKey::new(NODE, incarnation)]).await.unwrap().remove(0)
    }

    async fn count(&self) -> u64 {
        self.store.count_records(NODE).await.unwrap()
    }
}

impl TestNode {
    /// The other ends without a farewell.
    fn kill(&self) {
        self.abort.abort();
    }

    async fn members(&self) -> Vec<Member> {
        self.membership.members().await.unwrap()
    }

    /// Names and lives, as this node sees them.
    async fn sees(&self) -> Vec<(String, Life)> {
        self.members().await.into_iter().map(|member| (member.name, member.life)).collect()
    }
}

fn live(name: &str) -> (String, Life) {
    (name.to_owned(), Life::Live)
}

fn dead(name: &str) -> (String, Life) {
    (name.to_owned(), Life::Dead)
}

#[tokio::test(start_paused = true)]
async fn nodes_of_a_store_see_each_other_by_name_as_long_as_they_live() {
    let mut nodes = Nodes::new();
    let two = nodes.start("psn-2", "b").await;
    let one = nodes.start("psn-1", "a").await;

    sleep(Duration::from_hours(1)).await;

    for node in [&one, &two] {
        assert_eq!(node.sees().await, [live("psn-1"), live("psn-2")]);
        assert_eq!(node.membership.counts(), Counts { live: 2, dead: 0 });
    }
    let of_two = one.members().await.remove(1);
    assert_eq!(of_two.report.unwrap().address, "psn-2:7587");
}

#[tokio::test(start_paused = true)]
async fn a_killed_node_is_dead_within_its_time_and_says_since_when() {
    let mut nodes = Nodes::new();
    let (one, two) = (nodes.start("psn-1", "a").await, nodes.start("psn-2", "b").await);
    two.kill();
    let last = one.members().await[1].heard_at;

    sleep(HEARTBEAT * 2).await;
    assert_eq!(one.sees().await, [live("psn-1"), live("psn-2")]);
    sleep(HEARTBEAT).await;

    assert_eq!(one.sees().await, [live("psn-1"), dead("psn-2")]);
    assert_eq!(one.members().await[1].heard_at, last);
    sleep(HEARTBEAT).await;
    assert_eq!(one.membership.counts(), Counts { live: 1, dead: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_listed_for_minutes_and_then_removed_by_whoever_sees_it() {
    let mut nodes = Nodes::new();
    let (one, two) = (nodes.start("psn-1", "a").await, nodes.start("psn-2", "b").await);
    two.kill();

    sleep(DEAD_LISTED_FOR).await;
    assert_eq!(one.sees().await, [live("psn-1"), dead("psn-2")]);
    sleep(ALIVE_FOR + HEARTBEAT).await;

    assert_eq!(one.sees().await, [live("psn-1")]);
    assert_eq!(nodes.count().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_leaves_at_once() {
    let mut nodes = Nodes::new();
    let (one, two) = (nodes.start("psn-1", "a").await, nodes.start("psn-2", "b").await);

    two.stop.cancel();
    sleep(Duration::from_millis(1)).await;

    assert_eq!(one.sees().await, [live("psn-1")]);
    assert_eq!(nodes.count().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_killed_and_started_again_is_one_node() {
    let mut nodes = Nodes::new();
    let (one, two) = (nodes.start("psn-1", "a").await, nodes.start("psn-2", "b").await);
    two.kill();
    sleep(Duration::from_secs(1)).await;

    let again = nodes.start("psn-2", "c").await;

    let members = one.members().await;
    assert_eq!(one.sees().await, [live("psn-1"), live("psn-2")]);
    assert_eq!(&members[1].incarnation, again.membership.incarnation());
    assert!(!members[1].shares_name);
    assert_eq!(nodes.count().await, 2, "the first look of the new run has tidied up");
}

#[tokio::test(start_paused = true)]
async fn two_nodes_that_live_with_one_name_are_told_as_a_mistake() {
    let mut nodes = Nodes::new();
    let one = nodes.start("psn", "a").await;
    sleep(Duration::from_mins(1)).await;
    let _two = nodes.start("psn", "b").await;

    sleep(HEARTBEAT * 2).await;

    let members = one.members().await;
    assert_eq!(one.sees().await, [live("psn"), live("psn")]);
    assert!(members.iter().all(|member| member.shares_name), "{members:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_lists_itself_also_when_another_one_of_its_name_has_just_started() {
    let mut nodes = Nodes::new();
    let (one, two) = (nodes.start("psn", "a").await, nodes.start("psn", "b").await);

    for node in [&one, &two] {
        let members = node.members().await;
        let own = node.membership.incarnation();
        let itself = members.iter().find(|member| member.incarnation == *own);
        assert_eq!(itself.map(|member| member.life), Some(Life::Live), "{members:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_settings_is_told_at_once() {
    let mut nodes = Nodes::new();
    let (one, two) = (nodes.start("psn-1", "a").await, nodes.start("psn-2", "b").await);

    two.report.lock().unwrap().settings_generation = 7;
    two.settings.send_replace(None);
    sleep(Duration::from_millis(1)).await;

    let of_two = one.members().await.remove(1);
    assert_eq!(of_two.report.unwrap().settings_generation, 7);
}

#[tokio::test(start_paused = true)]
async fn a_node_tells_of_itself_what_is_true_now() {
    let mut nodes = Nodes::new();
    let one = nodes.start("psn-1", "a").await;

    one.report.lock().unwrap().connections = 3;

    let own = one.members().await.remove(0);
    assert_eq!(own.report.unwrap().connections, 3);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_alone_lists_itself_and_writes_nothing() {
    let nodes = Nodes::new();
    let report = Arc::new(Mutex::new(NodeReport { name: "vm".into(), ..NodeReport::default() }));
    let clock = Arc::clone(&nodes.clock) as _;
    let reporter = Arc::new(TestReporter(report));
    let alone = Membership::alone(clock, Incarnation("a".into()), reporter);
    let (_settings, settings) = watch::channel(None);
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(alone.clone().run(settings, stop.clone()));

    sleep(Duration::from_mins(10)).await;

    assert_eq!(alone.members().await.unwrap().len(), 1);
    assert_eq!(nodes.count().await, 0);
    stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_record_was_removed_is_there_again_with_its_next_heartbeat() {
    let mut nodes = Nodes::new();
    let (one, two) = (nodes.start("psn-1", "a").await, nodes.start("psn-2", "b").await);
    let incarnation = two.membership.incarnation();
    one.membership.remove(&*nodes.store, incarnation, Expected::Any).await.unwrap();
    assert_eq!(one.sees().await, [live("psn-1")]);

    sleep(HEARTBEAT).await;

    assert_eq!(one.sees().await, [live("psn-1"), live("psn-2")]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_read_is_still_there() {
    let mut nodes = Nodes::new();
    let one = nodes.start("psn-1", "a").await;
    for (id, content) in [("b", r#"{"v":2,"node":"new form"}"#), ("c", "no JSON")] {
        let mut changes = Changeset::new(nodes.clock.now());
        changes.writes.push(Write::Put {
            key: RecordKey::new(NODE, id),
            expected: Expected::Absent,
            owner: Some(format!("psn-{id}")),
            due_at: Some(nodes.clock.now() + ALIVE_FOR),
            content: content.to_owned(),
        });
        nodes.store.commit(changes).await.unwrap();
    }

    assert_eq!(one.sees().await, [live("psn-1"), live("psn-b"), live("psn-c")]);
    assert_eq!(one.members().await[1].report, None);
}

#[tokio::test(start_paused = true)]
async fn many_dead_runs_are_removed_some_at_a_time() {
    let mut nodes = Nodes::new();
    let many = u64::try_from(REMOVALS_MAX).unwrap() + 5;
    for number in 0..many {
        let node = nodes.start(&format!("old-{number}"), &format!("{number}")).await;
        node.kill();
    }
    sleep(ALIVE_FOR + DEAD_LISTED_FOR).await;

    let _one = nodes.start("psn-1", "a").await;
    assert_eq!(nodes.count().await, 5 + 1);
    sleep(HEARTBEAT).await;

    assert_eq!(nodes.count().await, 1);
}

#[test]
fn what_a_later_version_adds_to_a_record_is_passed_over() {
    let content =
        r#"{"v":1,"more":1,"node":{"name":"a","moods":["good"],"channel":{"state":"singing"}}}"#;
    let heard = record::heard(Record {
        key: RecordKey::new(NODE, "x"),
        version: 1,
        owner: Some("a".into()),
        due_at: Some(START),
        updated_at: START,
        content: content.into(),
    });

    let report = heard.report.unwrap();
    assert_eq!((report.name.as_str(), report.channel.state), ("a", report::ChannelState::Unknown));
}

#[tokio::test(start_paused = true)]
async fn the_log_hears_who_comes_leaves_and_dies() {
    let mut nodes = Nodes::new();
    let one = nodes.start("psn-1", "a").await;
    let mut seen = Seen::default();
    let own = one.membership.incarnation().clone();
    let (two, three) = (nodes.start("psn-2", "b").await, nodes.start("psn-3", "c").await);

    let came = seen.learn(&own, &one.members().await);
    assert!(matches!(&came[..], [News::Came { .. }, News::Came { .. }]), "{came:?}");
    assert_eq!(seen.learn(&own, &one.members().await), []);

    two.stop.cancel();
    three.kill();
    sleep(ALIVE_FOR).await;
    let gone = seen.learn(&own, &one.members().await);

    assert!(
        matches!(&gone[..], [News::Died { name: dead, .. }, News::Left { name: left }]
            if dead == "psn-3" && left == "psn-2"),
        "{gone:?}"
    );
    nodes.record("a").await.expect("the record of this one stays");
}
