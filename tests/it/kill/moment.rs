//! When a node is killed.

use std::time::Duration;

use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::dice::Dice;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::load::JOBS_A_ROUND;

/// A new node connects, logs in and sends within this time, and is ready within a fraction of it.
const LIFE_MS: u64 = 800;
/// A starting node opens its store and takes back what its last life had begun within this time.
const START_MS: u64 = 200;

/// A moment in the life of a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// While it starts, so long after its process was made.
    Starting(Duration),
    /// So long after the first job was handed to it, whatever it does then.
    Working(Duration),
    /// As soon as so many jobs were stored, while others are being handed in.
    Stored(u64),
    /// As soon as the provider has taken so many mails, which the node has yet to hear or to store.
    Accepted(u64),
}

impl Moment {
    /// Of a node that is down.
    pub(super) fn any(dice: &mut Dice) -> Self {
        if dice.below(5) == 0 {
            Self::Starting(Duration::from_millis(dice.below(START_MS)))
        } else {
            Self::of_running(dice)
        }
    }

    pub(super) fn of_running(dice: &mut Dice) -> Self {
        match dice.below(4) {
            0 => Self::Working(Duration::from_millis(dice.below(LIFE_MS))),
            1 => Self::Stored(1 + dice.below(JOBS_A_ROUND)),
            _ => Self::Accepted(1 + dice.below(JOBS_A_ROUND)),
        }
    }

    /// Waits for it. `stored` counts the jobs that were taken in this round.
    pub(super) async fn come(self, simulator: &Simulator, mut stored: watch::Receiver<u64>) {
        match self {
            Self::Starting(after) | Self::Working(after) => sleep(after).await,
            Self::Stored(count) => {
                let enough = timeout(PATIENCE, stored.wait_for(|now| count <= *now)).await;
                enough.expect("jobs are taken in time").expect("the load goes on");
            }
            Self::Accepted(count) => {
                let wanted = simulator.accepted_count() + count;
                let enough = simulator.wait_for_accepted(wanted, PATIENCE).await;
                enough.unwrap_or_else(|error| panic!("{self:?}: {error}"));
            }
        }
    }
}
