//! `kill -9` of a node that reminds guests and tells of alarms: each reminder and each alarm is told, and once.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::Caller;
use nuncio_tests::dice::{self, Dice};
use nuncio_tests::environment;
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::report::say;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::asked;
use crate::place::Place;
use crate::truth::Truth;

/// How many times a node is killed.
const KILLS: u64 = 20;
/// Asks for another number of kills, for long runs by hand.
const VARIABLE: &str = "NUNCIO_KILLS";
/// How many guests are made and alarms raised between two kills, each.
const LOAD: u64 = 8;
/// A node that works is killed within this time, in milliseconds: rounds of reminders come once a second.
const LIFE_MS: u64 = 2500;
/// How long the provider takes for a mail, so that it is there to be hit.
const PROVIDER_TAKES_MS: u64 = 25;
/// How long all may take to come to its end after the last kill.
const ENDS: Duration = Duration::from_mins(1);

/// What was asked of the nodes.
#[derive(Default)]
struct Asked {
    made: u64,
    /// Those without an answer: they are asked again.
    open: Vec<u64>,
}

/// Nodes that live and die, and their provider.
struct World {
    simulator: Simulator,
    nodes: Vec<Place>,
}

impl World {
    async fn new(nodes: &[Vec<String>]) -> Self {
        let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
        let takes = Action::Delay(PROVIDER_TAKES_MS);
        simulator.faults().push(Fault::always(Phase::EndOfData, takes));
        let mut nodes: Vec<Place> = nodes.iter().map(|args| Place::new(args)).collect();
        for place in &mut nodes {
            let node = place.start().await;
            node.save_tested(settings_for(&simulator)).await;
            node.remind_guests_three_days_before().await;
            asked::tell_each_alarm_at_once(node).await;
        }
        Self { simulator, nodes }
    }

    async fn live(mut self, kills: u64, mut dice: Dice) {
        let mut asked = Asked::default();
        let count = u64::try_from(self.nodes.len()).unwrap();
        for _ in 0..kills {
            for place in &mut self.nodes {
                place.start().await;
            }
            let victim = usize::try_from(dice.below(count)).unwrap();
            let (life, dying) =
                (Duration::from_millis(dice.below(LIFE_MS)), AtomicBool::new(false));
            let caller = self.nodes[victim].caller();
            let process = self.nodes[victim].take_process();
            let killing = async {
                sleep(life).await;
                dying.store(true, Ordering::SeqCst);
                process.kill9().await
            };
            let ((), ended) = tokio::join!(asked.go_on(&caller, &dying), killing);
            assert_eq!(ended.signal, Some(9), "{ended:?}");
        }
        for place in &mut self.nodes {
            place.start().await;
        }
        let caller = self.nodes[0].caller();
        asked.finish(&caller).await;
        self.check(&caller, asked.made, kills).await;
        for place in self.nodes {
            place.stop().await;
        }
    }

    /// Every guest has one reminder and every alarm was told once, by mails that the provider took as their jobs say.
    async fn check(&self, caller: &Caller, made: u64, kills: u64) {
        let deadline = Instant::now() + ENDS;
        let story = format!("{kills} kills, {made} guests and alarms");
        let (reminders, alarms) = loop {
            let (reminders, alarms) = (asked::reminders(caller).await, asked::alarms(caller).await);
            let told = alarms.values().filter(|told| 0 < **told).count();
            if made <= reminders.len() as u64 && made <= told as u64 {
                break (reminders, alarms);
            }
            let seen = format!("{} reminded, {told} told", reminders.len());
            assert!(Instant::now() < deadline, "{story}: missed: {seen}: {alarms:#?}");
            sleep(Duration::from_millis(200)).await;
        };
        let jobs = caller.hurry_all(ENDS).await;
        let twice = |counts: BTreeMap<String, usize>| {
            counts.into_iter().filter(|(_, count)| *count != 1).collect::<Vec<_>>()
        };
        assert_eq!(twice(reminders), [], "{story}: reminders that were made twice");
        assert_eq!(twice(alarms), [], "{story}: alarms that were told twice");
        let names: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
        assert_eq!(names.len() as u64, 2 * made, "{story}: a mail for each");
        let truth = Truth { simulator: &self.simulator, caller, story };
        let counts = truth.compare(&names, jobs).await;
        say(&format!("kill loop of roles: {}: {counts}", truth.story));
    }
}

impl Asked {
    /// Makes guests and raises alarms until there were enough, or until the node is gone.
    async fn go_on(&mut self, caller: &Caller, dying: &AtomicBool) {
        for _ in 0..LOAD {
            let number = self.open.pop().unwrap_or_else(|| {
                self.made += 1;
                self.made
            });
            if let Err(status) = ask(caller, number).await {
                assert!(dying.load(Ordering::SeqCst), "a living node refuses: {status:?}");
                self.open.push(number);
                return;
            }
        }
    }

    async fn finish(&mut self, caller: &Caller) {
        for number in self.open.drain(..) {
            ask(caller, number).await.expect("nobody kills it any more");
        }
    }
}

/// A guest who is due at once, and an alarm.
async fn ask(caller: &Caller, number: u64) -> Result<(), Status> {
    asked::guest(caller, number).await?;
    asked::alarm(caller, number).await
}

fn kills() -> u64 {
    environment::number(VARIABLE).unwrap_or(KILLS)
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_misses_and_doubles_no_reminder_and_no_alarm() {
    let (kills, seed) = (kills(), dice::seed());
    say(&format!("kill loop of roles: NUNCIO_SEED={seed} NUNCIO_KILLS={kills}"));
    Box::pin(World::new(&[vec![]]).await.live(kills, Dice::new(seed))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_nodes_that_share_a_database_misses_and_doubles_no_reminder_and_no_alarm() {
    let (kills, seed) = (kills(), dice::seed());
    say(&format!("kill loop of roles, two nodes: NUNCIO_SEED={seed} NUNCIO_KILLS={kills}"));
    let url = RealServers::from_env().get("POSTGRES_URL").to_owned();
    let store = nuncio_tests::postgres::new_store(&url, "killed_roles").await;
    let keys = TempDir::new().expect("a temporary folder can be made");
    let keys = keys.path().join("shared.key").display().to_string();
    let node = ["--store-url", &store, "--keys-file", &keys, "--delivery-lease-s", "3"];
    let node = node.map(str::to_owned).to_vec();
    Box::pin(World::new(&[node.clone(), node]).await.live(kills, Dice::new(seed))).await;
}
