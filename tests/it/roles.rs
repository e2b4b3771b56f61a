//! What a node does whatever its roles are.

use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails::bulk;
use nuncio_tests::node::TestNode;
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
