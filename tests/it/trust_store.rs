//! The trust store: whom operators trust counts for every connection, from the next one on.

use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::{SmtpTestOutcome, SmtpTestStageKind};
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{PATIENCE, reason};
use nuncio_tests::mails::bulk;
use nuncio_tests::node::TestNode;
use nuncio_tests::settings::settings_for;
use tonic::Code;

fn certificate(simulator: &Simulator, uses: &[v1::TrustUse]) -> v1::TrustedCertificate {
    v1::TrustedCertificate {
        name: "simulator".to_owned(),
        certificate_pem: simulator.ca_pem(),
        trusted_for: uses.iter().map(|usage| i32::from(*usage)).collect(),
        ..v1::TrustedCertificate::default()
    }
}

async fn trust(node: &TestNode, certificates: Vec<v1::TrustedCertificate>) {
    let trust_store = Some(v1::TrustStore { certificates, ..v1::TrustStore::default() });
    let request = v1::UpdateTrustStoreRequest { trust_store, validate_only: false };
    node.clients.trust_store.clone().update_trust_store(request).await.expect("it is saved");
}

/// The stage that failed, and its remedy.
async fn failure(node: &TestNode, settings: v1::SmtpSettings) -> (SmtpTestStageKind, String) {
    let report = node.test(settings).await;
    let mut stages = report.nodes[0].stages.iter();
    let failed = stages.find(|one| one.outcome() == SmtpTestOutcome::Failed);
    let failed = failed.unwrap_or_else(|| panic!("nothing failed: {report:#?}"));
    assert_eq!(failed.error_code, "NO_VALID_CERTIFICATION_PATH", "{failed:#?}");
    assert!(!failed.presented_chain.is_empty(), "{failed:#?}");
    (failed.kind(), failed.remedy.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_authority_is_in_the_trust_store_alone_gets_the_mail() {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let node = TestNode::start().await;
    let settings =
        v1::SmtpSettings { ca_certificates_pem: String::new(), ..settings_for(&simulator) };

    let (stage, remedy) = failure(&node, settings.clone()).await;
    assert_eq!(stage, SmtpTestStageKind::Tls);
    assert!(remedy.contains("`nuncio settings trust add "), "{remedy}");
    // Each use is its own.
    trust(&node, vec![certificate(&simulator, &[v1::TrustUse::Smtp])]).await;
    assert_eq!(failure(&node, settings.clone()).await.0, SmtpTestStageKind::Token);
    let both = [v1::TrustUse::Smtp, v1::TrustUse::TokenEndpoint];
    trust(&node, vec![certificate(&simulator, &both)]).await;

    node.save_tested(settings).await;
    let job = node.submit(bulk("trusted")).await;
    node.wait_for_state(&job.name, v1::MailJobState::Sent, PATIENCE).await;

    assert_eq!(simulator.accepted_count(), 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_nobody_trusts_the_server_for_is_held_and_sent_when_it_is_trusted() {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let node = TestNode::start().await;
    let settings =
        v1::SmtpSettings { ca_certificates_pem: String::new(), ..settings_for(&simulator) };
    let both = [v1::TrustUse::Smtp, v1::TrustUse::TokenEndpoint];
    trust(&node, vec![certificate(&simulator, &both)]).await;
    node.save_tested(settings).await;
    trust(&node, vec![]).await;
    let job = node.submit(bulk("held")).await;
    node.wait_for_state(&job.name, v1::MailJobState::Held, PATIENCE).await;

    trust(&node, vec![certificate(&simulator, &both)]).await;

    // A closed channel is tried again after 30 s at the soonest.
    node.wait_for_state(&job.name, v1::MailJobState::Sent, Duration::from_secs(20)).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_to_a_receiver_of_the_trust_store_passes_the_handshake() {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let node = TestNode::start().await;
    let url = simulator.token_url("webhook");
    let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3".to_owned();
    let target = v1::alarm_route::Target::Webhook(v1::WebhookTarget { url, secret });
    let name = "alarmRoutes/on-call".to_owned();
    let route = v1::AlarmRoute { name, target: Some(target), ..v1::AlarmRoute::default() };
    let request = v1::UpdateAlarmRouteRequest {
        alarm_route: Some(route),
        allow_missing: true,
        validate_only: false,
    };
    node.clients.alarm_routes.clone().update_alarm_route(request).await.expect("it is saved");

    let refused = try_route(&node).await;
    trust(&node, vec![certificate(&simulator, &[v1::TrustUse::AlarmRoutes])]).await;
    let answered = try_route(&node).await;

    assert_eq!(refused.failure, "TLS", "{refused:?}");
    assert!(refused.message.contains("`nuncio settings trust add "), "{refused:?}");
    // The token endpoint is no webhook; but it was reached.
    assert_eq!(answered.failure, "HTTP_STATUS", "{answered:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_kept_over_a_restart_and_what_is_none_is_refused() {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let node = TestNode::start().await;
    trust(&node, vec![certificate(&simulator, &[v1::TrustUse::Smtp])]).await;
    let node = node.restart().await;
    let mut client = node.clients.trust_store.clone();

    let kept = client.get_trust_store(v1::GetTrustStoreRequest {}).await.expect("it is told");
    let mut wrong = certificate(&simulator, &[v1::TrustUse::Smtp]);
    wrong.certificate_pem =
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".to_owned();
    let trust_store = v1::TrustStore { certificates: vec![wrong], ..v1::TrustStore::default() };
    let request =
        v1::UpdateTrustStoreRequest { trust_store: Some(trust_store), validate_only: false };
    let refused = client.update_trust_store(request).await.expect_err("that is no certificate");

    let kept = kept.into_inner().trust_store.expect("it is complete");
    assert_eq!(kept.certificates[0].certificate_pem, simulator.ca_pem());
    assert!(0 < kept.certificates[0].days_left, "{kept:?}");
    assert_eq!(reason(&refused), (Code::InvalidArgument, "INVALID_TRUST_STORE".to_owned()));
    node.stop().await;
}

async fn try_route(node: &TestNode) -> v1::AlarmRouteAttempt {
    let request = v1::TestAlarmRouteRequest { name: "alarmRoutes/on-call".to_owned() };
    let tested = node.clients.alarm_routes.clone().test_alarm_route(request).await;
    tested.expect("it is tried").into_inner().attempt.expect("it has an outcome")
}
