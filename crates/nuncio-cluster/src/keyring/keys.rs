//! The keys of a node while it runs: they change with their file, and what was sealed with the ones before is still on its way.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nuncio_core::ports::sealer::{Sealer, Sealers};

use crate::keyring::{KeyId, Keyring, KeyringError};

/// The present keys, and those of before that somebody still holds.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<Keyring>,
    /// Of the file, as it was last read.
    first: KeyId,
    /// Whoever holds one may not have stored yet what it sealed.
    earlier: Vec<Weak<Keyring>>,
}

impl Keys {
    /// The keys of the file at `path`.
    pub fn new(path: &Path, keyring: Keyring) -> Self {
        let first = keyring.writer().clone();
        let state = State { current: Arc::new(keyring), first, earlier: Vec::new() };
        Self { path: path.to_owned(), state: Mutex::new(state) }
    }

    /// What the file holds now.
    pub fn read_file(&self) -> Result<Keyring, KeyringError> {
        let missing = || KeyringError::Missing { path: self.path.clone() };
        Keyring::load(&self.path)?.ok_or_else(missing)
    }

    /// The first key of the file, as it was last read: it writes as soon as others can read it.
    pub fn first(&self) -> KeyId {
        self.state().first.clone()
    }

    /// The file holds another first key now.
    pub fn note_first(&self, first: &KeyId) {
        self.state().first.clone_from(first);
    }

    pub fn current(&self) -> Arc<Keyring> {
        Arc::clone(&self.state().current)
    }

    /// Seals and opens with these keys from now on.
    pub fn replace(&self, keyring: Keyring) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.current, Arc::new(keyring));
        state.earlier.push(Arc::downgrade(&before));
    }

    /// The keys with which something may still be stored: the one that seals, and those of before until all that they have
    /// sealed is stored or given up.
    pub fn writing(&self) -> Vec<KeyId> {
        let mut state = self.state();
        state.earlier.retain(|earlier| 0 < earlier.strong_count());
        let mut writing = vec![state.current.writer().clone()];
        for earlier in state.earlier.iter().filter_map(Weak::upgrade) {
            if !writing.contains(earlier.writer()) {
                writing.push(earlier.writer().clone());
            }
        }
        writing
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds this lock can leave its value half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sealers for Keys {
    fn current(&self) -> Arc<dyn Sealer> {
        Self::current(self)
    }

    fn seal_with_one_of(&self, key_ids: &[String]) {
        let current = Self::current(self);
        let is_one = |id: &&KeyId| key_ids.iter().any(|one| one == id.as_str());
        match current.ids().find(is_one) {
            Some(id) if id != current.writer() => self.replace((*current).clone().led_by(id)),
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests;
