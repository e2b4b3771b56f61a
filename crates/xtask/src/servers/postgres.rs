//! PostgreSQL, for the store that several nodes share: its tests, and its measurement.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::read;
use crate::environment::User;
use crate::failure::{Context, Failure, Result};
use crate::install::postgres_folder;

/// Its users may be many: each test has stores of its own, with some connections each.
const CONNECTIONS_MAX: &str = "max_connections=300";

/// Who may do everything in a private PostgreSQL, and where it listens.
pub(crate) struct Account<'a> {
    pub(crate) address: &'a str,
    pub(crate) port: &'a str,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
}

/// A database cluster on disk, and what serves it.
pub(crate) struct Server {
    /// What serves it in the foreground.
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Who runs it: that of Debian's package, because it does not run as root.
    pub(crate) user: User,
}

impl Server {
    /// Makes an empty database cluster in `folder`, which belongs to the user `postgres`.
    ///
    /// All else is as by default, and so is `fsync`: what a test has seen committed is on disk.
    pub(crate) fn initialize(folder: &Path, account: &Account<'_>) -> Result<Self> {
        let programs = postgres_folder().ok_or_else(|| {
            Failure::new("PostgreSQL is installed, but its programs are not found")
        })?;
        let user = User::named("postgres")?;
        let data = folder.join("data");
        let password = folder.join("password");
        fs::write(&password, account.password)
            .and_then(|()| fs::set_permissions(&password, fs::Permissions::from_mode(0o600)))
            .and_then(|()| chown(&password, Some(user.uid), Some(user.gid)))
            .context(format_args!("cannot write {}", password.display()))?;
        let mut initdb = Command::new(programs.join("initdb"));
        initdb.uid(user.uid).gid(user.gid).current_dir(folder).env("LC_ALL", "C.UTF-8");
        initdb.arg("-D").arg(&data).args(["-U", account.user, "-E", "UTF8"]);
        initdb.args(["--locale=C.UTF-8", "-A", "scram-sha-256", "--pwfile"]).arg(&password);
        read(&mut initdb)?;
        let mut args: Vec<OsString> = vec!["-D".into(), data.into(), "-k".into(), folder.into()];
        args.extend(
            ["-h", account.address, "-p", account.port, "-c", CONNECTIONS_MAX].map(Into::into),
        );
        Ok(Self { program: programs.join("postgres"), args, user })
    }

    /// Serves it on this machine.
    pub(crate) fn command(&self) -> Command {
        let mut server = Command::new(&self.program);
        server.uid(self.user.uid).gid(self.user.gid).current_dir("/").env("LC_ALL", "C.UTF-8");
        server.args(&self.args);
        server
    }
}
