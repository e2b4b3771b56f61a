//! PostgreSQL, for the store that several nodes share: its tests, and its measurement.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::command::read;
use crate::environment::User;
use crate::failure::{Context, Failure, Result};
use crate::install::postgres_folder;

/// Its users may be many: each test has stores of its own, with some connections each.
const CONNECTIONS_MAX: &str = "max_connections=300";

/// Who may do everything in a private PostgreSQL, and at which port of the loopback address.
pub(crate) struct Account<'a> {
    pub(crate) port: &'a str,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
}

/// Makes an empty database cluster in `folder`, which belongs to the user `postgres`, and gives the command that serves it in the foreground.
///
/// It runs as the user of Debian's package, because it does not run as root. All else is as by default, and so is
/// `fsync`: what a test has seen committed is on disk.
pub(crate) fn server(folder: &Path, account: &Account<'_>) -> Result<Command> {
    let programs = postgres_folder()
        .ok_or_else(|| Failure::new("PostgreSQL is installed, but its programs are not found"))?;
    let user = User::named("postgres")?;
    let data = folder.join("data");
    let password = folder.join("password");
    fs::write(&password, account.password)
        .and_then(|()| fs::set_permissions(&password, fs::Permissions::from_mode(0o600)))
        .and_then(|()| chown(&password, Some(user.uid), Some(user.gid)))
        .context(format_args!("cannot write {}", password.display()))?;
    let as_user = |program: &str| {
        let mut command = Command::new(programs.join(program));
        command.uid(user.uid).gid(user.gid).current_dir(folder).env("LC_ALL", "C.UTF-8");
        command
    };
    let mut initdb = as_user("initdb");
    initdb.arg("-D").arg(&data).args(["-U", account.user, "-E", "UTF8"]);
    initdb.args(["--locale=C.UTF-8", "-A", "scram-sha-256", "--pwfile"]).arg(&password);
    read(&mut initdb)?;
    let mut server = as_user("postgres");
    server.arg("-D").arg(&data).arg("-k").arg(folder);
    server.args(["-h", "127.0.0.1", "-p", account.port, "-c", CONNECTIONS_MAX]);
    Ok(server)
}
