//! Nodes that share a PostgreSQL database.

use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::MailJobState;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails::bulk;
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::process::ServeProcess;
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

/// How long the jobs of a dead node wait in these tests, in seconds.
const LEASE_S: u16 = 4;
/// How long a lease may be over before somebody looks: two seconds, and then some for a busy machine.
const LOOK: Duration = Duration::from_secs(15);
/// How long the provider takes for each mail, in milliseconds, so that one node alone would be slow.
const MAIL_MS: u64 = 50;

/// Two nodes on one empty database.
async fn two_nodes(name: &str) -> (TestNode, TestNode) {
    let options = options(name).await;
    let (one, two) =
        tokio::join!(TestNode::start_with(options.clone()), TestNode::start_with(options));
    (one, two)
}

/// Options of a node whose jobs lie in a schema that only this test knows.
async fn options(name: &str) -> NodeOptions {
    let url = RealServers::from_env().get("POSTGRES_URL").to_owned();
    let store_url = Some(nuncio_tests::postgres::new_store(&url, name).await);
    NodeOptions { store_url, lease_s: LEASE_S, ..NodeOptions::default() }
}

async fn simulator() -> Simulator {
    Simulator::start(SimConfig::sink()).await.expect("the simulator starts")
}

/// Submits so many mails at one node.
async fn submit(node: &TestNode, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for number in 0..count {
        names.push(node.submit(bulk(&format!("mail {number}"))).await.name);
    }
    names
}

fn mails_sent_by(node: &TestNode) -> usize {
    node.logs.text().matches("mail job is SENT").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_one_sends_for_a_mailbox_until_it_stops_and_each_mail_goes_once() {
    let (one, two) = two_nodes("share").await;
    let simulator = simulator().await;
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
    for node in [&one, &two] {
        node.save_tested(settings_for(&simulator)).await;
    }
    let before = simulator.accepted_count();

    // What one node has taken, another may send, and any tells about.
    let names = [submit(&one, 30).await, submit(&two, 30).await].concat();
    one.wait_for_ends(&names[..20], PATIENCE).await;
    let (by_one, by_two) = (mails_sent_by(&one), mails_sent_by(&two));
    let (sender, heir) = if by_one == 0 { (two, one) } else { (one, two) };
    let more = submit(&heir, 30).await;
    sender.stop().await;
    let ended = heir.wait_for_ends(&[names, more].concat(), PATIENCE).await;

    assert_eq!(by_one.min(by_two), 0, "one sends at a time: {by_one} and {by_two}");
    assert!(ended.iter().all(|job| job.state() == MailJobState::Sent), "{ended:#?}");
    assert_eq!(simulator.accepted_count() - before, 90);
    assert!(simulator.duplicates().is_empty(), "{:?}", simulator.duplicates());
    assert!(0 < mails_sent_by(&heir), "the other one goes on");
    heir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_dead_node_are_taken_over_within_the_lease() {
    let (dying, heir) = two_nodes("takeover").await;
    let (stuck, simulator) = (simulator().await, simulator().await);
    dying.save_tested(settings_for(&stuck)).await;
    stuck.faults().push(Fault::always(Phase::Mail, Action::Stall));
    let names = submit(&dying, 9).await;
    dying.wait_for_state(&names[0], MailJobState::Sending, PATIENCE).await;

    drop(dying);
    let died = Instant::now();
    heir.save_tested(settings_for(&simulator)).await;
    let before = simulator.accepted_count();
    let ended = timeout(PATIENCE, heir.wait_for_ends(&names, PATIENCE)).await.expect("they end");
    let took = died.elapsed();

    assert!(ended.iter().all(|job| job.state() == MailJobState::Sent), "{ended:#?}");
    assert_eq!(simulator.accepted_count() - before, 9);
    assert!(simulator.duplicates().is_empty(), "{:?}", simulator.duplicates());
    assert!(took < Duration::from_secs(LEASE_S.into()) + LOOK, "it took {took:?}");
    let (job, attempts) = heir.job(&names[0]).await;
    assert_eq!(attempts.len(), 2, "the attempt that was cut short is on record: {job:#?}");
    heir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_outlives_its_database_connections_and_loses_no_job() {
    let options = options("outlive").await;
    let url = options.store_url.clone().expect("it has one");
    let node = TestNode::start_with(options).await;
    let simulator = simulator().await;
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
    node.save_tested(settings_for(&simulator)).await;
    let before = simulator.accepted_count();

    let mut names = Vec::new();
    for number in 0..40_u8 {
        if number % 10 == 5 {
            nuncio_tests::postgres::kill_connections(&url).await;
        }
        let request = v1::CreateMailJobRequest {
            request_id: format!("mail-{number}"),
            ..bulk(&format!("mail {number}"))
        };
        // Who gets no answer asks again.
        let job = match node.try_submit(request.clone()).await {
            Ok(job) => job,
            Err(_lost) => node.submit(request).await,
        };
        names.push(job.name);
    }
    let ended = node.wait_for_ends(&names, PATIENCE).await;

    assert!(ended.iter().all(|job| job.state() == MailJobState::Sent), "{ended:#?}");
    assert_eq!(simulator.accepted_count() - before, 40);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_the_keys_of_its_database_does_not_start_and_says_what_to_do() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let url = options("keys").await.store_url.expect("it has one");
    let first = ServeProcess::start(one.path(), &["--store-url", &url]).await;
    first.submit(bulk("for whoever can read it")).await;

    let refused = ServeProcess::try_start(other.path(), &["--store-url", &url]).await;

    let Err(ended) = refused else { panic!("it has started without the key") };
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for word in ["the mails in `postgres://", "share one key file", "keys.file"] {
        assert!(ended.stderr.contains(word), "no `{word}` in: {}", ended.stderr);
    }
    let keys = one.path().join("keys/settings.key").display().to_string();
    let args = ["--store-url", &url, "--keys-file", &keys];
    let second = ServeProcess::start(other.path(), &args).await;
    assert_eq!(second.stop().await.code, Some(0));
    assert_eq!(first.stop().await.code, Some(0));
}
