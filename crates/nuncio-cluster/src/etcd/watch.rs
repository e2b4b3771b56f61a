//! Follows the settings in etcd: reads them all, then watches what changes, and begins anew whenever the watch ends.
//!
//! The settings are a handful of small documents. So it never resumes a watch at an old revision, which etcd may have
//! compacted meanwhile: to read all of them at one revision and to watch from there misses nothing.

use std::time::Duration;

use nuncio_runtime::chain::Chain;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::error::EtcdError;
use super::store::Change;
use super::{EtcdState, Shared, tell_unopened, tell_vanished};

/// How often etcd is asked how far its watch is. A stream can be dead without an end
/// (<https://github.com/etcdv3/etcd-client/issues/54>).
const PROGRESS_PERIOD: Duration = Duration::from_secs(5);
/// A watch that has said nothing for so long is dead.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How often everything is read anew, although the watch has told all.
const RESYNC_PERIOD: Duration = Duration::from_mins(5);
/// Before a new beginning, first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Follows until `stop` is cancelled.
pub(super) async fn follow(shared: &Shared, stop: &CancellationToken) {
    let mut pause = PAUSE_MIN;
    loop {
        match stop.run_until_cancelled(until_over(shared)).await {
            None => return,
            Some(End::Resync) => pause = PAUSE_MIN,
            Some(End::Lost { problem, had_begun }) => {
                tell_away(shared, &problem);
                if had_begun {
                    pause = PAUSE_MIN;
                }
                if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                    return;
                }
                pause = PAUSE_MAX.min(pause * 2);
            }
        }
    }
}

/// How a watch came to its end.
enum End {
    /// It is time to read everything anew.
    Resync,
    Lost {
        problem: EtcdError,
        had_begun: bool,
    },
}

async fn until_over(shared: &Shared) -> End {
    let opening = async {
        let revision = shared.resync().await?;
        shared.store.watch(revision).await
    };
    let mut stream = match opening.await {
        Ok(stream) => stream,
        Err(problem) => return End::Lost { problem, had_begun: false },
    };
    tell_connected(shared);
    let began = Instant::now();
    let mut heard = began;
    let mut progress = interval(PROGRESS_PERIOD);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let problem = loop {
        tokio::select! {
            message = stream.message() => match message {
                Ok(Some(message)) => {
                    heard = Instant::now();
                    match shared.store.changes(&message) {
                        Ok(changes) => shared.follow_changes(changes).await,
                        Err(problem) => break problem,
                    }
                }
                Ok(None) => break EtcdError::WatchEnded("etcd has closed it".to_owned()),
                Err(error) => break shared.store.watch_error(error),
            },
            _ = progress.tick() => {
                if RESYNC_PERIOD <= began.elapsed() {
                    return End::Resync;
                }
                if SILENCE_MAX <= heard.elapsed() {
                    break EtcdError::WatchEnded(format!("nothing for {} s", SILENCE_MAX.as_secs()));
                }
                if let Err(error) = stream.request_progress().await {
                    break shared.store.watch_error(error);
                }
            }
        }
    };
    End::Lost { problem, had_begun: true }
}

impl Shared {
    async fn follow_changes(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let mut known = self.known.lock().await;
        for change in changes {
            match change {
                // What this node has saved itself comes back; it may have saved once more meanwhile.
                Change::Written(stored)
                    if stored.revision <= known.get(&stored.document).copied().unwrap_or(0) => {}
                Change::Written(stored) => {
                    let document = stored.document;
                    if let Err(unopened) = self.take(&mut known, stored).await {
                        tell_unopened(document, &unopened);
                    }
                }
                Change::Removed { document, revision } => {
                    if known.get(&document).is_some_and(|known| *known < revision) {
                        tell_vanished(document);
                        known.remove(&document);
                    }
                }
            }
        }
    }
}

fn tell_connected(shared: &Shared) {
    let before = shared.state.send_replace(EtcdState::Connected);
    if before != EtcdState::Connected {
        info!("this node hears of changes of the settings by etcd");
    }
}

/// Says it once; what is in the way may change with every attempt.
fn tell_away(shared: &Shared, problem: &EtcdError) {
    let away = EtcdState::Away(Chain(problem).to_string());
    match shared.state.send_replace(away) {
        EtcdState::Away(_) => debug!("settings are still not followed: {}", Chain(problem)),
        EtcdState::Connecting | EtcdState::Connected => {
            warn!(
                "settings are not followed; this node goes on with the last good ones: {}",
                Chain(problem)
            );
        }
    }
}
