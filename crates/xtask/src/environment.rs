//! What the commands take from their surroundings.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::command::{command, read};
use crate::failure::{Context, Failure, Result};

/// The root of the repository: the folder of the workspace's manifest.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).expect("xtask lies two folders below the root").to_owned()
}

/// Where the tools are installed that the commands bring along.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}

/// Whether the variable is set to anything but nothing and `0`.
pub(crate) fn is_set(name: &str) -> bool {
    variable(name).is_some_and(|value| !value.is_empty() && value != "0")
}

#[expect(clippy::disallowed_methods, reason = "xtask has no configuration but its environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Whether this process may do everything: the owner of its own entry in `/proc` is user 0.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// A user of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    pub(crate) fn named(name: &str) -> Result<Self> {
        let entry = read(&mut command(Path::new("/"), &["getent", "passwd", name]))?;
        Self::from_passwd(&entry)
            .ok_or_else(|| Failure::new(format!("user `{name}` has no usable entry: {entry}")))
    }

    /// Whoever called `sudo`, or else the user of this process.
    pub(crate) fn caller() -> Result<Self> {
        if let (Some(uid), Some(gid)) = (variable("SUDO_UID"), variable("SUDO_GID")) {
            let uid = uid.parse().context("`SUDO_UID` is no number")?;
            let gid = gid.parse().context("`SUDO_GID` is no number")?;
            return Ok(Self { uid, gid });
        }
        let own = fs::metadata("/proc/self").context("cannot read /proc/self")?;
        Ok(Self { uid: own.uid(), gid: own.gid() })
    }

    fn from_passwd(entry: &str) -> Option<Self> {
        let mut fields = entry.trim().split(':').skip(2);
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { uid, gid })
    }
}
