//! What a node measures, as Prometheus and its tools see it.

use nuncio_api::v1;
use nuncio_api::v1::MailJobState;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::http;
use nuncio_tests::mails::{bulk, raw};
use nuncio_tests::node::TestNode;
use nuncio_tests::promtool::promtool;
use nuncio_tests::settings::settings_for;

/// The metrics of a node that has sent mails and had failures, and what its provider's mailbox may send is limited.
async fn busy_node() -> (TestNode, Simulator) {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let node = TestNode::start().await;
    let limits = v1::MailboxLimits {
        max_connections: 3,
        max_messages_per_minute: 1000,
        max_recipients_per_day: 1000,
    };
    node.save_tested(v1::SmtpSettings { limits: Some(limits), ..settings_for(&simulator) }).await;
    let sent = node.submit(bulk("sent")).await;
    node.wait_for_state(&sent.name, MailJobState::Sent, PATIENCE).await;
    let refusal = Action::Reply("550 5.1.1 nobody is there".to_owned());
    simulator.faults().push(Fault::next(1, Phase::Rcpt, refusal));
    let failed = node.submit(bulk("failed")).await;
    node.wait_for_state(&failed.name, MailJobState::Failed, PATIENCE).await;
    let busy = Action::Reply("451 4.3.2 not now".to_owned());
    simulator.faults().push(Fault::always(Phase::EndOfData, busy));
    let waits = node.submit(raw(v1::MailClass::Credentials, "waits", &["g@example.com"])).await;
    node.wait_for_state(&waits.name, MailJobState::Deferred, PATIENCE).await;
    (node, simulator)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_a_busy_node_are_as_prometheus_wants_them() {
    let (node, _simulator) = busy_node().await;

    let (_status, metrics) = http::get(&node.http.to_string(), "/metrics").await;
    let said = promtool(&["check", "metrics"], &metrics).await;

    assert_eq!(said, "", "{metrics}");
    for line in [
        r#"nuncio_mail_jobs_ended_total{class="bulk",state="FAILED"} 1"#,
        r#"nuncio_mailbox_channel_state{mailbox="no-reply@contoso.example",state="OPEN"} 1"#,
        r#"nuncio_mailbox_recipients_limit{mailbox="no-reply@contoso.example"} 1000"#,
        "nuncio_store_up 1",
    ] {
        assert!(metrics.lines().any(|one| one == line), "no `{line}` in {metrics}");
    }
    node.stop().await;
}

#[tokio::test]
async fn the_shipped_alert_rules_are_valid_and_fire_when_they_should() {
    promtool(&["check", "rules", "deploy/prometheus/nuncio.rules.yml"], "").await;
    promtool(&["test", "rules", "deploy/prometheus/nuncio.rules.test.yml"], "").await;
}
