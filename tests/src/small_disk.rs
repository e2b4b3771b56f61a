//! A file system that can be filled up: a tmpfs that only one process sees, and that goes with it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio::process::Command;

/// What fills the disk up.
const BALLAST: &str = "ballast";
/// The block of a tmpfs, in bytes: less is not to be had.
const BLOCK: usize = 4096;

/// Mounts a tmpfs of `$1` bytes on `$2`, and becomes the program behind them.
const MOUNT: &str = "mount -t tmpfs -o size=\"$1\" nuncio \"$2\" && shift 2 && exec \"$@\"";

/// What to do where this cannot be had.
pub const NEEDED: &str = "a mount namespace is needed: run the tests as root (in a container with CAP_SYS_ADMIN), or \
                          let users make namespaces (`sysctl kernel.unprivileged_userns_clone=1`, on Ubuntu \
                          `kernel.apparmor_restrict_unprivileged_userns=0`)";

/// The disk of a running process, seen from outside.
#[derive(Debug)]
pub struct SmallDisk {
    root: PathBuf,
}

/// A command that runs `program` with a disk of so many bytes in place of `folder`.
pub fn command(folder: &Path, bytes: u64, program: &Path) -> Command {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !is_root {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", MOUNT, "sh", &bytes.to_string()]).arg(folder).arg(program);
    command
}

impl SmallDisk {
    /// The disk that `command` has given to process `pid` in place of `folder`.
    pub fn of(pid: u32, folder: &Path) -> Self {
        let below = folder.strip_prefix("/").expect("a temporary folder has an absolute path");
        Self { root: Path::new("/proc").join(pid.to_string()).join("root").join(below) }
    }

    /// Takes all the room that is left.
    pub fn fill_up(&self) {
        let mut ballast = File::create(self.root.join(BALLAST)).expect("a file can be made");
        let full = loop {
            if let Err(error) = ballast.write_all(&[0; BLOCK]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
    }

    /// Gives it back.
    pub fn make_room(&self) {
        fs::remove_file(self.root.join(BALLAST)).expect("the ballast is there");
    }
}
