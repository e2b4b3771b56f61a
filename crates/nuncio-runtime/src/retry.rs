//! Doing something until it works.

use std::error::Error;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::chain::Chain;

/// Repeats `attempt` until it works, with a `pause` in between. Gives up only when `stop` is
/// cancelled, and then returns nothing.
pub async fn until_ok<T, E, F>(
    stop: &CancellationToken,
    pause: Duration,
    mut attempt: impl FnMut() -> F,
) -> Option<T>
where
    E: Error,
    F: Future<Output = Result<T, E>>,
{
    loop {
        match attempt().await {
            Ok(value) => return Some(value),
            Err(error) => warn!(pause_s = pause.as_secs(), "trying again: {}", Chain(&error)),
        }
        stop.run_until_cancelled(sleep(pause)).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::io;

    use tokio::time::Instant;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn it_pauses_between_attempts_only() {
        let started = Instant::now();
        let stop = CancellationToken::new();
        let mut replies = [Err("down"), Err("down"), Ok("up")].into_iter();

        let value = until_ok(&stop, PAUSE, || {
            ready(replies.next().expect("three attempts").map_err(io::Error::other))
        });

        assert_eq!(value.await, Some("up"));
        assert_eq!(started.elapsed(), PAUSE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_when_told_to_stop() {
        let stop = CancellationToken::new();

        let value = until_ok(&stop, PAUSE, || {
            stop.cancel();
            ready(Err::<(), _>(io::Error::other("down")))
        });

        assert_eq!(value.await, None);
    }
}
