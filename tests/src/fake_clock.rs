//! The wall clock of one process, set while it runs: libfaketime between the program and the C library.
//!
//! Only the time of the day is another one. What measures spans (the monotonic clock) goes on as it does on a machine
//! whose clock an administrator sets.

use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian's `faketime` keeps its library, below the folder of the machine's architecture.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
/// The file that says what the clock shows.
const FILE: &str = "clock";

/// A clock that shows another time than that of the machine.
#[derive(Debug)]
pub struct FakeClock {
    file: PathBuf,
}

impl FakeClock {
    /// Shows the right time at first. `folder` is where it keeps its file.
    pub fn new(folder: &Path) -> Self {
        let clock = Self { file: folder.join(FILE) };
        clock.set_ahead(0);
        clock
    }

    /// From now on it is ahead of the machine by so many seconds.
    pub fn set_ahead(&self, seconds: i64) {
        // Whoever reads the file sees it whole.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).expect("a file can be written");
        fs::rename(new, &self.file).expect("a file can be renamed");
    }

    /// What a process is told that is to live by this clock.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

fn library() -> PathBuf {
    let folders = fs::read_dir(LIBRARIES).into_iter().flatten().flatten();
    let mut libraries = folders.map(|folder| folder.path().join(LIBRARY));
    let found = libraries.find(|library| library.is_file());
    found.expect("`cargo xtask test` has installed faketime")
}
