//! The settings of alarms and their types: kept as one document, known as values.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use nuncio_core::alarm::settings::AlarmRules;
use nuncio_core::ports::settings::{SaveError, SettingsShare};
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::{DocumentChange, SavedDocument, SettingsDocument};
use nuncio_runtime::chain::Chain;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tracing::error;

mod stored;

/// The etag of settings that nobody has saved yet.
const NOT_SAVED: &str = "g0";

/// The settings as this node knows them.
#[derive(Clone)]
pub(crate) struct Rules {
    share: Arc<dyn SettingsShare>,
    /// Kept for the generation that it was read from.
    known: Arc<Mutex<Arc<KnownRules>>>,
}

/// Settings as they were read.
#[derive(Debug, Default)]
pub(crate) struct KnownRules {
    pub(crate) rules: AlarmRules,
    generation: i64,
    /// What others keep in the document.
    other: Map<String, Value>,
    pub(crate) history: Vec<DocumentChange>,
}

impl KnownRules {
    pub(crate) fn generation(&self) -> i64 {
        self.generation
    }

    pub(crate) fn etag(&self) -> String {
        if self.generation == 0 { NOT_SAVED.to_owned() } else { format!("g{}", self.generation) }
    }
}

impl Rules {
    pub(crate) fn new(share: Arc<dyn SettingsShare>) -> Self {
        Self { share, known: Arc::default() }
    }

    /// The settings in force.
    pub(crate) fn current(&self) -> Arc<KnownRules> {
        let saved = self.share.document(SettingsDocument::Alarms).borrow().clone();
        let mut known = self.known.lock().expect("nobody panics while holding it");
        if let Some(saved) = saved.filter(|saved| saved.generation != known.generation) {
            *known = Arc::new(read(&saved));
        }
        Arc::clone(&known)
    }

    /// Marked changed with each save.
    pub(crate) fn changed(&self) -> watch::Receiver<Option<Arc<SavedDocument>>> {
        self.share.document(SettingsDocument::Alarms)
    }

    /// Saves rules if those of `known` are still in force.
    pub(crate) async fn save(
        &self,
        rules: &AlarmRules,
        known: &KnownRules,
        caller: &str,
        summary: String,
        now: Timestamp,
    ) -> Result<Arc<KnownRules>, SaveError> {
        let content = stored::write(rules, &known.other);
        let change = DocumentChange { caller: caller.to_owned(), at: now, summary };
        let etag = known.etag();
        // A document that nobody has saved yet has the empty etag at the share.
        let expected = if etag == NOT_SAVED { "" } else { etag.as_str() };
        let document = SettingsDocument::Alarms;
        self.share
            .save_document(document, Sensitive::from(content), change, Some(expected))
            .await?;
        Ok(self.current())
    }
}

fn read(saved: &SavedDocument) -> KnownRules {
    let (rules, other) = stored::read(saved.content.expose()).unwrap_or_else(|problem| {
        // Alarms must be taken all the same.
        error!("the alarm settings cannot be read, the defaults are used: {}", Chain(&problem));
        (AlarmRules::default(), Map::new())
    });
    let history = saved.history.clone();
    KnownRules { rules, generation: saved.generation, other, history }
}

/// What differs, for the history: the names of the fields and types.
pub(crate) fn differences(before: &AlarmRules, after: &AlarmRules) -> String {
    let none = Map::new();
    let [before, after] = [before, after].map(|rules| {
        let text = stored::write(rules, &none);
        let Ok(Value::Object(map)) = serde_json::from_str(&text) else { return BTreeMap::new() };
        map.into_iter().collect::<BTreeMap<String, Value>>()
    });
    let keys = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>();
    let changed = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    let parts = changed.filter(|key| *key != "types").map(|key| {
        let shown = |map: &BTreeMap<String, Value>| {
            let text = map.get(key).map(ToString::to_string).unwrap_or_default();
            text.chars().take(SHOWN_CHARS).collect::<String>()
        };
        format!("{key}: {} -> {}", shown(&before), shown(&after))
    });
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}

/// The same of settings and types.
pub(crate) fn all_differences(before: &AlarmRules, after: &AlarmRules) -> String {
    let ids: std::collections::BTreeSet<_> =
        before.own_types.keys().chain(after.own_types.keys()).collect();
    let types = ids.into_iter().filter_map(|id| {
        let (old, new) = (before.own_types.get(id), after.own_types.get(id));
        let what = if new.is_none() { "removed" } else { "changed" };
        (old != new).then(|| format!("alarm type {id} {what}"))
    });
    let settings = Some(differences(before, after)).filter(|text| text != "nothing");
    let all: Vec<_> = settings.into_iter().chain(types).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join("; ") }
}

/// How much of a value the history shows, in characters.
const SHOWN_CHARS: usize = 60;

#[cfg(test)]
mod tests;
