//! A watch: every change of the jobs, in order, with nothing left out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{Stream, try_unfold};
use nuncio_api::error::unavailable;
use nuncio_api::page_token::resume_token;
use nuncio_api::v1;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::{Change, ChangeSeq, JobStore, StoreError};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::errors::store;

/// How many changes are read at once.
const BATCH: u32 = 256;
/// How often a silent stream tells its place: a client that resumes then skips what it need not see.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(30);
/// When a client may watch again after this node went down.
const RESUME_PAUSE: Duration = Duration::from_secs(1);

/// What is watched.
pub(crate) struct Watch {
    pub(crate) store: Arc<dyn JobStore>,
    /// None means all jobs.
    pub(crate) job: Option<MailJobId>,
    pub(crate) shutdown: CancellationToken,
    /// The place among the node's watches; given back when the stream is dropped.
    pub(crate) _place: OwnedSemaphorePermit,
}

struct State {
    watch: Watch,
    changed: watch::Receiver<()>,
    after: ChangeSeq,
    /// Changes that were read and not yet told.
    read: VecDeque<Change>,
    /// Whether the client must learn its place before anything happens, so that it can resume.
    place_unknown: bool,
    over: bool,
}

/// The changes behind `after`. Without it: the present state of the watched job, then its changes; or
/// the next changes where all jobs are watched.
pub(crate) async fn changes(
    watch: Watch,
    after: Option<ChangeSeq>,
) -> Result<impl Stream<Item = Result<v1::WatchMailJobsResponse, Status>>, StoreError> {
    let changed = watch.store.changed();
    let place_unknown = after.is_none() && watch.job.is_none();
    let mut read = VecDeque::new();
    let after = match (after, watch.job) {
        (Some(after), _) => after,
        (None, None) => watch.store.last_change().await?,
        (None, Some(job)) => {
            let mut last = ChangeSeq::default();
            while let Some(change) = watch.store.changes(last, Some(job), BATCH).await?.pop() {
                last = change.seq;
                read = VecDeque::from([change]);
            }
            last
        }
    };
    let state = State { watch, changed, after, read, place_unknown, over: false };
    Ok(try_unfold(state, |mut state| async move {
        let told = state.next().await?;
        Ok(told.map(|told| (told, state)))
    }))
}

impl State {
    async fn next(&mut self) -> Result<Option<v1::WatchMailJobsResponse>, Status> {
        if std::mem::take(&mut self.place_unknown) {
            return Ok(Some(self.bookmark()));
        }
        while !self.over {
            if let Some(change) = self.read.pop_front() {
                self.over = self.watch.job.is_some() && change.job.state.is_final();
                return Ok(Some(told(change)));
            }
            self.changed.borrow_and_update();
            let (after, job) = (self.after, self.watch.job);
            let read = self.watch.store.changes(after, job, BATCH).await;
            self.read = read.map_err(|error| store(&error))?.into();
            if let Some(last) = self.read.back() {
                self.after = last.seq;
            } else if let Some(bookmark) = self.wait().await? {
                return Ok(Some(bookmark));
            }
        }
        Ok(None)
    }

    /// Waits for a change; gives a bookmark if there is none for long.
    async fn wait(&mut self) -> Result<Option<v1::WatchMailJobsResponse>, Status> {
        tokio::select! {
            biased;
            () = self.watch.shutdown.cancelled() => {
                let message = "this node goes down; watch again with the last resume token";
                Err(unavailable("NODE_DRAINING", message, RESUME_PAUSE))
            }
            Ok(()) = self.changed.changed() => Ok(None),
            () = sleep(BOOKMARK_PERIOD) => Ok(Some(self.bookmark())),
        }
    }

    fn bookmark(&self) -> v1::WatchMailJobsResponse {
        let resume_token = resume_token(self.after);
        v1::WatchMailJobsResponse { mail_job: None, resume_token }
    }
}

fn told(change: Change) -> v1::WatchMailJobsResponse {
    let resume_token = resume_token(change.seq);
    v1::WatchMailJobsResponse { mail_job: Some(change.job.into()), resume_token }
}
