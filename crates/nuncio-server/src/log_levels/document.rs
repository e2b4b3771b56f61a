//! The levels as they are kept in the settings.

use std::collections::BTreeMap;

use jiff::Timestamp;
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::SavedDocument;
use nuncio_core::settings::log_levels::{Component, LogLevels, LogSeverity, TimedLevel};
use serde::{Deserialize, Serialize};
use tracing::warn;

#[derive(Serialize, Deserialize)]
struct Stored {
    levels: BTreeMap<String, StoredLevel>,
}

#[derive(Serialize, Deserialize)]
struct StoredLevel {
    severity: String,
    until: Timestamp,
}

/// The levels of a document; none where nobody can read it. What a newer version has set is left out.
pub(crate) fn read(saved: Option<&SavedDocument>) -> LogLevels {
    let mut levels = LogLevels::default();
    let Some(saved) = saved else { return levels };
    let stored = match serde_json::from_str::<Stored>(saved.content.expose()) {
        Ok(stored) => stored,
        Err(problem) => {
            warn!("log levels in the settings cannot be read: {problem}");
            return levels;
        }
    };
    for (name, StoredLevel { severity, until }) in stored.levels {
        let known = Component::from_name(&name).zip(LogSeverity::from_name(&severity));
        if let Some((component, severity)) = known {
            levels.set(component, Some(TimedLevel { severity, until }));
        }
    }
    levels
}

pub(crate) fn write(levels: &LogLevels) -> Sensitive {
    let stored = levels.iter().map(|(component, TimedLevel { severity, until })| {
        let severity = severity.name().to_owned();
        (component.name().to_owned(), StoredLevel { severity, until })
    });
    let stored = Stored { levels: stored.collect() };
    serde_json::to_string(&stored).expect("texts and times can be written").into()
}
