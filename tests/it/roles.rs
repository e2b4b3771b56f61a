//! What a node does whatever its roles are.

use std::time::Duration;

use nuncio_api::v1::{Alarm, ChannelState, ListAlarmsRequest};
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{PATIENCE, reason};
use nuncio_tests::http;
use nuncio_tests::mails::bulk;
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::relay::Relay;
use nuncio_tests::settings::settings_for;
use tokio::time::{Instant, sleep};
use tonic::Code;

#[tokio::test]
async fn a_node_that_takes_no_mail_jobs_sends_those_that_wait() {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let node = TestNode::start().await;
    node.submit(bulk("waits for settings")).await;

    let node = node.stop().await.with_roles("pan").start().await;
    let refused = node.try_submit(bulk("not here")).await.expect_err("the node has no role for it");
    assert_eq!(reason(&refused), (Code::Unimplemented, "NOT_SERVED".to_owned()));
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

/// The alarms of this type at an MnT, as soon as there are some.
async fn alarms_at(mnt: &TestNode, alarm_type: &str) -> Vec<Alarm> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = ListAlarmsRequest { page_size: 100, ..ListAlarmsRequest::default() };
        let listed = mnt.clients.alarms.clone().list_alarms(request).await.expect("it is answered");
        let all = listed.into_inner().alarms.into_iter();
        let found: Vec<Alarm> = all
            .filter(|one| one.identity.as_ref().is_some_and(|known| known.r#type == alarm_type))
            .collect();
        if !found.is_empty() {
            return found;
        }
        assert!(Instant::now() < deadline, "the MnT does not learn of it");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn alarms_of_a_node_outlive_the_death_of_the_mnt_elsewhere_and_come_once() {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let of = |roles: &str| NodeOptions { roles: roles.to_owned(), ..NodeOptions::default() };
    let relay = Relay::start().await;
    let mnt = TestNode::start_with(of("mnt")).await;
    relay.lead_to(Some(mnt.grpc));
    let where_mnt_is = Some(format!("http://{}", relay.address));
    let node = TestNode::start_with(NodeOptions { mnt: where_mnt_is, ..of("pan,psn") }).await;
    node.save_tested(settings_for(&simulator)).await;

    relay.lead_to(None);
    let dead = mnt.stop().await;
    simulator.expire_secrets();
    node.submit(bulk("cannot be sent")).await;
    node.wait_for_channel(ChannelState::Closed, PATIENCE).await;
    let deadline = Instant::now() + PATIENCE;
    while node.node().await.waiting_alarms == 0 {
        assert!(Instant::now() < deadline, "it is kept while the MnT is away");
        sleep(Duration::from_millis(50)).await;
    }
    let mnt = dead.start().await;
    relay.lead_to(Some(mnt.grpc));

    let found = alarms_at(&mnt, "mailbox-closed").await;
    let deadline = Instant::now() + PATIENCE;
    while 0 < node.node().await.waiting_alarms {
        assert!(Instant::now() < deadline, "what was told waits no more");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(found.len(), 1);
    let counts: Vec<i64> =
        alarms_at(&mnt, "mailbox-closed").await.into_iter().map(|one| one.count).collect();
    assert_eq!(counts, [1], "it is told once");
    node.stop().await;
    mnt.stop().await;
}
