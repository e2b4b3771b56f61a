//! Who wants to know what delivery does, for example to count it.

use std::time::Duration;

use nuncio_core::class::MailClass;
use nuncio_core::job::{Job, JobState};

/// Is told what happens. Its methods must return at once.
pub trait DeliveryObserver: Send + Sync {
    /// A new job was stored.
    fn job_accepted(&self, class: MailClass);

    /// An attempt has ended; `outcome` is `SENT` or the code of a reason.
    fn attempt_ended(&self, class: MailClass, outcome: &str, elapsed: Duration);

    /// A job has come to a final state.
    fn job_ended(&self, class: MailClass, state: JobState);
}

/// Tells of those jobs that have come to a final state.
pub fn tell_ended<'a>(observer: &dyn DeliveryObserver, jobs: impl IntoIterator<Item = &'a Job>) {
    for job in jobs.into_iter().filter(|job| job.state.is_final()) {
        observer.job_ended(job.class, job.state);
    }
}
