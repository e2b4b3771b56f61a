//! What a node does whatever its roles are.

use nuncio_api::v1::ChannelState;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::http;
use nuncio_tests::mails::bulk;
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::settings::settings_for;

#[tokio::test]
async fn a_node_that_takes_no_mail_jobs_sends_those_that_wait() {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let node = TestNode::start().await;
    node.submit(bulk("waits for settings")).await;

    let node = node.stop().await.with_roles("pan").start().await;
    node.try_submit(bulk("not here")).await.expect_err("the node has no role for it");
    node.save_tested(settings_for(&simulator)).await;

    simulator.wait_for_accepted(1, PATIENCE).await.expect("the node sends it");
    node.stop().await;
    assert_eq!(simulator.stats().mails_accepted, 1);
}

#[tokio::test]
async fn a_node_that_knows_no_mnt_keeps_its_alarms_over_a_restart_and_says_how_many() {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let roles = "pan,psn".to_owned();
    let node = TestNode::start_with(NodeOptions { roles, ..NodeOptions::default() }).await;
    node.save_tested(settings_for(&simulator)).await;
    simulator.expire_secrets();

    node.submit(bulk("cannot be sent")).await;
    node.wait_for_channel(ChannelState::Closed, PATIENCE).await;
    let node = node.restart().await;

    assert!(1 <= node.node().await.waiting_alarms, "{:?}", node.node().await);
    let (_, metrics) = http::get(&node.http.to_string(), "/metrics").await;
    let waiting = metrics.lines().find(|line| line.starts_with("nuncio_alarms_waiting "));
    assert!(waiting.is_some_and(|line| !line.ends_with(" 0")), "{waiting:?}");
    node.stop().await;
}
