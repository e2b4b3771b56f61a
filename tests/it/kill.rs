//! `kill -9` at any moment: no job is lost, and no mail is sent twice that must not be.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState};
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{Caller, PATIENCE};
use nuncio_tests::mails::raw;
use nuncio_tests::process::ServeProcess;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Jobs of one round; every second one may be sent twice.
const JOBS: usize = 100;
/// How many callers hand jobs in at the same time.
const CALLERS: usize = 4;
/// Connections of the mailbox: so many mails are under way at once, and may be of unknown outcome after a kill.
const CONNECTIONS: usize = 3;
/// How long all jobs may take to end. Those of unknown outcome wait 15 to 30 s before they are sent again.
const ENDS: Duration = Duration::from_secs(150);
/// How long the provider takes for a mail: 100 jobs take two seconds and more.
const PROVIDER_TAKES_MS: u64 = 60;

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// As soon as so many jobs were stored, while others are being handed in.
    Stored(usize),
    /// As soon as the provider has taken so many mails.
    Accepted(u64),
}

/// The names of the jobs that were taken, by their request ids.
type Taken = BTreeMap<String, String>;

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_no_job_and_doubles_none_that_must_not_be() {
    let moments = [
        Moment::Stored(1),
        Moment::Stored(20),
        Moment::Stored(60),
        Moment::Stored(100),
        Moment::Accepted(1),
        Moment::Accepted(7),
        Moment::Accepted(25),
        Moment::Accepted(50),
        Moment::Accepted(80),
        Moment::Accepted(97),
    ];
    let mut rounds = JoinSet::new();
    for moment in moments {
        rounds.spawn(round(vec![moment]));
    }
    // One that dies again and again.
    rounds.spawn(round(vec![Moment::Accepted(10), Moment::Accepted(30), Moment::Accepted(60)]));
    let mut unknown = 0;
    while let Some(end) = rounds.join_next().await {
        unknown += end.unwrap_or_else(|panic| resume_unwind(panic.into_panic()));
    }
    assert!(unknown > 0, "no kill hit a mail on its way, so this has proved little");
}

/// Returns how many attempts were of unknown outcome.
async fn round(moments: Vec<Moment>) -> usize {
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    let delay = Action::Delay(PROVIDER_TAKES_MS);
    simulator.faults().push(Fault::always(Phase::EndOfData, delay));
    let folder = TempDir::new().expect("a temporary folder can be made");
    let mut node = ServeProcess::start(folder.path(), &[]).await;
    node.save_tested(settings_for(&simulator)).await;

    let mut taken = Taken::new();
    for moment in &moments {
        let taken_now = hand_in_and_kill(node, &simulator, *moment).await;
        node = ServeProcess::start(folder.path(), &[]).await;
        assert_same(&taken, &taken_now);
        taken.extend(taken_now);
    }
    let taken_last = hand_in(&node, &watch::Sender::new(0)).await;
    assert_same(&taken, &taken_last);
    assert_eq!(taken_last.len(), JOBS, "a node that lives takes every job");

    let names: Vec<String> = taken_last.into_values().collect();
    let jobs = node.wait_for_ends(&names, ENDS).await;
    assert_eq!(node.jobs().await.len(), JOBS, "no job was stored twice");
    let unknown = check(&moments, &simulator, &node, jobs).await;
    let ended = node.stop().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    unknown
}

/// Kills the node at the moment, and returns what it had said yes to.
async fn hand_in_and_kill(node: ServeProcess, simulator: &Simulator, moment: Moment) -> Taken {
    let caller = Caller::clone(&node);
    let (stored, mut seen) = watch::channel(0);
    let kill = async {
        match moment {
            Moment::Stored(count) => {
                let enough = tokio::time::timeout(PATIENCE, seen.wait_for(|now| count <= *now));
                enough.await.expect("jobs are taken in time").expect("the sender lives");
            }
            Moment::Accepted(count) => {
                let enough = simulator.wait_for_accepted(count, PATIENCE).await;
                enough.unwrap_or_else(|error| panic!("{moment:?}: {error}"));
            }
        }
        node.process.kill9().await
    };
    let (taken, ended) = tokio::join!(hand_in(&caller, &stored), kill);
    assert_eq!(ended.signal, Some(9), "{ended:?}");
    taken
}

/// Hands all jobs in until the node is gone.
async fn hand_in(caller: &Caller, stored: &watch::Sender<usize>) -> Taken {
    let mut callers = JoinSet::new();
    for first in 0..CALLERS {
        let (caller, stored) = (caller.clone(), stored.clone());
        callers.spawn(async move {
            let mut taken = Taken::new();
            for number in (first..JOBS).step_by(CALLERS) {
                let request = request(number);
                let request_id = request.request_id.clone();
                let Ok(job) = caller.try_submit(request).await else { break };
                taken.insert(request_id, job.name);
                stored.send_modify(|count| *count += 1);
            }
            taken
        });
    }
    callers.join_all().await.into_iter().flatten().collect()
}

fn request(number: usize) -> v1::CreateMailJobRequest {
    let class = if number.is_multiple_of(2) { MailClass::Bulk } else { MailClass::AlarmCritical };
    v1::CreateMailJobRequest {
        request_id: format!("job-{number}"),
        ..raw(class, &format!("mail {number}"), &["guest@example.com"])
    }
}

/// A job that was taken before the kill is the same job afterwards.
fn assert_same(before: &Taken, now: &Taken) {
    for (request_id, name) in now {
        assert_eq!(before.get(request_id).unwrap_or(name), name, "{request_id} was lost");
    }
}

/// Compares what the jobs say with what the provider knows. Returns how many attempts were of unknown outcome.
async fn check(
    moments: &[Moment],
    simulator: &Simulator,
    node: &Caller,
    jobs: Vec<v1::MailJob>,
) -> usize {
    let mut arrived = simulator.message_ids();
    let mut unknown = 0;
    for job in jobs {
        let id = job.message_id.trim_matches(['<', '>']);
        let times = arrived.remove(id).unwrap_or(0);
        let (_, attempts) = node.job(&job.name).await;
        let was_unknown = attempts.iter().filter(|one| one.outcome == "OUTCOME_UNKNOWN").count();
        let seen = format!("{moments:?}: {times} times: {job:#?} {attempts:#?}");
        unknown += was_unknown;
        match job.state() {
            MailJobState::Sent => assert!(times > 0, "sent, but never arrived: {seen}"),
            MailJobState::Unknown => assert!(was_unknown > 0, "unknown without an attempt: {seen}"),
            other @ (MailJobState::Unspecified
            | MailJobState::Queued
            | MailJobState::Sending
            | MailJobState::Deferred
            | MailJobState::Held
            | MailJobState::Failed
            | MailJobState::Expired
            | MailJobState::Cancelled) => panic!("neither sent nor unknown but {other:?}: {seen}"),
        }
        if job.class() == MailClass::Bulk {
            assert!(times <= 1, "arrived twice: {seen}");
        } else {
            assert_eq!(job.state(), MailJobState::Sent, "to be sent again: {seen}");
            let copies_max = 1 + u64::try_from(was_unknown).expect("it is a small number");
            assert!(times <= copies_max, "a copy that no attempt explains: {seen}");
        }
    }
    assert!(arrived.is_empty(), "{moments:?}: mails of no job arrived: {arrived:?}");
    let unknown_max = CONNECTIONS * moments.len();
    assert!(unknown <= unknown_max, "{moments:?}: {unknown} outcomes are unknown");
    unknown
}
