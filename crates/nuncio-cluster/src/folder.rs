//! Settings documents in the files of a folder, an envelope in each.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::document::Document;
use crate::files::{self, FileError};
use crate::keyring::Keyring;
use crate::present::{Opened, UnopenedError};

const EXTENSION: &str = "json";

/// A folder with one file for each document: `smtp.json`.
#[derive(Clone, Debug)]
pub(crate) struct DocumentFolder(PathBuf);

/// Why a document was not read from its file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the data folder could not be used")]
    File(#[from] FileError),
    #[error("the settings in `{}` cannot be opened", path.display())]
    Unopened { path: PathBuf, source: UnopenedError },
}

impl DocumentFolder {
    /// Makes the folder if it is not there.
    pub(crate) fn open(path: PathBuf) -> Result<Self, FileError> {
        files::create_folder(&path)?;
        Ok(Self(path))
    }

    /// What is kept of a document, and the id of its key; nothing if there is none.
    pub(crate) fn load(
        &self,
        document: Document,
        keys: &Keyring,
    ) -> Result<Option<(Opened, String)>, LoadError> {
        let path = self.path(document);
        let Some(json) = files::read(&path)? else { return Ok(None) };
        let opened = Opened::open(document, &json, keys);
        opened.map(Some).map_err(|source| LoadError::Unopened { path, source })
    }

    /// Keeps an envelope in place of the one before. When it returns Ok it is durable.
    pub(crate) fn keep(&self, document: Document, json: &[u8]) -> Result<(), FileError> {
        files::replace(&self.path(document), json)
    }

    /// The file of any document, also of one that this version does not know.
    pub(crate) fn any(&self) -> Result<Option<PathBuf>, FileError> {
        any(&self.0).map_err(files::failed("list", &self.0))
    }

    fn path(&self, document: Document) -> PathBuf {
        self.0.join(document.name()).with_extension(EXTENSION)
    }
}

fn any(folder: &Path) -> io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new(EXTENSION)) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
