//! Levels of components that are changed while the node runs, as the settings say.

pub(crate) mod document;
pub(crate) mod service;

use std::sync::Arc;
use std::time::Duration;

use nuncio_core::ports::clock::Clock;
use nuncio_core::settings::document::SavedDocument;
use nuncio_core::settings::log_levels::LogLevels;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tracing_subscriber::{EnvFilter, Registry, reload};

/// The longest wait for the end of a level: a clock may be set.
const LOOK_PERIOD: Duration = Duration::from_mins(1);

/// The filter of the log of this process. Clones are the same filter.
#[derive(Clone, Debug)]
pub struct LogControl {
    /// What the configuration says.
    configured: String,
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LogControl {
    pub(crate) fn new(configured: String, filter: reload::Handle<EnvFilter, Registry>) -> Self {
        Self { configured, filter }
    }

    /// Follows the levels in the settings until `stop` is cancelled.
    pub(crate) async fn follow(
        self,
        mut document: watch::Receiver<Option<Arc<SavedDocument>>>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let mut present = LogLevels::default();
        while !stop.is_cancelled() {
            let saved = document.borrow_and_update().clone();
            let now = clock.now();
            let mut levels = document::read(saved.as_deref());
            levels.forget_ended(now);
            if levels != present {
                self.apply(&levels);
                present = levels;
            }
            let until_end = present.next_end().map(|end| end.duration_since(now));
            let wait = until_end.map_or(LOOK_PERIOD, |wait| {
                Duration::try_from(wait).unwrap_or_default().min(LOOK_PERIOD)
            });
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Ok(()) = document.changed() => {}
                () = sleep(wait), if present.next_end().is_some() => {}
            }
        }
    }

    fn apply(&self, levels: &LogLevels) {
        let directives = directives(&self.configured, levels);
        if let Err(error) = self.filter.reload(filter(&directives)) {
            warn!("log levels are not changed: {error}");
            return;
        }
        info!(filter = directives, "log levels have changed");
    }
}

/// What the filter of a log says, with these levels before all else.
fn directives(configured: &str, levels: &LogLevels) -> String {
    let set = levels.iter().map(|(component, level)| {
        format!(",nuncio_{}={}", component.name(), level.severity.name())
    });
    format!("{}{}", configured, set.collect::<String>())
}

/// A filter of directives that were checked.
pub(crate) fn filter(directives: &str) -> EnvFilter {
    EnvFilter::builder().parse(directives).expect("the configuration has checked it")
}

#[cfg(test)]
mod tests;
