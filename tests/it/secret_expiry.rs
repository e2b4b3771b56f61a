//! The client secret expires while many mails are on their way.

use nuncio_api::v1;
use nuncio_api::v1::{ChannelState, MailJobState};
use nuncio_provider_sim::config::{
    ClientSecret, DEFAULT_CLIENT_ID, SimConfig, SimSecret, TokenConfig,
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
