//! Whether this node reaches the provider: if not, another one may.

use std::time::Duration;

use crate::channel::Effect;

/// How long a node that cannot reach the provider goes on trying before it lets others try: a short outage hits all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Since when this node has not reached the provider. `now` is monotonic, since any fixed moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reach {
    lost_since: Option<Duration>,
}

impl Reach {
    /// Learns from an attempt. A provider that throttles or refuses was reached, and would tell other nodes the same.
    pub(crate) fn observe(&mut self, effect: &Effect, now: Duration) {
        match effect {
            Effect::Unavailable { .. } => self.lost_since = Some(self.lost_since.unwrap_or(now)),
            Effect::Healthy | Effect::Throttled { .. } | Effect::Closed { .. } => {
                self.lost_since = None;
            }
            Effect::None => {}
        }
    }

    pub(crate) fn is_lost(&self, now: Duration) -> bool {
        self.lost_at().is_some_and(|at| at <= now)
    }

    /// When it is lost, if nothing changes.
    pub(crate) fn lost_at(&self) -> Option<Duration> {
        self.lost_since.map(|since| since + PATIENCE)
    }
}
