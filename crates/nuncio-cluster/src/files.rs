//! Files that only the owner may read, written so that a crash leaves the old or the new content.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

/// Read and write for the owner, nothing for anybody else.
const FILE_MODE: u32 = 0o600;
/// The same for folders.
const FOLDER_MODE: u32 = 0o700;

/// What could not be done with a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct FileError {
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

/// Makes a folder and those above it, if they are missing.
pub(crate) fn create_folder(path: &Path) -> Result<(), FileError> {
    let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path);
    made.map_err(failed("create the folder", path))
}

/// Replaces the content of a file. When it returns Ok the new content is durable.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let fresh = path.with_added_extension("new");
    write_and_sync(&fresh, content).map_err(failed("write", &fresh))?;
    std::fs::rename(&fresh, path).map_err(failed("replace", path))?;
    sync_folder_of(path)
}

/// Replaces the content of a file that somebody else may own, such as the user of a node where root does it.
pub(crate) fn replace_for_its_owner(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let fresh = path.with_added_extension("new");
    write_and_sync(&fresh, content).map_err(failed("write", &fresh))?;
    let (old, new) = (owner(path)?, owner(&fresh)?);
    if old != new {
        chown(&fresh, Some(old.0), Some(old.1)).map_err(failed("give its owner", &fresh))?;
    }
    std::fs::rename(&fresh, path).map_err(failed("replace", path))?;
    sync_folder_of(path)
}

fn owner(path: &Path) -> Result<(u32, u32), FileError> {
    let metadata = std::fs::metadata(path).map_err(failed("inspect", path))?;
    Ok((metadata.uid(), metadata.gid()))
}

/// Keeps others who lock a folder waiting for as long as the file is open.
pub(crate) fn lock_folder(path: &Path) -> Result<File, FileError> {
    let folder = File::open(path).map_err(failed("open", path))?;
    folder.lock().map_err(failed("lock", path))?;
    Ok(folder)
}

/// Makes a file unless there is one already: of many who try at once, one makes it, and all return Ok
/// with the whole file in place. Each of them gives another `suffix`.
pub(crate) fn create(path: &Path, suffix: &str, content: &[u8]) -> Result<(), FileError> {
    let fresh = path.with_added_extension(suffix);
    write_and_sync(&fresh, content).map_err(failed("write", &fresh))?;
    let linked = std::fs::hard_link(&fresh, path);
    std::fs::remove_file(&fresh).map_err(failed("remove", &fresh))?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("create", path)(error))
        }
        Ok(()) | Err(_) => sync_folder_of(path),
    }
}

/// The content of a file, or nothing if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { action, path, source }
}

/// Without this a power cut may bring the old name back.
fn sync_folder_of(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().expect("the callers join folder and name");
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

fn write_and_sync(path: &Path, content: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        // A crash may have left one, with any mode.
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
