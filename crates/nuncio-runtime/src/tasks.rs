//! Structured concurrency for the long-running parts of a node.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub type BoxError = Box<dyn Error + Send + Sync>;

/// Parts that run together: when one ends they all end.
pub struct Tasks {
    set: JoinSet<Result<(), BoxError>>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

/// Why a group of parts ended.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("part `{part}` failed")]
    Failed { part: &'static str, source: BoxError },
    #[error("part `{part}` ended before it was told to stop")]
    EndedEarly { part: &'static str },
    #[error("parts {parts:?} did not stop in time and were aborted")]
    Overdue { parts: Vec<&'static str> },
}

impl Tasks {
    /// Makes an empty group that stops when `shutdown` is cancelled.
    pub fn new(shutdown: &CancellationToken) -> Self {
        Self { set: JoinSet::new(), names: HashMap::new(), stop: shutdown.child_token() }
    }

    /// Starts a part. It must return soon after its token is cancelled.
    pub fn spawn<F, E>(&mut self, part: &'static str, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let run = run(self.stop.clone());
        let task = self.set.spawn(async move { run.await.map_err(Into::into) });
        self.names.insert(task.id(), part);
    }

    /// Waits for the shutdown or for the first part that ends, then gives all parts `grace` to stop.
    pub async fn join(mut self, grace: Duration) -> Result<(), TaskError> {
        let stop = self.stop.clone();
        let cause = tokio::select! {
            biased; // A part that ends because of the shutdown has not ended early.
            () = stop.cancelled() => Ok(()),
            Some((part, end)) = self.next() => end.and(Err(TaskError::EndedEarly { part })),
        };

        stop.cancel();
        let rest = timeout(grace, self.drain()).await.unwrap_or_else(|_elapsed| {
            Err(TaskError::Overdue { parts: self.names.values().copied().collect() })
        });

        // The first error is the cause; those that follow are its consequences.
        cause.and(rest)
    }

    async fn drain(&mut self) -> Result<(), TaskError> {
        let mut result = Ok(());
        while let Some((_part, end)) = self.next().await {
            result = result.and(end);
        }
        result
    }

    async fn next(&mut self) -> Option<(&'static str, Result<(), TaskError>)> {
        let (id, end) = match self.set.join_next_with_id().await? {
            Ok((id, end)) => (id, end),
            Err(panic) => (panic.id(), Err(panic.into())),
        };
        let part = self.names.remove(&id).expect("every task has a name");
        Some((part, end.map_err(|source| TaskError::Failed { part, source })))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    async fn until_stopped(stop: CancellationToken) -> Result<(), BoxError> {
        stop.cancelled().await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_stops_all_parts() {
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(&shutdown);
        tasks.spawn("a", until_stopped);
        tasks.spawn("b", until_stopped);

        shutdown.cancel();

        tasks.join(GRACE).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_may_ask_for_the_shutdown() {
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(&shutdown);
        tasks.spawn("signals", |_stop| async move {
            shutdown.cancel();
            Ok::<(), BoxError>(())
        });

        tasks.join(GRACE).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_failure_stops_the_others() {
        let started = Instant::now();
        let mut tasks = Tasks::new(&CancellationToken::new());
        tasks.spawn("good", until_stopped);
        tasks.spawn("bad", |_stop| async { Err::<(), BoxError>("disk full".into()) });

        let error = tasks.join(GRACE).await.unwrap_err();

        assert_eq!(error.to_string(), "part `bad` failed");
        assert_eq!(started.elapsed(), Duration::ZERO, "`good` stopped at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_ends_early_is_an_error() {
        let mut tasks = Tasks::new(&CancellationToken::new());
        tasks.spawn("short", |_stop| async { Ok::<(), BoxError>(()) });

        let error = tasks.join(GRACE).await.unwrap_err();

        assert!(matches!(error, TaskError::EndedEarly { part: "short" }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deaf_part_is_named_and_aborted() {
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(&shutdown);
        tasks.spawn("deaf", |_stop| std::future::pending::<Result<(), BoxError>>());

        shutdown.cancel();
        let error = tasks.join(GRACE).await.unwrap_err();

        assert!(matches!(error, TaskError::Overdue { parts } if parts == ["deaf"]));
    }
}
