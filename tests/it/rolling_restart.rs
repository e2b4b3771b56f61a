//! All nodes of a cluster are restarted one after the other under load, as an upgrade does it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState};
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{Caller, PATIENCE};
use nuncio_tests::mails::raw;
use nuncio_tests::process::ServeProcess;
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::report::say;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::truth::Truth;

/// How many nodes there are, and how many callers.
const NODES: usize = 3;
const CALLERS: usize = 3;
/// What a caller does between two jobs, and before it asks another node.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a call may take, with all its tries.
const CALL_MAX: Duration = Duration::from_secs(5);
/// How long the provider takes for a mail, in milliseconds: some are always under way.
const MAIL_MS: u64 = 40;
/// How many mails go out between two restarts.
const BETWEEN: u64 = 30;
/// How long all jobs may take to end.
const ENDS: Duration = Duration::from_mins(1);

/// Callers that know all nodes. One that is told to come back later asks the next node, with the same request id.
struct Load {
    /// The nodes, each in its place.
    nodes: Mutex<Vec<Caller>>,
    made: AtomicU64,
    retried: AtomicU64,
    slowest_ms: AtomicU64,
    enough: AtomicBool,
}

impl Load {
    async fn hand_in(self: Arc<Self>, first: usize) -> Vec<String> {
        let (mut names, mut node) = (Vec::new(), first);
        while !self.enough.load(Ordering::Relaxed) {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let begun = Instant::now();
            names.push(self.hand_in_one(number, &mut node).await);
            let took = u64::try_from(begun.elapsed().as_millis()).expect("it fits");
            self.slowest_ms.fetch_max(took, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
        names
    }

    async fn hand_in_one(&self, number: u64, node: &mut usize) -> String {
        let deadline = Instant::now() + CALL_MAX;
        loop {
            let caller = self.nodes.lock().expect("nobody panics with it")[*node % NODES].clone();
            let status = match caller.try_submit(request(number)).await {
                Ok(job) => return job.name,
                Err(status) => status,
            };
            // A client in Rust says `Cancelled` of a call that met the end of its connection.
            let is_passing = [Code::Unavailable, Code::Cancelled].contains(&status.code());
            assert!(is_passing, "{status:?}");
            assert!(Instant::now() < deadline, "no node takes it: {status:?}");
            self.retried.fetch_add(1, Ordering::Relaxed);
            *node += 1;
            sleep(PAUSE).await;
        }
    }
}

fn request(number: u64) -> v1::CreateMailJobRequest {
    let mail = raw(MailClass::Bulk, &format!("mail {number}"), &["guest@example.com"]);
    v1::CreateMailJobRequest { request_id: format!("mail-{number}"), ..mail }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_fails_no_call_and_doubles_no_mail() {
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
    let url = RealServers::from_env().get("POSTGRES_URL").to_owned();
    let store = nuncio_tests::postgres::new_store(&url, "rolling").await;
    let folders = TempDir::with_prefix("nuncio-it-").expect("a folder can be made");
    let keys = folders.path().join("settings.key").display().to_string();
    let start = async |number: usize| {
        let args = ["--store-url", &store, "--keys-file", &keys];
        ServeProcess::start(&folders.path().join(format!("node-{number}")), &args).await
    };
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let node = start(number).await;
        node.save_tested(settings_for(&simulator)).await;
        nodes.push(node);
    }
    let load = Arc::new(Load {
        nodes: Mutex::new(nodes.iter().map(|node| Caller::clone(node)).collect()),
        made: AtomicU64::new(0),
        retried: AtomicU64::new(0),
        slowest_ms: AtomicU64::new(0),
        enough: AtomicBool::new(false),
    });
    let mut callers: JoinSet<_> =
        (0..CALLERS).map(|first| Arc::clone(&load).hand_in(first)).collect();

    for number in 0..NODES {
        let wanted = simulator.accepted_count() + BETWEEN;
        let arrived = simulator.wait_for_accepted(wanted, PATIENCE).await;
        arrived.unwrap_or_else(|few| panic!("mails do not go out: {few}"));
        let ended = nodes.remove(0).stop().await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let again = start(number).await;
        load.nodes.lock().expect("nobody panics with it")[number] = Caller::clone(&again);
        nodes.push(again);
    }
    load.enough.store(true, Ordering::Relaxed);
    let mut names = Vec::new();
    while let Some(made) = callers.join_next().await {
        names.extend(made.expect("no call has failed"));
    }

    let jobs = nodes[0].wait_for_ends(&names, ENDS).await;
    for job in &jobs {
        assert_eq!((job.state(), job.attempt_count), (MailJobState::Sent, 1), "{job:#?}");
    }
    let truth =
        Truth { simulator: &simulator, caller: &nodes[0], story: "rolling restart".to_owned() };
    let counts = Box::pin(truth.compare(&names, jobs)).await;
    say(&format!(
        "rolling restart of {NODES} nodes: {} calls asked another node, the slowest call took {} ms; {counts}",
        load.retried.load(Ordering::Relaxed),
        load.slowest_ms.load(Ordering::Relaxed),
    ));
    assert_eq!((counts.unknown_attempts, counts.duplicates), (0, 0));
    for node in nodes {
        assert_eq!(node.stop().await.code, Some(0));
    }
}
