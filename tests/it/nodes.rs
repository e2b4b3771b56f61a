//! Nodes that know each other by the store that they share.

use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::NodeState;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{PATIENCE, reason};
use nuncio_tests::process::{Process, ServeProcess};
use nuncio_tests::settings::settings_for;
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::cluster::Cluster;

/// Between two looks at a node.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a node counts as alive after its last heartbeat.
const ALIVE_FOR: Duration = Duration::from_secs(15);
/// What a look and a busy machine may add.
const SLACK: Duration = Duration::from_secs(5);

/// Waits until a node lists the others so.
async fn wait_for(
    node: &ServeProcess,
    what: &str,
    seen: impl Fn(&[v1::Node]) -> bool,
) -> Vec<v1::Node> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let nodes = node.nodes().await;
        if seen(&nodes) {
            return nodes;
        }
        assert!(Instant::now() < deadline, "not seen: {what}: {nodes:#?}");
        sleep(PAUSE).await;
    }
}

fn find<'a>(nodes: &'a [v1::Node], name: &str) -> Option<&'a v1::Node> {
    nodes.iter().find(|node| node.name == format!("nodes/{name}"))
}

fn is(nodes: &[v1::Node], name: &str, state: NodeState) -> bool {
    find(nodes, name).is_some_and(|node| node.state() == state)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_list_each_other_and_one_that_is_killed_is_dead_within_its_time() {
    let cluster = Cluster::new("nodes_list").await;
    let etcd = cluster.etcd().to_owned();
    let pan = cluster.start_with("pan", &etcd, &[]).await;
    let psn = cluster.start_with("psn", &etcd, &[]).await;

    for node in [&pan, &psn] {
        let seen = wait_for(node, "both", |nodes| {
            is(nodes, "pan", NodeState::Live) && is(nodes, "psn", NodeState::Live)
        });
        let of_psn = find(&seen.await, "psn").expect("it was seen").clone();
        assert_eq!(format!("http://{}", of_psn.address), psn.server);
        assert!(of_psn.clock_ahead.is_some(), "the time is the database's");
    }
    let died = Instant::now();
    psn.process.kill9().await;
    let seen = wait_for(&pan, "the dead one", |nodes| is(nodes, "psn", NodeState::Dead)).await;

    assert!(died.elapsed() < ALIVE_FOR + SLACK, "{:?}", died.elapsed());
    assert!(is(&seen, "pan", NodeState::Live), "{seen:#?}");
    let shown = Process::run(&["nodes", "--server", &pan.server], &[]).await;
    assert!(shown.stdout.contains("DEAD since"), "{}", shown.stdout);
    let log = pan.process.stderr();
    assert!(log.contains("node `psn` is there"), "{log}");
    assert_eq!(pan.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_do_not_pass_from_a_live_node_are_saved_only_with_an_exception() {
    let cluster = Cluster::new("nodes_prove").await;
    let etcd = cluster.etcd().to_owned();
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    let pan = cluster.start_with("pan", &etcd, &[]).await;
    // Nobody listens there.
    let psn = cluster.start_with("psn", &etcd, &["--grpc-advertise", "127.0.0.1:1"]).await;
    wait_for(&pan, "both", |nodes| is(nodes, "psn", NodeState::Live)).await;

    let failed = pan.test(settings_for(&simulator)).await;
    let refused = pan.save(settings_for(&simulator)).await.expect_err("it has not passed");
    let passed = pan.test_except(settings_for(&simulator), &["psn"]).await;
    let saved = pan.save_except(settings_for(&simulator), &["psn"]).await.expect("it is allowed");

    let of = |name: &str| failed.nodes.iter().find(|test| test.node == name).expect("it is told");
    assert!(of("pan").passed, "{failed:#?}");
    assert_eq!(of("psn").stages[0].error_code, "NODE_UNREACHABLE", "{failed:#?}");
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "SMTP_SETTINGS_NOT_TESTED".to_owned()));
    assert!(refused.message().contains("from psn "), "{refused}");
    assert!(passed.passed, "{passed:#?}");
    assert_eq!(saved.generation, 1);
    let args = ["settings", "history", "smtp", "--server", &pan.server];
    let history = Process::run(&args, &[]).await.stdout;
    assert!(history.contains("not tested from psn"), "{history}");

    // The same node where it can be reached.
    psn.stop().await;
    let psn = cluster.start_with("psn", &etcd, &[]).await;
    wait_for(&pan, "the other run", |nodes| {
        find(nodes, "psn").is_some_and(|node| format!("http://{}", node.address) == psn.server)
    })
    .await;
    let report = pan.test(settings_for(&simulator)).await;
    assert!(report.passed, "{report:#?}");
    let tested: Vec<&str> = report.nodes.iter().map(|test| test.node.as_str()).collect();
    assert_eq!(tested, ["pan", "psn"]);
    let log = psn.stop().await.stderr;
    let secret = nuncio_provider_sim::config::DEFAULT_CLIENT_SECRET;
    assert!(!log.contains(secret), "{log}");
    assert!(pan.stop().await.stderr.contains("without a test from psn"), "the log warns");
}
