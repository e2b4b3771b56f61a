//! The database of a node goes away under load: its connections are killed, it crashes, and it comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::MailClass;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{Caller, PATIENCE, reason};
use nuncio_tests::http;
use nuncio_tests::mails::raw;
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::postgres::{execute, kill_connections};
use nuncio_tests::private_postgres::PrivatePostgres;
use nuncio_tests::process::ServeProcess;
use nuncio_tests::report::say;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use crate::truth::Truth;

/// How many callers hand jobs in at the same time.
const CALLERS: u64 = 3;
/// What a caller does between two jobs, and before it asks again.
const PAUSE: Duration = Duration::from_millis(25);
/// How long all goes well between two blows.
const WELL_FOR: Duration = Duration::from_secs(1);
/// How long the database is away after a crash.
const AWAY_FOR: Duration = Duration::from_secs(2);
/// How long a job waits whose attempt was lost together with the database, in seconds.
const LEASE_S: u16 = 5;
/// How long the provider takes for a mail, in milliseconds: some are always under way.
const MAIL_MS: u64 = 20;
/// How long a node may finish that is to stop, in seconds; its parts and its store then have ten more, and a busy machine some.
const DRAIN_S: &str = "1";
const STOPS: Duration = Duration::from_secs(20);
/// How long all jobs may take to end when all is well again.
const ENDS: Duration = Duration::from_mins(2);

/// Callers that go on until they are told to stop.
#[derive(Debug, Default)]
struct Load {
    made: AtomicU64,
    unanswered: AtomicU64,
    enough: AtomicBool,
}

impl Load {
    fn start(self: &Arc<Self>, caller: &Caller) -> JoinSet<Vec<String>> {
        (0..CALLERS).map(|_| Arc::clone(self).hand_in(caller.clone())).collect()
    }

    async fn hand_in(self: Arc<Self>, caller: Caller) -> Vec<String> {
        let mut names = Vec::new();
        while !self.enough.load(Ordering::Relaxed) {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            names.push(self.hand_in_one(&caller, number).await);
            sleep(PAUSE).await;
        }
        names
    }

    /// Who gets no answer asks again.
    async fn hand_in_one(&self, caller: &Caller, number: u64) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match caller.try_submit(request(number)).await {
                Ok(job) => return job.name,
                Err(status) => {
                    assert_eq!(reason(&status).0, Code::Unavailable, "{status:?}");
                    assert!(Instant::now() < deadline, "it does not recover: {status:?}");
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Every second mail may be sent twice if it must.
fn request(number: u64) -> v1::CreateMailJobRequest {
    let class = if number.is_multiple_of(2) { MailClass::Bulk } else { MailClass::AlarmCritical };
    v1::CreateMailJobRequest {
        request_id: format!("job-{number}"),
        ..raw(class, &format!("mail {number}"), &["guest@example.com"])
    }
}

async fn wait_until_ready(node: &TestNode, ready: bool) {
    let wanted = if ready { 200 } else { 503 };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, said) = http::get(&node.http.to_string(), "/readyz").await;
        if status == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "/readyz still says {status}: {said}");
        sleep(PAUSE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_crashes_under_load_costs_no_job_and_the_node_finds_it_again() {
    let mut database = PrivatePostgres::start().await;
    let store_url = Some(database.url());
    let options = NodeOptions { store_url, lease_s: LEASE_S, ..NodeOptions::default() };
    let node = TestNode::start_with(options).await;
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
    node.save_tested(settings_for(&simulator)).await;
    let load = Arc::new(Load::default());
    let callers = load.start(&node);

    for _ in 0..3 {
        sleep(WELL_FOR).await;
        kill_connections(&database.url()).await;
    }
    for _ in 0..2 {
        wait_until_ready(&node, true).await;
        sleep(WELL_FOR).await;
        database.crash().await;
        wait_until_ready(&node, false).await;
        assert_eq!(http::get(&node.http.to_string(), "/livez").await.0, 200);
        // What Prometheus sees of it, without waiting for the database: that, and all that is in no store.
        let metrics = http::open_metrics(&node.http.to_string()).await;
        assert!(metrics.contains("\nnuncio_store_up 0\n"), "{metrics}");
        assert!(metrics.contains("\nnuncio_smtp_settings_generation 1\n"), "{metrics}");
        assert!(!metrics.contains("nuncio_mail_backlog{"), "{metrics}");
        sleep(AWAY_FOR).await;
        database.start_again().await;
    }
    wait_until_ready(&node, true).await;
    sleep(WELL_FOR).await;
    load.enough.store(true, Ordering::Relaxed);
    let names = callers.join_all().await.concat();
    let jobs = node.hurry_all(ENDS).await;

    let story = "database away".to_owned();
    let truth = Truth { simulator: &simulator, caller: &node, story };
    let counts = truth.compare(&names, jobs).await;
    let unanswered = load.unanswered.load(Ordering::Relaxed);
    say(&format!(
        "database away: connections killed 3 times, 2 crashes, {unanswered} submits without an answer, {counts}"
    ));
    assert!(0 < unanswered, "the load did not meet the crashes");
    node.stop().await;
}

/// As when its only synchronous standby is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_ends_in_time_whose_database_answers_no_commit_any_more() {
    let database = PrivatePostgres::start().await;
    let folder = TempDir::new().expect("a temporary folder can be made");
    let (url, drain) = (database.url(), "--delivery-drain-timeout-s");
    let node = ServeProcess::start(folder.path(), &["--store-url", &url, drain, DRAIN_S]).await;
    execute(&url, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    execute(&url, "SELECT pg_reload_conf()").await;
    let mut number = 0;
    while timeout(WELL_FOR, node.try_submit(request(number))).await.is_ok() {
        number += 1;
    }

    let begun = Instant::now();
    let ended = node.stop().await;

    assert!(begun.elapsed() < STOPS, "{:?}: {}", begun.elapsed(), ended.stderr);
    assert!(ended.stderr.contains("does not answer its last writes"), "{}", ended.stderr);
}
