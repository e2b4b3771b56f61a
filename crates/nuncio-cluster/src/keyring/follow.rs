//! What becomes of the keys of a node when their file changes.

use std::collections::BTreeSet;

use crate::keyring::{KeyId, Keyring};

/// What a node knows beside its file and its keys.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The ids of the keys that settings and store still need; none if the store does not say.
    pub in_use: Option<&'a BTreeSet<String>>,
    /// Whether every live node reads the first key of the file.
    pub is_read_everywhere: bool,
}

/// The keys to go on with.
#[derive(Clone, Debug)]
pub struct Next {
    pub keyring: Keyring,
    pub added: Vec<KeyId>,
    pub dropped: Vec<KeyId>,
    /// Those that are not in the file, but needed: they go with the process.
    pub kept: Vec<KeyId>,
    /// Whether another key writes than before.
    pub is_new_writer: bool,
}

/// A key of the file has the id of another one that this node has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "key `{key_id}` has another value in the file than before; put the old line back, and give a new key an id of its own"
)]
pub struct OtherKey {
    pub key_id: KeyId,
}

/// Decides what a node does with what its file holds now.
///
/// It reads every key of the file at once, and drops none that is needed. It writes with the first one as soon as all nodes
/// that live can read that; until then with the one that it has written with.
pub fn next(file: &Keyring, present: &Keyring, seen: Seen<'_>) -> Result<Next, OtherKey> {
    if let Some(key_id) = file.differs(present) {
        return Err(OtherKey { key_id: key_id.clone() });
    }
    let is_new_writer = file.writer() != present.writer() && seen.is_read_everywhere;
    let writer = if is_new_writer { file.writer() } else { present.writer() };
    let is_needed =
        |id: &KeyId| id == writer || seen.in_use.is_none_or(|in_use| in_use.contains(id.as_str()));
    let missing: Vec<_> = present.keys.iter().filter(|(id, _)| !file.knows(id)).cloned().collect();
    let (kept, dropped): (Vec<_>, Vec<_>) = missing.into_iter().partition(|(id, _)| is_needed(id));
    let added = file.ids().filter(|id| !present.knows(id)).cloned().collect();
    let keys = file.keys.iter().chain(&kept).cloned().collect();
    let ids = |keys: Vec<(KeyId, _)>| keys.into_iter().map(|(id, _)| id).collect();
    Ok(Next {
        keyring: Keyring { keys }.led_by(writer),
        added,
        dropped: ids(dropped),
        kept: ids(kept),
        is_new_writer,
    })
}

#[cfg(test)]
mod tests;
