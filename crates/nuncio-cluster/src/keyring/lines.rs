//! Changes of a key file, line by line. What else stands there, such as comments, stays.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::files;
use crate::keyring::{HEAD, KEYS_MAX, KeyId, Keyring, KeyringError, holds_key, new_line};

/// Where a new key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It writes.
    First,
    /// It is only read.
    Last,
}

/// The ids of the keys of a file, in their order.
pub fn key_ids(path: &Path) -> Result<Vec<KeyId>, KeyringError> {
    let missing = || KeyringError::Missing { path: path.to_owned() };
    Ok(Keyring::load(path)?.ok_or_else(missing)?.ids().cloned().collect())
}

/// Adds a new random key to a key file, or makes the file with it, and gives its id.
pub fn add_key(path: &Path, place: Place) -> Result<KeyId, KeyringError> {
    let file = real_path(path)?;
    let folder = file.parent().expect("an absolute path of a file has a folder");
    files::create_folder(folder)?;
    let _alone = files::lock_folder(folder)?;
    let held = Keyring::load(&file)?;
    let (id, line) = new_line().map_err(KeyringError::NoRandomness)?;
    let Some(held) = held else {
        let content = Zeroizing::new(format!("{HEAD}{}", *line));
        files::create(&file, id.as_str(), content.as_bytes())?;
        return Ok(id);
    };
    if held.ids().count() == KEYS_MAX {
        return Err(KeyringError::Full { path: file });
    }
    let mut lines = read_lines(&file)?;
    let at = match place {
        Place::First => first_key(&lines),
        Place::Last => lines.len(),
    };
    lines.insert(at, line);
    write(&file, &lines)?;
    Ok(id)
}

/// Puts a key before all others, so that it writes.
pub fn put_first(path: &Path, key_id: &KeyId) -> Result<(), KeyringError> {
    let file = real_path(path)?;
    let _alone = lock_folder_of(&file)?;
    let (mut lines, at) = find(&file, key_id)?;
    let line = lines.remove(at);
    let first = first_key(&lines);
    lines.insert(first, line);
    write(&file, &lines)
}

/// Removes a key that does not write.
pub fn remove_key(path: &Path, key_id: &KeyId) -> Result<(), KeyringError> {
    let file = real_path(path)?;
    let _alone = lock_folder_of(&file)?;
    let (mut lines, at) = find(&file, key_id)?;
    if at == first_key(&lines) {
        return Err(KeyringError::Writes { path: file, key_id: key_id.clone() });
    }
    lines.remove(at);
    write(&file, &lines)
}

/// The lines of a file, each with its end, and which of them holds the key.
fn find(path: &Path, key_id: &KeyId) -> Result<(Vec<Zeroizing<String>>, usize), KeyringError> {
    let held = key_ids(path)?;
    let lines = read_lines(path)?;
    let is_it = |line: &Zeroizing<String>| line.split_whitespace().next() == Some(key_id.as_str());
    match lines.iter().position(is_it) {
        Some(at) => Ok((lines, at)),
        None => Err(KeyringError::NoSuchKey {
            path: path.to_owned(),
            key_id: key_id.clone(),
            held: held.iter().map(|id| format!("`{id}`")).collect(),
        }),
    }
}

/// Where the first key stands, or would.
fn first_key(lines: &[Zeroizing<String>]) -> usize {
    lines.iter().position(|line| holds_key(line)).unwrap_or(lines.len())
}

fn read_lines(path: &Path) -> Result<Vec<Zeroizing<String>>, KeyringError> {
    let content = Zeroizing::new(files::read(path)?.unwrap_or_default());
    let text = Zeroizing::new(String::from_utf8_lossy(&content).into_owned());
    Ok(text.lines().map(|line| Zeroizing::new(format!("{line}\n"))).collect())
}

fn write(path: &Path, lines: &[Zeroizing<String>]) -> Result<(), KeyringError> {
    let bytes = lines.iter().flat_map(|line| line.bytes()).collect();
    let content: Zeroizing<Vec<u8>> = Zeroizing::new(bytes);
    Ok(files::replace_for_its_owner(path, &content)?)
}

fn lock_folder_of(file: &Path) -> Result<std::fs::File, KeyringError> {
    let folder = file.parent().expect("an absolute path of a file has a folder");
    if !file.exists() {
        return Err(KeyringError::Missing { path: file.to_owned() });
    }
    Ok(files::lock_folder(folder)?)
}

/// The file itself, where `path` is a link to it.
fn real_path(path: &Path) -> Result<PathBuf, KeyringError> {
    if path.exists() {
        return Ok(path.canonicalize().map_err(files::failed("find", path))?);
    }
    Ok(std::path::absolute(path).map_err(files::failed("find", path))?)
}

#[cfg(test)]
mod tests;
