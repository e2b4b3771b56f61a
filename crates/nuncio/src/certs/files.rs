//! The files of certificates: readable by their owner alone, never overwritten.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A certificate and its key, in PEM. It has no `Debug`, because of the key.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error(
        "`{path}` is there already, and nothing is overwritten; name another folder by `--out`, or move it away"
    )]
    Exists { path: String },
    #[error("`{path}` cannot be written")]
    Write { path: String, source: io::Error },
    #[error("`{path}` cannot be read; make an authority by `nuncio certs init`")]
    Read { path: String, source: io::Error },
}

/// Writes `NAME.pem` and `NAME.key`, with mode 0600.
pub(super) fn write(
    folder: &Path,
    name: &str,
    pair: &Pair,
) -> Result<(PathBuf, PathBuf), FileError> {
    let (certificate, key) = paths(folder, name);
    let failed = |source| FileError::Write { path: folder.display().to_string(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    // Both are looked for first, so that a key is not left behind alone.
    for path in [&certificate, &key] {
        if path.exists() {
            return Err(FileError::Exists { path: path.display().to_string() });
        }
    }
    write_new(&key, &pair.key)?;
    write_new(&certificate, &pair.certificate)?;
    Ok((certificate, key))
}

pub(super) fn read(folder: &Path, name: &str) -> Result<Pair, FileError> {
    let text = |path: &Path| {
        let failed = |source| FileError::Read { path: path.display().to_string(), source };
        fs::read_to_string(path).map_err(failed)
    };
    let (certificate, key) = paths(folder, name);
    Ok(Pair { certificate: text(&certificate)?, key: text(&key)? })
}

fn paths(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")))
}

fn write_new(path: &Path, text: &str) -> Result<(), FileError> {
    let shown = || path.display().to_string();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            FileError::Exists { path: shown() }
        } else {
            FileError::Write { path: shown(), source }
        }
    })
}
