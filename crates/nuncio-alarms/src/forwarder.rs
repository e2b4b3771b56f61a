//! Takes the alarms of this node to the MnT.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nuncio_core::ports::clock::Entropy;
use nuncio_core::ports::job_store::StoreError;
use nuncio_runtime::chain::Chain;
use nuncio_runtime::trace;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, error, info, info_span, warn};

use crate::outbox::{Outbox, Waiting};

/// How many events are told at once: an `AlarmService` takes 500.
const BATCH: u32 = 100;
/// How long the MnT may take for a batch.
const DEADLINE: Duration = Duration::from_secs(15);
/// The first pause after a failure, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often it looks for what other nodes have left behind.
const ROUND: Duration = Duration::from_mins(10);

/// The MnT, as a node sees it.
#[async_trait]
pub trait AlarmReceiver: Send + Sync {
    /// Tells these events in this order. What was told before is told again without harm.
    async fn tell(&self, events: &[Waiting]) -> Result<Vec<Told>, TellError>;
}

/// What the MnT says to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is on its disk, or was.
    Taken,
    /// It is not valid and never will be.
    Refused(String),
}

/// Why the MnT has not taken a batch.
#[derive(Debug, thiserror::Error)]
#[error("the MnT did not take the alarms")]
pub struct TellError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Tells what waits in the outbox until it is stopped. What it does not get told stays there.
pub struct Forwarder {
    pub outbox: Arc<Outbox>,
    pub receiver: Arc<dyn AlarmReceiver>,
    pub entropy: Arc<dyn Entropy>,
}

#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("the outbox could not be used")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tell(#[from] TellError),
    #[error("the MnT gave no answer within {} s", DEADLINE.as_secs())]
    TimedOut(#[source] tokio::time::error::Elapsed),
}

impl Forwarder {
    pub async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut waiting = self.outbox.waiting();
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            waiting.mark_unchanged();
            let Some(done) = stop.run_until_cancelled(self.tell(failures == 0)).await else {
                break;
            };
            match done {
                Ok(told) => {
                    if 0 < failures {
                        info!("the MnT takes alarms again");
                    }
                    failures = 0;
                    if 0 < told {
                        continue;
                    }
                }
                Err(error) => {
                    failures += 1;
                    if failures == 1 {
                        let waiting = *waiting.borrow();
                        warn!(waiting, "alarms wait until the MnT takes them: {}", Chain(&error));
                    }
                    // New alarms do not hurry a receiver in trouble.
                    stop.run_until_cancelled(sleep(self.pause(failures))).await;
                    continue;
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Ok(()) = waiting.changed() => {}
                () = sleep(ROUND) => {}
            }
        }
        Ok(())
    }

    /// Tells a batch. Returns how many events are done with.
    async fn tell(&self, is_first_try: bool) -> Result<usize, ForwardError> {
        let mut events = self.outbox.first(BATCH).await?;
        if events.is_empty() {
            events = self.outbox.abandoned(BATCH).await?;
        }
        if events.is_empty() {
            return Ok(0);
        }
        let span = span(&events, is_first_try);
        let told = timeout(DEADLINE, self.receiver.tell(&events)).instrument(span).await;
        let told = told.map_err(ForwardError::TimedOut)??;
        for (one, answer) in events.iter().zip(&told) {
            if let Told::Refused(problem) = answer {
                let alarm_type = one.event.identity().alarm_type.as_str();
                error!(alarm.type = alarm_type, "the MnT refuses an alarm: {problem}");
            }
        }
        events.truncate(told.len());
        self.outbox.remove(&events).await?;
        Ok(events.len())
    }

    fn pause(&self, failures: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
        let pause = PAUSE_MIN.saturating_mul(factor).min(PAUSE_MAX);
        pause.mul_f64(1.0 + self.entropy.jitter() / 4.0)
    }
}

/// A call belongs to the trace of its first alarm, and is linked to those of the others. So does only the first try: an
/// MnT that is away for days must not fill a trace.
fn span(events: &[Waiting], is_first_try: bool) -> Span {
    let span = info_span!("alarm.forward", alarm.count = events.len());
    let causes = events.iter().filter_map(|event| event.trace.as_ref());
    if is_first_try {
        trace::set_causes(&span, causes);
    } else {
        causes.for_each(|cause| trace::link(&span, cause));
    }
    span
}

#[cfg(test)]
mod tests;
