//! A private PostgreSQL for the node, on the same disk as all else. All its settings are the default ones.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::command::{read, works};
use crate::environment::User;
use crate::failure::{Context, Failure, Result};
use crate::output::Stopwatch;
use crate::servers::ports;
use crate::servers::postgres::{Account, Server};
use crate::servers::process::{Process, Signal};

const USER: &str = "nuncio";
/// Nothing but measured mails is behind it, and nobody but this machine reaches it.
const PASSWORD: &str = "measured";
const START_DEADLINE: Duration = Duration::from_secs(20);
const STOP_DEADLINE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// A PostgreSQL that runs until this value is dropped.
pub(super) struct Postgres {
    process: Process,
    port: String,
    databases: u32,
}

impl Postgres {
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let port = ports::free(1, std::process::id().wrapping_mul(11))?[0].to_string();
        let User { uid, gid } = User::named("postgres")?;
        fs::create_dir(folder)
            .and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o755)))
            .and_then(|()| chown(folder, Some(uid), Some(gid)))
            .context(format_args!("cannot create {}", folder.display()))?;
        let server = Server::initialize(folder, &account(&port))?;
        let process = Process::start("postgres", &mut server.command(), folder)?;
        let mut postgres = Self { process, port, databases: 0 };
        let watch = Stopwatch::start();
        while !works(&mut postgres.statement("SELECT 1")?) {
            if let Some(status) = postgres.process.ended()? {
                return Err(Failure::new(format!("PostgreSQL ended with {status}")));
            }
            if START_DEADLINE < watch.elapsed() {
                return Err(Failure::new("PostgreSQL does not answer"));
            }
            std::thread::park_timeout(LOOK);
        }
        Ok(postgres)
    }

    /// Lets `work` have the URL of an empty database, and removes it afterwards.
    pub(super) fn with_database<T>(&mut self, work: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        self.databases += 1;
        let name = format!("bench{}", self.databases);
        read(&mut self.statement(&format!("CREATE DATABASE {name}"))?)?;
        let port = &self.port;
        let done = work(&format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{name}"));
        read(&mut self.statement(&format!("DROP DATABASE {name} WITH (FORCE)"))?)?;
        // What it leaves behind is not to be written while something else is measured.
        read(&mut self.statement("CHECKPOINT")?)?;
        done
    }

    fn statement(&self, sql: &str) -> Result<Command> {
        account(&self.port).statement(sql)
    }
}

fn account(port: &str) -> Account<'_> {
    Account { address: "127.0.0.1", port, user: USER, password: PASSWORD }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.process.signal(Signal::Terminate);
        self.process.ends_within(STOP_DEADLINE).ok();
        self.process.signal(Signal::Kill);
    }
}
