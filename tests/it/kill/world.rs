//! Nodes that are killed, their callers, and their provider.

use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::Caller;
use nuncio_tests::dice::Dice;
use nuncio_tests::settings::settings_for;

use super::load::{self, Load};
use super::moment::Moment;
use crate::place::Place;
use crate::truth::{Counts, Truth};

/// How long the provider takes in these phases, in milliseconds: so each of them is there to be hit.
const PROVIDER_TAKES_MS: [(Phase, u64); 4] =
    [(Phase::Auth, 5), (Phase::Mail, 5), (Phase::Data, 5), (Phase::EndOfData, 25)];
/// Connections of the mailbox: so many mails of a node are under way at once.
const CONNECTIONS: u64 = 3;
/// How long all jobs may take to end after the last kill.
const ENDS: Duration = Duration::from_mins(2);
/// Of how many mails the provider keeps the content, to be compared in the end.
const MAILS_KEPT_MAX: usize = 1_000;

pub(super) struct World {
    dice: Dice,
    simulator: Simulator,
    load: Arc<Load>,
    nodes: Vec<Place>,
}

/// How often nodes were killed, and what became of the jobs.
#[derive(Debug, Default)]
pub(super) struct Kills {
    while_starting: u64,
    while_working: u64,
    at_a_commit: u64,
    at_an_answer: u64,
    /// Files that came whole.
    files: u64,
    pub(super) found: Counts,
}

impl World {
    /// Nodes with these arguments that send to a provider of their own.
    pub(super) async fn new(dice: Dice, nodes: &[Vec<String>]) -> Self {
        let config = SimConfig {
            recipients: load::recipients(),
            mails_kept_max: MAILS_KEPT_MAX,
            ..SimConfig::sink()
        };
        let simulator = Simulator::start(config).await.expect("the simulator starts");
        for (phase, takes_ms) in PROVIDER_TAKES_MS {
            simulator.faults().push(Fault::always(phase, Action::Delay(takes_ms)));
        }
        let mut places = Vec::new();
        for args in nodes {
            let mut place = Place::new(args);
            place.start().await.save_tested(settings_for(&simulator)).await;
            places.push(place);
        }
        Self { dice, simulator, load: Arc::default(), nodes: places }
    }

    /// Kills so often, lets all jobs end, and compares what they say with what the provider knows.
    pub(super) async fn live(mut self, kills: u64) -> Kills {
        let mut counts = Kills::default();
        for _ in 0..kills {
            let moment = self.kill().await;
            counts.killed(moment);
        }
        for place in &mut self.nodes {
            place.start().await;
        }
        let caller = self.nodes[0].caller();
        let names = self.load.finish(&caller).await;
        let jobs = caller.hurry_all(ENDS).await;
        let truth =
            Truth { simulator: &self.simulator, caller: &caller, story: counts.to_string() };
        counts.found = truth.compare(&names, jobs).await;
        counts.files = load::check_content(&self.simulator.accepted());
        let unknown = counts.found.unknown_attempts;
        assert!(unknown <= CONNECTIONS * kills, "more than were under way: {counts}");
        for place in self.nodes {
            place.stop().await;
        }
        counts
    }

    /// Kills one of the nodes, and returns when.
    async fn kill(&mut self) -> Moment {
        let down = self.nodes.iter().find(|place| place.is_down());
        let moment = match down {
            None => Moment::of_running(&mut self.dice),
            Some(_) => Moment::any(&mut self.dice),
        };
        if let (Moment::Starting(after), Some(place)) = (moment, down) {
            place.kill_while_starting(after).await;
            return moment;
        }
        let count = u64::try_from(self.nodes.len()).expect("there are few");
        let victim = usize::try_from(self.dice.below(count)).expect("there are few");
        for place in &mut self.nodes {
            place.start().await;
        }
        // Who was busy at the first attempt waits for minutes, and half of them are to be sent amid the kills.
        if self.dice.below(2) == 0 {
            self.nodes[victim].caller().hurry_deferred().await;
        }
        let round = self.load.round();
        let (dying, lasting) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let callers: Vec<Caller> = self.nodes.iter().map(Place::caller).collect();
        let callers = callers.iter().enumerate();
        let handing_in = callers.map(|(at, caller)| {
            round.hand_in(caller, if at == victim { &dying } else { &lasting })
        });
        let process = self.nodes[victim].take_process();
        let killing = async {
            moment.come(&self.simulator, round.stored()).await;
            dying.store(true, Ordering::SeqCst);
            process.kill9().await
        };
        let (_, ended) = tokio::join!(join_all(handing_in), killing);
        assert_eq!(ended.signal, Some(9), "{moment:?}: {ended:?}");
        moment
    }
}

impl Kills {
    pub(super) fn kills(&self) -> u64 {
        self.while_starting + self.while_working + self.at_a_commit + self.at_an_answer
    }

    fn killed(&mut self, moment: Moment) {
        let kind = match moment {
            Moment::Starting(_) => &mut self.while_starting,
            Moment::Working(_) => &mut self.while_working,
            Moment::Stored(_) => &mut self.at_a_commit,
            Moment::Accepted(_) => &mut self.at_an_answer,
        };
        *kind += 1;
    }
}

impl AddAssign for Kills {
    fn add_assign(&mut self, more: Self) {
        self.while_starting += more.while_starting;
        self.while_working += more.while_working;
        self.at_a_commit += more.at_a_commit;
        self.at_an_answer += more.at_an_answer;
        self.files += more.files;
        self.found += more.found;
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills ({} while starting, {} while working, {} at a commit, {} at an answer of the provider), {}, \
             {} files came whole",
            self.kills(),
            self.while_starting,
            self.while_working,
            self.at_a_commit,
            self.at_an_answer,
            self.found,
            self.files,
        )
    }
}
