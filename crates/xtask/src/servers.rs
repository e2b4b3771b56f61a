//! Real servers for the tests: oidc-provider, Postfix with Dovecot, smtp-server, PostgreSQL, etcd, and proxies.
//!
//! They run privately, on free ports of the loopback address and in a temporary folder, so any number of runs can work
//! side by side and nothing of the machine is used or changed. What they are is in `tests/real-servers`.
//!
//! A second process, the keeper, starts and stops them. It is out of reach of the terminal's Ctrl-C and stops the servers
//! when its standard input ends, which also happens when whoever started it is killed.

mod certificates;
pub(crate) mod etcd;
mod folder;
mod keeper;
mod leftovers;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod settings;

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::command::{command, run};
use crate::environment::{is_root, is_set, root};
use crate::failure::{Context, Failure, Result};
use crate::install::{Need, install_npm, install_promtool, install_python, install_system};
use crate::output;

/// The hidden command of the second process.
pub(crate) const KEEPER_COMMAND: &str = "keep-servers";

/// The line by which the keeper tells where the settings of the running servers are.
const READY: &str = "ready ";

/// Servers that run until this value is stopped or its process ends.
pub(crate) struct Servers {
    keeper: Child,
    env_file: PathBuf,
}

impl Servers {
    /// Installs what is missing, starts the servers and waits until each of them answers.
    pub(crate) fn start() -> Result<Self> {
        install_system(&[
            Need::OpenSsl,
            Need::Postfix,
            Need::Dovecot,
            Need::Postgres,
            Need::Etcd,
            Need::Tinyproxy,
            Need::Microsocks,
        ])?;
        let npm = install_npm()?;
        let python = install_python()?;
        // No server, but tests that need the servers need it too.
        install_promtool()?;
        let keep_folder = if is_set("KEEP") { "keep" } else { "remove" };
        let mut keeper = keeper_command("Postfix has to be started as root")?
            .arg(KEEPER_COMMAND)
            .args([&npm.node, &npm.modules(), &python])
            .arg(keep_folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the keeper of the servers")?;
        let stdout = keeper.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .context("cannot hear the keeper of the servers")?;
        let Some(env_file) = line.trim_end().strip_prefix(READY) else {
            keeper.wait().context("cannot wait for the keeper of the servers")?;
            return Err(Failure::new("the real servers did not start"));
        };
        Ok(Self { env_file: PathBuf::from(env_file), keeper })
    }

    /// Names ports, users, secrets and folders, one `KEY=VALUE` a line.
    pub(crate) fn env_file(&self) -> &Path {
        &self.env_file
    }

    /// Waits until the servers end by themselves, which is a failure; mostly a signal ends this process before.
    fn wait(mut self) -> Result<()> {
        // `Child::wait` would close standard input, and so stop the servers.
        let open = self.keeper.stdin.take();
        let status = self.keeper.wait().context("cannot wait for the keeper of the servers")?;
        drop(open);
        Err(Failure::new(format!("the keeper of the servers ended with {status}")))
    }

    /// Stops the servers and fails if something of the run is left.
    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.keeper.stdin.take());
        let status = self.keeper.wait().context("cannot wait for the keeper of the servers")?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new("the real servers were not stopped cleanly"))
    }
}

/// Lets the servers run until the terminal interrupts this process, and prints what is where.
pub(crate) fn run_until_interrupted() -> Result<()> {
    let servers = output::step("start the real servers", Servers::start)?;
    let env_file = servers.env_file();
    let settings = std::fs::read_to_string(env_file)
        .context(format_args!("cannot read {}", env_file.display()))?;
    output::say(&format!(
        "\n{settings}\nThese lines are in {}; for tests by hand:",
        env_file.display()
    ));
    output::say(&format!(
        "    {}={} cargo test",
        crate::testing::SERVERS_VARIABLE,
        env_file.display()
    ));
    output::say("Ctrl-C stops the servers and removes them.");
    servers.wait()
}

/// Tries the servers with nothing of ours, so that a failing test can be blamed on the right side.
pub(crate) fn check() -> Result<()> {
    let servers = output::step("start the real servers", Servers::start)?;
    let probed = output::step("probe them with nothing of ours", || {
        run(command(&root(), &["python3", "tests/real-servers/probe.py"]).arg(servers.env_file()))
    });
    let stopped = output::step("stop the real servers", || servers.stop());
    probed.and(stopped)
}

/// The second process: see [`keeper::keep`].
pub(crate) fn keep(args: &[String]) -> Result<()> {
    keeper::keep(args)
}

/// This program once more, as root, for the reason `why`.
pub(crate) fn keeper_command(why: &str) -> Result<Command> {
    let own = std::env::current_exe().context("cannot find the program of this process")?;
    if is_root() {
        return Ok(Command::new(own));
    }
    output::say(&format!("    {why}, by sudo"));
    run(&mut command(&root(), &["sudo", "-v"]))?;
    let mut sudo = Command::new("sudo");
    sudo.arg(own);
    Ok(sudo)
}
