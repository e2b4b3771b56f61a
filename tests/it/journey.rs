//! The main job: from a caller over gRPC to the provider.

use nuncio_api::v1::MailJobState;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails;
use nuncio_tests::node::TestNode;
use nuncio_tests::settings::settings_for;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_sent_survives_a_restart() {
    let simulator = Simulator::start(SimConfig::exchange()).await.unwrap();
    let node = TestNode::start().await;
    node.save_tested(settings_for(&simulator)).await;
    let job = node.submit(mails::bulk("one")).await;
    node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;

    let node = node.restart().await;

    assert_eq!(node.job(&job.name).await.0.state(), MailJobState::Sent);
    assert_eq!(simulator.accepted_count(), 1);
    assert!(node.logs.text().contains("mail"), "{}", node.logs.text());
    node.stop().await;
}
