//! Alarms from the API to the mailbox: a node, the API, a provider.

use std::time::Duration;

use nuncio_api::v1;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::settings_for;
use tonic::Code;

const LOAD: &str = "high-load-average";

fn alarm(alarm_type: &str, node: &str) -> v1::NewAlarm {
    let identity = v1::AlarmIdentity {
        r#type: alarm_type.to_owned(),
        node: node.to_owned(),
        ..v1::AlarmIdentity::default()
    };
    v1::NewAlarm {
        identity: Some(identity),
        description: format!("{node} has too much to do"),
        ..v1::NewAlarm::default()
    }
}

fn raised(alarm: v1::NewAlarm) -> v1::RaiseAlarmRequest {
    v1::RaiseAlarmRequest { alarm: Some(alarm), validate_only: false }
}

/// Lets the first mail of a group go at once, to this address.
async fn tell_at_once(node: &TestNode, address: &str) {
    let settings = v1::AlarmSettings {
        recipients: vec![address.to_owned()],
        group_wait: Some(prost_types::Duration { seconds: 0, nanos: 0 }),
        ..v1::AlarmSettings::default()
    };
    let paths = vec!["recipients".to_owned(), "group_wait".to_owned()];
    let request = v1::UpdateAlarmSettingsRequest {
        alarm_settings: Some(settings),
        update_mask: Some(prost_types::FieldMask { paths }),
        validate_only: false,
    };
    node.clients.alarms.clone().update_alarm_settings(request).await.expect("it is answered");
}

/// The decisions about an alarm, as soon as there are some.
async fn decisions(node: &TestNode, name: &str) -> Vec<v1::AlarmDecision> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let request = v1::GetAlarmRequest { name: name.to_owned() };
        let got = node
            .clients
            .alarms
            .clone()
            .get_alarm(request)
            .await
            .expect("it is answered")
            .into_inner();
        if !got.decisions.is_empty() {
            return got.decisions;
        }
        assert!(tokio::time::Instant::now() < deadline, "nothing was decided");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn an_alarm_reaches_its_recipient(node: &TestNode) {
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    node.save_tested(settings_for(&simulator)).await;
    let before = simulator.accepted_count();
    tell_at_once(node, "ops@example.com").await;
    let mut alarms = node.clients.alarms.clone();

    let first = alarms
        .raise_alarm(raised(alarm(LOAD, "node-1")))
        .await
        .expect("it is answered")
        .into_inner();
    assert_eq!(first.outcome(), v1::AlarmOutcome::Firing);
    let name = first.alarm.expect("it is stored").name;
    let again = alarms
        .raise_alarm(raised(alarm(LOAD, "node-1")))
        .await
        .expect("it is answered")
        .into_inner();
    assert_eq!(again.outcome(), v1::AlarmOutcome::Counted);

    let decided = decisions(node, &name).await;
    assert_eq!(decided[0].code, "TOLD", "{decided:#?}");
    let job = decided[0].mail_jobs[0].clone();
    let ended = node.wait_for_ends(&[job], PATIENCE).await;
    assert_eq!(ended[0].state(), v1::MailJobState::Sent, "{ended:#?}");
    assert_eq!(simulator.accepted_count() - before, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_told_by_mail() {
    let node = TestNode::start().await;

    an_alarm_reaches_its_recipient(&node).await;

    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_told_by_mail_from_a_shared_database() {
    let url = RealServers::from_env().get("POSTGRES_URL").to_owned();
    let store_url = Some(nuncio_tests::postgres::new_store(&url, "alarms").await);
    let node = TestNode::start_with(NodeOptions { store_url, ..NodeOptions::default() }).await;

    an_alarm_reaches_its_recipient(&node).await;

    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_outlives_a_restart() {
    let node = TestNode::start().await;
    let mut alarms = node.clients.alarms.clone();
    let first = alarms.raise_alarm(raised(alarm(LOAD, "node-1"))).await.unwrap().into_inner();
    let name = first.alarm.unwrap().name;

    let node = node.stop().await.start().await;

    let request = v1::GetAlarmRequest { name };
    let got = node.clients.alarms.clone().get_alarm(request).await.unwrap().into_inner();
    assert_eq!(got.alarm.unwrap().state(), v1::AlarmState::Firing);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_by_stream_is_answered_batch_by_batch_and_counted() {
    let node = TestNode::start().await;
    let event = |number: usize| v1::AlarmEvent {
        event: Some(v1::alarm_event::Event::Raise(alarm(LOAD, &format!("node-{number}")))),
    };
    let batches: Vec<v1::RaiseAlarmsRequest> = (0..20)
        .map(|_| v1::RaiseAlarmsRequest { events: (0..500).map(|n| event(n % 100)).collect() })
        .collect();

    let stream = tokio_stream::iter(batches);
    let mut answers = node.clients.alarms.clone().raise_alarms(stream).await.unwrap().into_inner();
    let (mut firing, mut counted) = (0, 0);
    while let Some(answer) = answers.message().await.unwrap() {
        for result in answer.results {
            firing += usize::from(result.outcome() == v1::AlarmOutcome::Firing);
            counted += usize::from(result.outcome() == v1::AlarmOutcome::Counted);
        }
    }

    assert_eq!((firing, counted), (100, 9_900));
    let request = v1::ListAlarmsRequest { page_size: 1000, ..v1::ListAlarmsRequest::default() };
    let listed = node.clients.alarms.clone().list_alarms(request).await.unwrap().into_inner();
    assert_eq!(listed.alarms.iter().map(|one| one.count).sum::<i64>(), 10_000, "none is lost");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_is_wrong_in_many_ways_is_told_so_at_once_and_nothing_breaks() {
    let node = TestNode::start().await;
    let mut alarms = node.clients.alarms.clone();
    let mut bad = alarm("no-such-type", "node\r\nBcc: x@example.com");
    bad.description = "x".repeat(1024 * 1024);
    bad.identity.as_mut().unwrap().labels =
        (0..10_000).map(|number| (format!("key-{number}"), "v".to_owned())).collect();

    let status = alarms.raise_alarm(raised(bad)).await.unwrap_err();

    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(nuncio_api::error::reason(&status).as_deref(), Some("INVALID_ALARM"));
    let good = alarms.raise_alarm(raised(alarm(LOAD, "node-1"))).await.unwrap().into_inner();
    assert_eq!(good.outcome(), v1::AlarmOutcome::Firing);
    node.stop().await;
}
