//! How stubborn the delivery of a mail is.

use std::time::Duration;

/// What to do when the provider may have taken a mail, but its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownPolicy {
    /// Send it again: a second copy is better than none.
    Resend,
    /// Leave it as `UNKNOWN` for a person: none is better than a second copy.
    Stop,
}

/// When to try again after the provider deferred a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The wait after the first deferral; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// After so many judged attempts the job fails.
    pub attempts_max: u32,
}

impl RetryPolicy {
    /// The wait before the next attempt: doubled each time, up to the maximum, plus up to half as jitter.
    ///
    /// `attempt` counts from 1; `jitter` lies in 0..1.
    pub fn backoff(&self, attempt: u32, jitter: f64) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let wait = self.backoff_min.saturating_mul(factor).min(self.backoff_max);
        wait.mul_f64(1.0 + jitter / 2.0)
    }
}
