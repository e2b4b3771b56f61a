//! What must happen to jobs without anybody asking: rescue, expiry, removal.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::{Dead, JobStore, StoreError};
use nuncio_runtime::chain::Chain;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::observer::{DeliveryObserver, tell_ended};

/// How often it looks for jobs to expire or rescue. An expired job is never sent, however late it is found.
const PERIOD: Duration = Duration::from_secs(2);
/// A clock that gains so much on the time that has passed was set.
const LEAP_MIN: Duration = Duration::from_secs(1);
/// After the store was away, leases have ended whose holders could not extend or settle them: so long they may first.
/// They try to settle each second.
const AFTER_OUTAGE: Duration = Duration::from_secs(5);
/// How many jobs one statement expires or removes, so that no transaction gets long.
const BATCH: u32 = 500;
/// Old jobs are removed on every so many rounds, and on the next one as long as there are more.
const ROUNDS_PER_PRUNE: u32 = 300;
/// How long one round expires jobs, and how long it removes old ones, so that a million of them delays no rescue.
const AT_ONCE_MAX: Duration = Duration::from_secs(1);

pub(crate) struct Housekeeping {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn DeliveryObserver>,
    pub(crate) retention: Duration,
    pub(crate) lease: Duration,
}

/// Notices when the clock of the machine is set ahead, as also happens when the machine was asleep: then leases look
/// as if they had ended whose holders live. The same holds after the store was away.
struct Leaps {
    seen_at: Instant,
    clock: Timestamp,
    /// Until then holders that live have extended their leases by the new time.
    trust_again_at: Instant,
}

impl Housekeeping {
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut rounds, mut old_ones_left) = (0_u32, false);
        let mut leaps = Leaps::since(self.clock.now());
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let prune = old_ones_left || rounds.is_multiple_of(ROUNDS_PER_PRUNE);
            match self.round(&mut leaps, prune).await {
                Ok(left) => old_ones_left = left,
                Err(error) => {
                    leaps.distrust(AFTER_OUTAGE);
                    warn!("housekeeping must wait: {}", Chain(&error));
                }
            }
            rounds = rounds.wrapping_add(1);
        }
        Ok(())
    }

    /// Returns whether there are more old jobs to remove.
    async fn round(&self, leaps: &mut Leaps, prune: bool) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if leaps.is_trusted(now, self.lease) {
            self.rescue(now).await?;
        }
        let began = Instant::now();
        while began.elapsed() < AT_ONCE_MAX {
            let expired = self.store.expire(now, BATCH).await?;
            tell_ended(&*self.observer, &expired);
            if expired.len() < BATCH as usize {
                break;
            }
        }
        if prune { self.prune(now).await } else { Ok(false) }
    }

    async fn prune(&self, now: Timestamp) -> Result<bool, StoreError> {
        let (began, mut removed, mut left) = (Instant::now(), 0, true);
        while left && began.elapsed() < AT_ONCE_MAX {
            let batch = self.store.prune(now - self.retention, BATCH).await?;
            removed += batch;
            left = BATCH <= batch;
        }
        if removed > 0 {
            info!(jobs = removed, "removed {removed} mail jobs that ended long ago");
        }
        Ok(left)
    }

    async fn rescue(&self, now: Timestamp) -> Result<(), StoreError> {
        let rescued = self.store.rescue(Dead::LeaseEnded, now).await?;
        if !rescued.is_empty() {
            let jobs = rescued.len();
            warn!(jobs, "took back {jobs} mail jobs whose lease had ended");
        }
        tell_ended(&*self.observer, &rescued);
        Ok(())
    }
}

impl Leaps {
    fn since(now: Timestamp) -> Self {
        let seen_at = Instant::now();
        Self { seen_at, clock: now, trust_again_at: seen_at }
    }

    /// Trusts the ends of leases again only after this time.
    fn distrust(&mut self, time: Duration) {
        self.trust_again_at = self.trust_again_at.max(Instant::now() + time);
    }

    /// Whether the clock, which says `now`, has run evenly for as long as a lease.
    fn is_trusted(&mut self, now: Timestamp, lease: Duration) -> bool {
        let moment = Instant::now();
        let by_clock = Duration::try_from(now.duration_since(self.clock)).unwrap_or_default();
        let leap = by_clock.saturating_sub(moment - self.seen_at);
        (self.seen_at, self.clock) = (moment, now);
        if LEAP_MIN <= leap {
            warn!("the clock was set ahead by {} s; no lease ends for now", leap.as_secs());
            self.trust_again_at = moment + lease;
        }
        self.trust_again_at <= moment
    }
}
