//! Keyrings for tests.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::keyring::Keyring;

/// A keyring with these keys, which are made of one byte each.
pub(crate) fn keyring(keys: &[(&str, u8)]) -> Keyring {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.key");
    write_keys(&path, keys);
    Keyring::load(&path).unwrap().unwrap()
}

/// The same in a file.
pub(crate) fn write_keys(path: &Path, keys: &[(&str, u8)]) {
    let mut content = String::new();
    for (id, byte) in keys {
        writeln!(content, "{id} {}", STANDARD.encode([*byte; 32])).unwrap();
    }
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
