//! The keys that encrypt settings and mails, and the file that keeps them.

mod sealer;

pub mod follow;
pub mod keys;
pub mod lines;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::files::{self, FileError};

/// The length of a key of AES-256 (FIPS 197), in bytes.
const KEY_BYTES: usize = 32;
/// The longest id of a key, in characters.
const KEY_ID_CHARS_MAX: usize = 64;
/// The most keys in a file: one writes, the others are read.
pub const KEYS_MAX: usize = 100;
/// What a key seals to prove that another one is the same.
const SAME: &[u8] = b"nuncio same key";
/// The bits of a file's mode that let group and others in.
const MODE_OF_STRANGERS: u32 = 0o077;

/// The name of a key. It is written beside what the key encrypts, and is no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

/// The keys that this node knows: the first encrypts, all decrypt.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<(KeyId, Arc<RandomizedNonceKey>)>,
}

/// Why there is no keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("the key file could not be used")]
    File(#[from] FileError),
    #[error(
        "the key file `{}` can be read by others (mode {mode:04o}); run `chmod 600 {}`",
        path.display(),
        path.display()
    )]
    ReadableByOthers { path: PathBuf, mode: u32 },
    #[error(
        "the key file `{}` is malformed: {problem}; restore it from a backup",
        path.display()
    )]
    Malformed { path: PathBuf, problem: String },
    #[error("no random numbers for a new key")]
    NoRandomness(#[source] aws_lc_rs::error::Unspecified),
    #[error("the key file `{}` is not there; make one by `nuncio keys add --file FILE`", path.display())]
    Missing { path: PathBuf },
    #[error("the key file `{}` holds no key `{key_id}`; it holds {}", path.display(), held.join(", "))]
    NoSuchKey { path: PathBuf, key_id: KeyId, held: Vec<String> },
    #[error(
        "`{key_id}` is the first key of `{}`, which writes; put another one first by `nuncio keys first`",
        path.display()
    )]
    Writes { path: PathBuf, key_id: KeyId },
    #[error("the key file `{}` holds {KEYS_MAX} keys already; remove some that nothing is sealed with", path.display())]
    Full { path: PathBuf },
}

impl Keyring {
    /// Reads the key file, or gives nothing if there is none.
    pub fn load(path: &Path) -> Result<Option<Self>, KeyringError> {
        let Some(content) = files::read(path)?.map(Zeroizing::new) else { return Ok(None) };
        check_mode(path)?;
        let keys = parse(&content);
        let malformed = |problem| KeyringError::Malformed { path: path.to_owned(), problem };
        Ok(Some(Self { keys: keys.map_err(malformed)? }))
    }

    /// Makes a key file with one new key, in a folder that only the owner may enter. If somebody else has made one
    /// meanwhile, that one counts.
    pub fn create(path: &Path) -> Result<Self, KeyringError> {
        let folder = path.parent().expect("a key file has a folder");
        files::create_folder(folder)?;
        let (id, line) = new_line().map_err(KeyringError::NoRandomness)?;
        let content = Zeroizing::new(format!("{HEAD}{}", *line));
        files::create(path, id.as_str(), content.as_bytes())?;
        Ok(Self::load(path)?.expect("it was just made"))
    }

    /// The ids of all keys; the first encrypts.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.iter().map(|(id, _)| id)
    }

    /// The key that encrypts.
    pub fn writer(&self) -> &KeyId {
        &self.keys[0].0
    }

    /// Whether something that this key encrypted can be decrypted.
    pub fn knows(&self, id: &KeyId) -> bool {
        self.key(id).is_some()
    }

    /// Encrypts `text` in place with the writing key under a fresh nonce, which it returns.
    pub(crate) fn seal(&self, associated: &[u8], text: &mut Vec<u8>) -> Nonce {
        let key = &self.keys[0].1;
        key.seal_in_place_append_tag(Aad::from(associated), text)
            .expect("settings and mails are shorter than the 64 GiB that AES-GCM can seal")
    }

    /// Decrypts in place. Nothing means that key, nonce, associated data and ciphertext do not belong together.
    pub(crate) fn open<'a>(
        &self,
        id: &KeyId,
        nonce: Nonce,
        associated: &[u8],
        ciphertext: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        let opened = self.key(id)?.open_in_place(nonce, Aad::from(associated), ciphertext);
        opened.ok().map(|text| &*text)
    }

    fn key(&self, id: &KeyId) -> Option<&RandomizedNonceKey> {
        self.keys.iter().find(|(one, _)| one == id).map(|(_, key)| &**key)
    }

    /// Whether a key has another value under the same id in `other`.
    fn differs(&self, other: &Self) -> Option<&KeyId> {
        self.ids().find(|id| match (self.key(id), other.key(id)) {
            (Some(mine), Some(theirs)) => !is_same(mine, theirs),
            (None | Some(_), None) | (None, Some(_)) => false,
        })
    }

    /// These keys with another one at the head, if it is among them.
    fn led_by(mut self, writer: &KeyId) -> Self {
        if let Some(place) = self.keys.iter().position(|(id, _)| id == writer) {
            self.keys[..=place].rotate_right(1);
        }
        self
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

impl KeyId {
    /// Takes 1 to 64 letters, digits, `-` and `_`.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        let valid = (1..=KEY_ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed);
        valid.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_mode(path: &Path) -> Result<(), KeyringError> {
    let metadata = std::fs::metadata(path).map_err(files::failed("inspect", path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & MODE_OF_STRANGERS == 0 {
        Ok(())
    } else {
        Err(KeyringError::ReadableByOthers { path: path.to_owned(), mode })
    }
}

/// Reads `id base64` line by line. No problem that it names shows what a line holds.
fn parse(content: &[u8]) -> Result<Vec<(KeyId, Arc<RandomizedNonceKey>)>, String> {
    let text = str::from_utf8(content).map_err(|_| "it is not text".to_owned())?;
    let mut keys: Vec<(KeyId, Arc<RandomizedNonceKey>)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !holds_key(line) {
            continue;
        }
        let (id, key) = parse_key(line).map_err(|what| format!("line {}: {what}", index + 1))?;
        if keys.iter().any(|(one, _)| *one == id) {
            return Err(format!("line {}: key `{id}` is there twice", index + 1));
        }
        keys.push((id, Arc::new(key)));
    }
    match keys.len() {
        0 => Err("it holds no key".to_owned()),
        1..=KEYS_MAX => Ok(keys),
        count => Err(format!("it holds {count} keys; at most {KEYS_MAX}")),
    }
}

fn parse_key(line: &str) -> Result<(KeyId, RandomizedNonceKey), &'static str> {
    let (id, key) = line.split_once(char::is_whitespace).ok_or("is not `key-id base64-key`")?;
    let id = KeyId::parse(id).ok_or("the key id must be 1 to 64 letters, digits, `-` or `_`")?;
    let key = BASE64.decode(key.trim_start()).map(Zeroizing::new);
    let key = key.map_err(|_| "the key is not base64")?;
    if key.len() != KEY_BYTES {
        return Err("the key is not 32 bytes long");
    }
    let key = RandomizedNonceKey::new(&AES_256_GCM, &key).expect("its length was checked");
    Ok((id, key))
}

/// Whether a line is neither empty nor a comment.
fn holds_key(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

fn is_same(one: &RandomizedNonceKey, other: &RandomizedNonceKey) -> bool {
    let mut sealed = SAME.to_vec();
    let nonce = one.seal_in_place_append_tag(Aad::empty(), &mut sealed);
    let opened = nonce.and_then(|nonce| other.open_in_place(nonce, Aad::empty(), &mut sealed));
    opened.is_ok()
}

/// What a new key file begins with.
const HEAD: &str = "# Encrypts the settings and mails of nuncio. Keep a copy apart from them: without it they are lost.\n\
     # One key a line; the first writes, all can read.\n";

/// The line of a new key of a random name, so that no two keys ever share one.
fn new_line() -> Result<(KeyId, Zeroizing<String>), aws_lc_rs::error::Unspecified> {
    let random = SystemRandom::new();
    let mut name = [0; 4];
    random.fill(&mut name)?;
    let id = KeyId(format!("k{:08x}", u32::from_be_bytes(name)));
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    random.fill(&mut *key)?;
    let key = Zeroizing::new(BASE64.encode(*key));
    let line = Zeroizing::new(format!("{id} {}\n", *key));
    Ok((id, line))
}

#[cfg(test)]
mod tests;
