//! What must happen to jobs without anybody asking: rescue, expiry, removal.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::{Dead, JobStore, StoreError};
use nuncio_runtime::chain::Chain;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::observer::{DeliveryObserver, tell_ended};

/// How often it looks for jobs to expire or rescue. An expired job is never sent, however late it is found.
const PERIOD: Duration = Duration::from_secs(2);
/// How many jobs one statement expires or removes, so that no transaction gets long.
const BATCH: u32 = 500;
/// Old jobs are removed on every so many rounds.
const ROUNDS_PER_PRUNE: u32 = 300;

pub(crate) struct Housekeeping {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn DeliveryObserver>,
    pub(crate) retention: Duration,
}

impl Housekeeping {
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rounds = 0_u32;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.round(rounds.is_multiple_of(ROUNDS_PER_PRUNE)).await {
                warn!("housekeeping must wait: {}", Chain(&error));
            }
            rounds = rounds.wrapping_add(1);
        }
        Ok(())
    }

    async fn round(&self, prune: bool) -> Result<(), StoreError> {
        let now = self.clock.now();
        let rescued = self.store.rescue(Dead::LeaseEnded, now).await?;
        if !rescued.is_empty() {
            let jobs = rescued.len();
            warn!(jobs, "took back {jobs} mail jobs whose lease had ended");
        }
        tell_ended(&*self.observer, &rescued);
        loop {
            let expired = self.store.expire(now, BATCH).await?;
            tell_ended(&*self.observer, &expired);
            if expired.len() < BATCH as usize {
                break;
            }
        }
        if prune {
            let mut removed = 0;
            loop {
                let batch = self.store.prune(now - self.retention, BATCH).await?;
                removed += batch;
                if batch < BATCH {
                    break;
                }
            }
            if removed > 0 {
                info!(jobs = removed, "removed {removed} mail jobs that ended long ago");
            }
        }
        Ok(())
    }
}
