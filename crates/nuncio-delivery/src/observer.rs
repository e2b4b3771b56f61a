//! Who wants to know what delivery does, for example to count it.

use std::time::Duration;

use nuncio_core::class::MailClass;
use nuncio_core::job::JobState;

/// Is told what happens. Its methods must return at once.
pub trait DeliveryObserver: Send + Sync {
    /// A new job was stored.
    fn job_accepted(&self, class: MailClass);

    /// An attempt has ended; `outcome` is `SENT` or the code of a reason.
    fn attempt_ended(&self, class: MailClass, outcome: &str, elapsed: Duration);

    /// A job has come to a final state by an attempt.
    fn job_ended(&self, class: MailClass, state: JobState);
}
