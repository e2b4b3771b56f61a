//! What operators and their tools see of a node: traces, metrics, probes, health and reflection.

use nuncio_api::v1;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::collector::{Collector, hex};
use nuncio_tests::http;
use nuncio_tests::mails::bulk;
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::settings::settings_for;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::time::timeout;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID: &str = "00f067aa0ba902b7";

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_leads_from_the_caller_to_the_smtp_transaction() {
    let simulator = Simulator::start(SimConfig::exchange()).await.unwrap();
    let collector = Collector::start().await;
    let otlp_endpoint = Some(collector.endpoint.clone());
    let node = TestNode::start_with(NodeOptions { otlp_endpoint, ..NodeOptions::default() }).await;
    let mut request = Request::new(bulk("traced"));
    let parent = format!("00-{TRACE_ID}-{SPAN_ID}-01");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());

    let answer = node.clients.mail_jobs.clone().create_mail_job(request).await.unwrap();
    let name = answer.into_inner().mail_job.unwrap().name;
    // The trace context is stored with the job: it outlives the node that took it.
    let node = node.restart().await;
    node.save_tested(settings_for(&simulator)).await;
    node.wait_for_state(&name, v1::MailJobState::Sent, PATIENCE).await;
    node.stop().await;

    let spans = collector.spans();
    let accept = one(&spans, "nuncio.v1.MailJobService/CreateMailJob");
    assert_eq!(hex(&accept.parent_span_id), SPAN_ID);
    let attempt = one(&spans, "mail_job.attempt");
    assert_eq!(attempt.parent_span_id, accept.span_id);
    let transaction = one(&spans, "smtp.transaction");
    assert_eq!(transaction.parent_span_id, attempt.span_id);
    for span in [accept, attempt, transaction] {
        assert_eq!(hex(&span.trace_id), TRACE_ID, "{}", span.name);
    }
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    let [span] = found.as_slice() else { panic!("not one `{name}` in {names:?}") };
    span
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_stops_no_mail() {
    let simulator = Simulator::start(SimConfig::exchange()).await.unwrap();
    let otlp_endpoint = Some("http://127.0.0.1:9".to_owned());
    let node = TestNode::start_with(NodeOptions { otlp_endpoint, ..NodeOptions::default() }).await;
    node.save_tested(settings_for(&simulator)).await;

    let job = node.submit(bulk("untraced")).await;

    node.wait_for_state(&job.name, v1::MailJobState::Sent, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened() {
    let simulator = Simulator::start(SimConfig::exchange()).await.unwrap();
    let node = TestNode::start().await;
    node.save_tested(settings_for(&simulator)).await;
    for number in 0..3 {
        let job = node.submit(bulk(&format!("mail {number}"))).await;
        node.wait_for_state(&job.name, v1::MailJobState::Sent, PATIENCE).await;
    }

    let metrics = http::open_metrics(&node.http.to_string()).await;

    let ended: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("nuncio_") && line.contains("bulk"))
        .filter(|line| line.to_lowercase().contains("sent") && line.ends_with(" 3"))
        .collect();
    assert!(!ended.is_empty(), "no count of three sent mails: {metrics}");
    assert!(metrics.trim_end().ends_with("# EOF"), "this is not OpenMetrics: {metrics}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_health_tell_that_a_node_drains() {
    let simulator = Simulator::start(SimConfig::exchange()).await.unwrap();
    let node = TestNode::start().await;
    node.save_tested(settings_for(&simulator)).await;
    let http = node.http.to_string();
    let mut health = HealthClient::new(node.clients.channel.clone());
    for service in ["", "nuncio.v1.MailJobService", "nuncio.v1.SmtpSettingsService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let watch = HealthCheckRequest { service: "nuncio.v1.MailJobService".to_owned() };
    let mut changes = health.watch(watch).await.unwrap().into_inner();
    let mut next = async || timeout(PATIENCE, changes.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(next().await.status(), ServingStatus::Serving);
    assert_eq!(http::get(&http, "/livez").await.0, 200);
    assert_eq!(http::get(&http, "/readyz").await.0, 200);
    // A mail under way keeps the node draining until its answer comes.
    simulator.faults().push(Fault::next(1, Phase::EndOfData, Action::Delay(3000)));
    let job = node.submit(bulk("under way")).await;
    node.wait_for_state(&job.name, v1::MailJobState::Sending, PATIENCE).await;

    node.ask_to_stop();

    assert_eq!(next().await.status(), ServingStatus::NotServing);
    let (status, reason) = http::get(&http, "/readyz").await;
    assert_eq!(status, 503);
    assert!(reason.contains("draining"), "{reason}");
    assert_eq!(http::get(&http, "/livez").await.0, 200);
    let stopped = node.stop().await;
    assert!(stopped.logs.text().contains("node has stopped"), "{}", stopped.logs.text());
    assert_eq!(simulator.accepted_count(), 1, "the mail under way was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_the_services_of_the_roles() {
    for (roles, expected) in [
        ("pan,psn", &["MailJobService", "SmtpSettingsService", "DirectoryService"][..]),
        ("mnt", &["AlarmService", "AlarmRouteService", "NodeService"]),
        ("psn", &["MailJobService", "NodeService"]),
    ] {
        let options = NodeOptions { roles: roles.to_owned(), ..NodeOptions::default() };
        let node = TestNode::start_with(options).await;
        let ask = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(node.clients.channel.clone());
        let asked = client.server_reflection_info(tokio_stream::once(ask)).await.unwrap();
        let answer = asked.into_inner().message().await.unwrap().unwrap();

        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
            panic!("{answer:?}")
        };
        let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        for service in expected {
            assert!(names.contains(&format!("nuncio.v1.{service}")), "{service} in {names:?}");
        }
        assert!(names.contains(&"grpc.health.v1.Health".to_owned()), "{names:?}");
        node.stop().await;
    }
}
