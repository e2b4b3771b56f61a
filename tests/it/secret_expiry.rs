//! The client secret expires while many mails are on their way.

use nuncio_api::v1;
use nuncio_api::v1::{ChannelState, MailJobState};
use nuncio_provider_sim::config::{
    ClientSecret, DEFAULT_CLIENT_ID, DEFAULT_SECRET_ID, SimConfig, SimSecret, TokenConfig,
};
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::http;
use nuncio_tests::mails::bulk;
use nuncio_tests::node::TestNode;
use nuncio_tests::settings::{settings_for, with_oauth};

const JOBS: u64 = 200;
/// How many are sent before the secret expires.
const BEFORE: u64 = 50;
/// How long a token lives, in seconds: much shorter than it takes to send all.
const TOKEN_S: u64 = 2;
/// How long the provider takes for a mail, in milliseconds.
const MAIL_MS: u64 = 100;
const NEXT_SECRET: &str = "sim~8Q.the-next-secret";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_expires_under_load_closes_the_channel_once_and_costs_no_attempt() {
    let tokens = TokenConfig { lifetime_s: TOKEN_S, ..TokenConfig::default() };
    let config = SimConfig { tokens, ..SimConfig::sink() };
    let simulator = Simulator::start(config).await.expect("the simulator starts");
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
    let node = TestNode::start().await;
    let mut names = Vec::new();
    for number in 0..JOBS {
        names.push(node.submit(bulk(&format!("mail {number}"))).await.name);
    }
    node.save_tested(settings_for(&simulator)).await;

    simulator.wait_for_accepted(BEFORE, PATIENCE).await.expect("mails go out");
    simulator.expire_secrets();
    let channel = node.wait_for_channel(ChannelState::Closed, PATIENCE).await;

    assert!(channel.reason.contains("AADSTS7000222"), "{channel:?}");
    let jobs = node.jobs().await;
    let held: Vec<_> = jobs.iter().filter(|job| job.state() == MailJobState::Held).collect();
    assert!(!held.is_empty(), "{jobs:#?}");
    for job in held {
        let reason = job.reason.clone().unwrap_or_default();
        assert_eq!(reason.code, "CLIENT_SECRET_EXPIRED", "{job:#?}");
        assert!(reason.message.contains("AADSTS7000222"), "{reason:?}");
        assert!(reason.remedy.contains("client secret"), "{reason:?}");
        assert_eq!(job.attempt_count, 0, "{job:#?}");
    }

    let value = SimSecret::new(NEXT_SECRET);
    let secret = ClientSecret { value, secret_id: String::new(), expires: None };
    assert!(simulator.add_secret(DEFAULT_CLIENT_ID, secret));
    let renewed = with_oauth(settings_for(&simulator), |oauth| {
        oauth.client_secret = NEXT_SECRET.to_owned();
    });
    node.save_tested(renewed).await;
    let ended: Vec<v1::MailJob> = node.wait_for_ends(&names, PATIENCE).await;

    for job in &ended {
        assert_eq!((job.state(), job.attempt_count), (MailJobState::Sent, 1), "{job:#?}");
    }
    assert_eq!((simulator.accepted_count(), simulator.duplicates()), (JOBS, Vec::new()));
    node.wait_for_channel(ChannelState::Open, PATIENCE).await;
    let (_status, metrics) = http::get(&node.http.to_string(), "/metrics").await;
    let alarms = "nuncio_alarms_raised_total{alarm=\"mailbox-closed\"} 1\n";
    assert!(metrics.contains(alarms), "{metrics}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_expires_under_load_gives_way_to_the_next_one_and_no_mail_waits() {
    let tokens = TokenConfig { lifetime_s: TOKEN_S, ..TokenConfig::default() };
    let config = SimConfig { tokens, ..SimConfig::sink() };
    let simulator = Simulator::start(config).await.expect("the simulator starts");
    let value = SimSecret::new(NEXT_SECRET);
    let secret = ClientSecret { value, secret_id: String::new(), expires: None };
    assert!(simulator.add_secret(DEFAULT_CLIENT_ID, secret));
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
    let node = TestNode::start().await;
    let two = with_oauth(settings_for(&simulator), |oauth| {
        oauth.next_client_secret = Some(v1::NextClientSecret {
            value: NEXT_SECRET.to_owned(),
            expire_date: "2999-01-01".to_owned(),
            ..v1::NextClientSecret::default()
        });
    });
    node.save_tested(two.clone()).await;
    let before = simulator.accepted_count();
    let mut names = Vec::new();
    for number in 0..JOBS {
        names.push(node.submit(bulk(&format!("mail {number}"))).await.name);
    }

    simulator.wait_for_accepted(before + BEFORE, PATIENCE).await.expect("mails go out");
    simulator.expire_secret(DEFAULT_SECRET_ID);
    let ended = node.wait_for_ends(&names, PATIENCE).await;

    for job in &ended {
        assert_eq!((job.state(), job.attempt_count), (MailJobState::Sent, 1), "{job:#?}");
        assert_eq!(job.settings_generation, 1, "no new settings were needed");
    }
    assert_eq!(simulator.accepted_count() - before, JOBS);
    assert!(simulator.duplicates().is_empty(), "{:?}", simulator.duplicates());

    // Then the next one takes the place of the first, without being typed again.
    let promoted = with_oauth(two, |oauth| {
        oauth.client_secret = String::new();
        oauth.next_client_secret = None;
        oauth.promote_next_client_secret = true;
    });
    let saved = node.save_tested(promoted).await;
    let Some(v1::smtp_settings::Authentication::Oauth(oauth)) = saved.authentication else {
        panic!("it is a client")
    };
    assert!(oauth.client_secret_set && oauth.next_client_secret.is_none(), "{oauth:?}");
    assert_eq!(oauth.client_secret_expire_date, "2999-01-01");
    let job = node.submit(bulk("after")).await;
    node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_secret_that_is_wrong_is_told_by_the_test_and_not_saved() {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let node = TestNode::start().await;
    let wrong = with_oauth(settings_for(&simulator), |oauth| {
        oauth.next_client_secret = Some(v1::NextClientSecret {
            value: NEXT_SECRET.to_owned(),
            ..v1::NextClientSecret::default()
        });
    });

    let report = node.test(wrong.clone()).await;

    assert!(!report.passed);
    let stages = report.nodes.iter().flat_map(|node| &node.stages);
    let failed: Vec<_> = stages.filter(|stage| !stage.error_code.is_empty()).collect();
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert_eq!(failed[0].error_code, "INVALID_CLIENT_SECRET");
    assert!(failed[0].cause.starts_with("with the next client secret: "), "{}", failed[0].cause);
    assert!(node.save(wrong).await.is_err());
    node.stop().await;
}
