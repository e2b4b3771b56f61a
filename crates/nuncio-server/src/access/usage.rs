//! How much each caller calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nuncio_core::caller::known::CALLERS_MAX;
use nuncio_core::caller::limits::{CallerLimits, TokenBucket};
use nuncio_core::job::CallerId;
use tokio::time::Instant;

/// When a caller may try again that has too many calls under way: nobody knows when one ends.
const AT_ONCE_RETRY: Duration = Duration::from_secs(1);

/// The calls of those that have limits.
#[derive(Debug)]
pub(super) struct Usage {
    began: Instant,
    accounts: Mutex<HashMap<CallerId, Account>>,
}

#[derive(Debug)]
struct Account {
    bucket: TokenBucket,
    at_once: u32,
}

/// A call is under way as long as it has this.
#[derive(Debug)]
pub(super) struct Ticket {
    usage: Arc<Usage>,
    caller: CallerId,
}

/// A caller calls more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    Rate { limit: u32, retry_after: Duration },
    AtOnce { limit: u32, retry_after: Duration },
}

impl Usage {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), accounts: Mutex::default() })
    }

    /// Counts a call of this caller, if it may make one more.
    pub(super) fn enter(
        self: &Arc<Self>,
        caller: &CallerId,
        limits: CallerLimits,
    ) -> Result<Ticket, Exceeded> {
        let now = self.began.elapsed();
        let (rate, at_once_max) = (limits.calls_per_second(), limits.calls_at_once());
        let mut accounts = self.accounts();
        // Those that were deleted meanwhile.
        if CALLERS_MAX < accounts.len() {
            accounts.retain(|_, account| 0 < account.at_once);
        }
        let new = || Account { bucket: TokenBucket::full(rate, now), at_once: 0 };
        let account = accounts.entry(caller.clone()).or_insert_with(new);
        if at_once_max <= account.at_once {
            return Err(Exceeded::AtOnce { limit: at_once_max, retry_after: AT_ONCE_RETRY });
        }
        account
            .bucket
            .take(rate, now)
            .map_err(|retry_after| Exceeded::Rate { limit: rate, retry_after })?;
        account.at_once += 1;
        Ok(Ticket { usage: Arc::clone(self), caller: caller.clone() })
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<CallerId, Account>> {
        // Nothing that holds this lock can leave its value half changed.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(account) = self.usage.accounts().get_mut(&self.caller) {
            account.at_once = account.at_once.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests;
