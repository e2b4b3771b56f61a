//! Which jobs were accepted, and when each of them ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use nuncio_api::client::Clients;
use nuncio_api::v1;
use nuncio_cli::names::is_final;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bench::Failure;

/// What is known of all jobs.
pub(super) struct Tracker {
    known: Mutex<Known>,
    /// Whether ends are told, so that it is worth to remember what has begun.
    watches: bool,
}

#[derive(Default)]
struct Known {
    accepted: u64,
    ended: u64,
    not_sent: u64,
    /// Jobs with one half of their story: the answer to the call and the end may come in any order.
    halves: HashMap<String, Half>,
    spans: Vec<Duration>,
}

enum Half {
    Begun(Instant),
    Sent(Instant),
}

impl Tracker {
    pub(super) fn new(watches: bool) -> Self {
        Self { known: Mutex::default(), watches }
    }

    /// The job was accepted; the call had begun at `begun`.
    pub(super) fn accept(&self, name: String, begun: Instant) {
        let mut known = self.known();
        known.accepted += 1;
        if !self.watches {
            return;
        }
        match known.halves.remove(&name) {
            Some(Half::Sent(sent)) => known.spans.push(sent - begun),
            Some(Half::Begun(_)) | None => {
                known.halves.insert(name, Half::Begun(begun));
            }
        }
    }

    fn end(&self, job: v1::MailJob, now: Instant) {
        let sent = job.state() == v1::MailJobState::Sent;
        let mut known = self.known();
        known.ended += 1;
        known.not_sent += u64::from(!sent);
        match known.halves.remove(&job.name) {
            Some(Half::Begun(begun)) if sent => known.spans.push(now - begun),
            Some(Half::Begun(_)) => {}
            Some(Half::Sent(_)) | None => {
                known.halves.insert(job.name, Half::Sent(now));
            }
        }
    }

    pub(super) fn accepted(&self) -> u64 {
        self.known().accepted
    }

    /// How many jobs ended, sent or not, as far as they were watched.
    pub(super) fn ended(&self) -> u64 {
        self.known().ended
    }

    pub(super) fn not_sent(&self) -> u64 {
        self.known().not_sent
    }

    /// How long each job took from the call until its end was told.
    pub(super) fn take_spans(&self) -> Vec<Duration> {
        std::mem::take(&mut self.known().spans)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nothing panics with the lock")
    }
}

/// Watches all jobs until the result is dropped.
pub(super) async fn watch(
    clients: &mut Clients,
    tracker: Arc<Tracker>,
) -> Result<JoinSet<()>, Failure> {
    let request = v1::WatchMailJobsRequest::default();
    let mut changes = clients.mail_jobs.watch_mail_jobs(request).await?.into_inner();
    // The bookmark: from here on nothing is missed.
    changes.message().await?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        // Where the stream ends, the ends that are missing tell it.
        while let Ok(Some(change)) = changes.message().await {
            if let Some(job) = change.mail_job.filter(|job| is_final(job.state())) {
                tracker.end(job, Instant::now());
            }
        }
    });
    Ok(task)
}
