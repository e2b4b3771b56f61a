//! The process that starts the servers, watches them and stops them.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::postgres::Account;
use super::process::{Process, Signal};
use super::settings::Settings;
use super::{READY, etcd, folder, leftovers, postgres};
use crate::command::read;
use crate::failure::{Context, Failure, Result};
use crate::output::{self, Stopwatch};

/// Another program may take one of the chosen ports before its server does.
const ATTEMPTS_MAX: u32 = 3;
/// All of them answer within four seconds on two cores that have nothing else to do.
const START_DEADLINE: Duration = Duration::from_mins(1);
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks at the same thing.
const PAUSE: Duration = Duration::from_millis(50);
/// How much of a server's log is worth reading after it failed to start.
const LOG_TAIL_LINES: usize = 20;

/// The greeting of an SMTP server begins with it (RFC 5321, section 4.2).
const GREETING: &[u8] = b"220";
const GREETING_PORTS: &[&str] =
    &["SMTP_STARTTLS_PORT", "SMTP_PLAIN_PORT", "SMTP_RELAY_PORT", "NODE_SMTP_PORT"];

/// Starts the servers, says where their settings are, and stops them when standard input ends.
pub(super) fn keep(args: &[String]) -> Result<()> {
    let [node, node_modules, python, after] = args else {
        return Err(Failure::new("the keeper of the servers is started by other commands only"));
    };
    let tools = Tools { node: node.into(), node_modules: node_modules.into(), python };
    let stop = Stop::watch();
    let mut run = start(&tools, &stop)?;
    let mut stdout = std::io::stdout();
    // Where nobody listens any more, standard input has ended as well.
    writeln!(stdout, "{READY}{}", run.base.join(folder::ENV_FILE).display())
        .and_then(|()| stdout.flush())
        .ok();
    let ended = run.watch(&stop);
    let stopped = run.stop(&stop);
    if after == "keep" {
        output::say(&format!("    kept: {}", run.base.display()));
    } else {
        fs::remove_dir_all(&run.base)
            .context(format_args!("cannot remove {}", run.base.display()))?;
    }
    ended.and(stopped)
}

struct Tools<'a> {
    node: PathBuf,
    node_modules: PathBuf,
    python: &'a str,
}

/// Tells when standard input has ended.
struct Stop(Receiver<()>);

impl Stop {
    fn watch() -> Self {
        let (ended, end) = sync_channel(1);
        std::thread::spawn(move || {
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).ok();
            ended.send(()).ok();
        });
        Self(end)
    }

    /// Waits for `time`, or shorter where it is time to stop. Returns whether it is.
    fn within(&self, time: Duration) -> bool {
        self.0.recv_timeout(time) != Err(RecvTimeoutError::Timeout)
    }
}

fn start(tools: &Tools<'_>, stop: &Stop) -> Result<Run> {
    let mut attempt = 1;
    loop {
        match Run::start(tools, stop, attempt) {
            Err(failure) if attempt < ATTEMPTS_MAX && !stop.within(Duration::ZERO) => {
                output::say(&format!("    {failure}; trying again"));
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// The servers of one run.
struct Run {
    base: PathBuf,
    settings: Settings,
    processes: Vec<Process>,
}

impl Run {
    fn start(tools: &Tools<'_>, stop: &Stop, attempt: u32) -> Result<Self> {
        let base = folder::create(attempt)?;
        let settings = Settings::choose(&base, tools.python, folder::mail_user()?)?;
        let mut run = Self { base, settings, processes: Vec::new() };
        let started = run
            .fill_and_launch(tools)
            .and_then(|()| run.wait_until_ready(stop))
            .and_then(|()| etcd::enable_authentication(&run.settings));
        if let Err(failure) = started {
            run.show_logs();
            run.stop(stop)?;
            fs::remove_dir_all(&run.base)
                .context(format_args!("cannot remove {}", run.base.display()))?;
            return Err(failure);
        }
        Ok(run)
    }

    fn fill_and_launch(&mut self, tools: &Tools<'_>) -> Result<()> {
        folder::fill(&self.base, &self.settings, &tools.node_modules)?;
        let logs = self.base.join("log");
        let env_file = self.base.join(folder::ENV_FILE);
        for (name, script) in [("oauth", "node/oauth.mjs"), ("node-smtp", "node/smtp.mjs")] {
            let mut node = Command::new(&tools.node);
            node.arg(self.base.join(script)).arg(&env_file);
            node.env("NODE_EXTRA_CA_CERTS", self.settings.get("CA_FILE"));
            self.processes.push(Process::start(name, &mut node, &logs)?);
        }
        let mut dovecot = Command::new("dovecot");
        dovecot.arg("-F").arg("-c").arg(self.base.join("dovecot/dovecot.conf"));
        self.processes.push(Process::start("dovecot", &mut dovecot, &logs)?);
        let account = Account {
            address: "127.0.0.1",
            port: self.settings.get("POSTGRES_PORT"),
            user: self.settings.get("POSTGRES_USER"),
            password: self.settings.get("POSTGRES_PASSWORD"),
        };
        let postgres = postgres::Server::initialize(&self.base.join("postgres"), &account)?;
        self.processes.push(Process::start("postgres", &mut postgres.command(), &logs)?);
        let mut etcd = etcd::server(&self.base.join("etcd/etcd.yml"));
        self.processes.push(Process::start("etcd", &mut etcd, &logs)?);
        let mut tinyproxy = Command::new("tinyproxy");
        // -d: stay in the foreground.
        tinyproxy.arg("-d").arg("-c").arg(self.base.join("proxy/tinyproxy.conf"));
        self.processes.push(Process::start("tinyproxy", &mut tinyproxy, &logs)?);
        let mut microsocks = Command::new("microsocks");
        microsocks.current_dir(&self.base).args(["-i", "127.0.0.1"]);
        microsocks.args(["-p", self.settings.get("SOCKS_PROXY_PORT")]);
        microsocks.args(["-u", self.settings.get("PROXY_USER")]);
        microsocks.args(["-P", self.settings.get("PROXY_PASSWORD")]);
        self.processes.push(Process::start("microsocks", &mut microsocks, &logs)?);
        let conf = self.base.join("postfix/conf");
        let folder =
            read(Command::new("postconf").arg("-c").arg(&conf).args(["-h", "daemon_directory"]))?;
        let mut postfix = Command::new(Path::new(folder.trim()).join("master"));
        // -d: stay in the foreground.
        postfix.arg("-d").arg("-c").arg(&conf);
        self.processes.push(Process::start("postfix", &mut postfix, &logs)?);
        Ok(())
    }

    fn wait_until_ready(&mut self, stop: &Stop) -> Result<()> {
        let watch = Stopwatch::start();
        loop {
            let Some(name) = self.first_silent() else {
                return Ok(());
            };
            self.all_run()?;
            if watch.elapsed() > START_DEADLINE {
                return Err(Failure::new(format!("{name} does not answer")));
            }
            if stop.within(PAUSE) {
                return Err(Failure::new("interrupted while the servers were starting"));
            }
        }
    }

    /// A port, socket or server that does not answer yet.
    fn first_silent(&self) -> Option<&'static str> {
        let sockets = ["sockets/auth", "sockets/lmtp"].into_iter();
        let sockets = sockets.filter(|name| UnixStream::connect(self.base.join(name)).is_err());
        let ports = self
            .settings
            .ports()
            .filter(|(name, port)| !answers(name, *port))
            .map(|(name, _port)| name);
        let etcd = || (!etcd::is_healthy(&self.settings)).then_some("etcd");
        sockets.chain(ports).next().or_else(etcd)
    }

    fn all_run(&mut self) -> Result<()> {
        for process in &mut self.processes {
            if let Some(status) = process.ended()? {
                return Err(Failure::new(format!("{} ended with {status}", process.name())));
            }
        }
        Ok(())
    }

    /// Returns when it is time to stop, and fails when a server ends before that.
    fn watch(&mut self, stop: &Stop) -> Result<()> {
        while !stop.within(PAUSE) {
            if let Err(failure) = self.all_run() {
                self.show_logs();
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Stops all servers, those that do not want to by force, and fails where something stays behind.
    fn stop(&mut self, stop: &Stop) -> Result<()> {
        for process in &self.processes {
            process.signal(Signal::Terminate);
        }
        let watch = Stopwatch::start();
        while self.all_ended()? == Ended::NotYet && watch.elapsed() < STOP_DEADLINE {
            pause(stop);
        }
        let forced = self.all_ended()? == Ended::NotYet;
        for process in &self.processes {
            process.signal(Signal::Kill);
        }
        self.processes.clear();
        let watch = Stopwatch::start();
        loop {
            let left = leftovers::of_run(&self.base, &self.settings);
            if left.is_empty() {
                break;
            }
            if watch.elapsed() > STOP_DEADLINE {
                return Err(Failure::new(left.join("\n")));
            }
            pause(stop);
        }
        if forced {
            return Err(Failure::new("a server had to be killed"));
        }
        output::say("    all servers are stopped, nothing of them is left");
        Ok(())
    }

    fn all_ended(&mut self) -> Result<Ended> {
        for process in &mut self.processes {
            if process.ended()?.is_none() {
                return Ok(Ended::NotYet);
            }
        }
        Ok(Ended::All)
    }

    fn show_logs(&self) {
        let Ok(entries) = fs::read_dir(self.base.join("log")) else {
            return;
        };
        for entry in entries.flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
            output::say(&format!(
                "--- {}\n{}",
                entry.file_name().to_string_lossy(),
                tail.join("\n")
            ));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    All,
    NotYet,
}

/// Waits a moment although standard input has ended.
fn pause(stop: &Stop) {
    if stop.within(PAUSE) {
        std::thread::park_timeout(PAUSE);
    }
}

/// Whether the port is open and, where an SMTP server speaks first in the clear, greets.
fn answers(name: &str, port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return false;
    };
    if !GREETING_PORTS.contains(&name) {
        return true;
    }
    let mut greeting = [0; GREETING.len()];
    stream.set_read_timeout(Some(START_DEADLINE)).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && greeting == GREETING
}
