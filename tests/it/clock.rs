//! The clock of a real node is set while mails are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState};
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{Caller, PATIENCE};
use nuncio_tests::fake_clock::FakeClock;
use nuncio_tests::mails::raw;
use nuncio_tests::process::ServeProcess;
use nuncio_tests::report::say;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::truth::Truth;

/// How far the clock is set: longer than a token lives, and than a mail may be left to a node.
const AHEAD_S: i64 = 2 * 3600;
/// How often it is set ahead and back.
const ROUNDS: u64 = 3;
/// How many mails are sent between two times that it is set.
const BETWEEN: u64 = 25;
/// How many callers hand jobs in at the same time, and what each does between two of them.
const CALLERS: u64 = 3;
const PAUSE: Duration = Duration::from_millis(40);
/// How long the provider takes for a mail, in milliseconds: some are always under way.
const MAIL_MS: u64 = 60;
/// How long all jobs may take to end.
const ENDS: Duration = Duration::from_mins(2);

/// Callers that go on until they are told to stop.
#[derive(Debug, Default)]
struct Load {
    made: AtomicU64,
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
            names.push(caller.submit(request(number)).await.name);
            sleep(PAUSE).await;
        }
        names
    }
}

/// Every second mail may be sent twice if it must.
fn request(number: u64) -> v1::CreateMailJobRequest {
    let class = if number.is_multiple_of(2) { MailClass::Bulk } else { MailClass::AlarmCritical };
    raw(class, &format!("mail {number}"), &["guest@example.com"])
}

/// How far the clock of a node is ahead, in seconds, as its jobs tell.
async fn shown_ahead(node: &Caller) -> i64 {
    let asked = v1::CreateMailJobRequest { validate_only: true, ..request(0) };
    let job = node.try_submit(asked).await.expect("it is a mail");
    let shown = job.create_time.expect("every job has it").seconds;
    shown - prost_types::Timestamp::from(machine_time()).seconds
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock of the machine is what it is compared with"
)]
fn machine_time() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_while_mails_flow_loses_none_and_doubles_none() {
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
    let folder = TempDir::with_prefix("nuncio-it-").expect("a folder can be made");
    let clock = FakeClock::new(folder.path());
    let node = ServeProcess::start_by_clock(&folder.path().join("data"), &clock).await;
    node.save_tested(settings_for(&simulator)).await;
    let load = Arc::new(Load::default());
    let callers = load.start(&node);

    for _ in 0..ROUNDS {
        for ahead in [AHEAD_S, 0] {
            wait_for_more(&simulator).await;
            clock.set_ahead(ahead);
            let shown = shown_ahead(&node).await;
            assert!(shown.abs_diff(ahead) < 60, "the clock shows {shown} s, not {ahead} s ahead");
        }
    }
    wait_for_more(&simulator).await;
    load.enough.store(true, Ordering::Relaxed);
    let names = callers.join_all().await.concat();
    // What waited when the clock was set back is due at the hour that it showed before.
    let due_later = timeout(ENDS, waiting_for_the_clock(&node)).await;
    let due_later = due_later.expect("what is due is sent in time");
    clock.set_ahead(AHEAD_S);
    let jobs = node.wait_for_ends(&names, ENDS).await;

    for job in &jobs {
        assert_eq!((job.state(), job.attempt_count), (MailJobState::Sent, 1), "{job:#?}");
    }
    let truth = Truth { simulator: &simulator, caller: &node, story: "clock set".to_owned() };
    let counts = truth.compare(&names, jobs).await;
    assert_eq!((counts.unknown_attempts, counts.duplicates), (0, 0), "{counts}");
    say(&format!(
        "clock set: {ROUNDS} times {AHEAD_S} s ahead and back, {due_later} jobs had to wait for it, {counts}"
    ));
    assert_eq!(node.stop().await.code, Some(0));
}

async fn wait_for_more(simulator: &Simulator) {
    let wanted = simulator.accepted_count() + BETWEEN;
    let arrived = simulator.wait_for_accepted(wanted, PATIENCE).await;
    arrived.unwrap_or_else(|few| panic!("the node stands still: {few}"));
}

/// Waits until nothing is sent or due by the clock of the machine, and returns how many jobs wait still.
async fn waiting_for_the_clock(node: &Caller) -> usize {
    loop {
        let now = prost_types::Timestamp::from(machine_time()).seconds;
        let jobs = node.jobs().await;
        let ended = |job: &v1::MailJob| nuncio_tests::caller::is_final(job.state());
        let waits = |job: &v1::MailJob| job.next_attempt_time.is_some_and(|at| now < at.seconds);
        if jobs.iter().all(|job| ended(job) || waits(job)) {
            return jobs.iter().filter(|job| waits(job)).count();
        }
        sleep(PAUSE).await;
    }
}
