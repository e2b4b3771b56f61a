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
const DATA: &str = "data";

/// Who may do everything in a private PostgreSQL, and where it listens.
#[derive(Clone, Copy)]
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

impl Account<'_> {
    /// Has a statement carried out; it prints values alone.
    pub(crate) fn statement(&self, sql: &str) -> Result<Command> {
        let mut psql = self.client("psql")?;
        psql.args(["-d", "postgres", "-X", "-q", "-A", "-t", "-c", sql]);
        Ok(psql)
    }

    /// A program of PostgreSQL that asks the server.
    fn client(&self, program: &str) -> Result<Command> {
        let mut client = Command::new(programs()?.join(program));
        client.env("PGPASSWORD", self.password);
        client.args(["-h", self.address, "-p", self.port, "-U", self.user]);
        Ok(client)
    }
}

impl Server {
    /// Makes an empty database cluster in `folder`, which belongs to the user `postgres`.
    ///
    /// All else is as by default, and so is `fsync`: what a test has seen committed is on disk.
    pub(crate) fn initialize(folder: &Path, account: &Account<'_>) -> Result<Self> {
        let server = Self::in_folder(folder, account)?;
        let password = folder.join("password");
        fs::write(&password, account.password)
            .and_then(|()| fs::set_permissions(&password, fs::Permissions::from_mode(0o600)))
            .and_then(|()| chown(&password, Some(server.user.uid), Some(server.user.gid)))
            .context(format_args!("cannot write {}", password.display()))?;
        let mut initdb = Command::new(programs()?.join("initdb"));
        server.runs(&mut initdb);
        initdb.arg("-D").arg(folder.join(DATA)).args(["-U", account.user, "-E", "UTF8"]);
        initdb.args(["--locale=C.UTF-8", "-A", "scram-sha-256", "--pwfile"]).arg(&password);
        read(&mut initdb)?;
        Ok(server)
    }

    /// Makes a standby in `folder`, which belongs to the user `postgres`: a copy of the primary that follows it.
    /// What was there before is gone.
    pub(crate) fn standby(
        folder: &Path,
        account: &Account<'_>,
        primary: &Account<'_>,
    ) -> Result<Self> {
        let server = Self::in_folder(folder, account)?;
        let data = folder.join(DATA);
        if data.exists() {
            fs::remove_dir_all(&data).context(format_args!("cannot remove {}", data.display()))?;
        }
        let mut copy = primary.client("pg_basebackup")?;
        server.runs(&mut copy);
        copy.arg("-D").arg(&data).args(["--write-recovery-conf", "--checkpoint=fast"]);
        read(&mut copy)?;
        Ok(server)
    }

    fn in_folder(folder: &Path, account: &Account<'_>) -> Result<Self> {
        let mut args: Vec<OsString> =
            vec!["-D".into(), folder.join(DATA).into(), "-k".into(), folder.into()];
        args.extend(
            ["-h", account.address, "-p", account.port, "-c", CONNECTIONS_MAX].map(Into::into),
        );
        Ok(Self { program: programs()?.join("postgres"), args, user: User::named("postgres")? })
    }

    /// Serves it on this machine.
    pub(crate) fn command(&self) -> Command {
        let mut server = Command::new(&self.program);
        self.runs(&mut server);
        server.args(&self.args);
        server
    }

    /// Has the user run it, from a folder that everybody may enter.
    fn runs(&self, command: &mut Command) {
        command.uid(self.user.uid).gid(self.user.gid).current_dir("/");
        set_environment(command);
    }
}

/// What a program of PostgreSQL should not take from whoever started this one: messages in their language, and their home,
/// where it looks for certificates and may not enter.
pub(crate) fn set_environment(command: &mut Command) {
    command.env("LC_ALL", "C.UTF-8").env_remove("HOME");
}

fn programs() -> Result<PathBuf> {
    postgres_folder()
        .ok_or_else(|| Failure::new("PostgreSQL is installed, but its programs are not found"))
}
