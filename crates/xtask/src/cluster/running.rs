//! The hosts as they run, and what can be done to them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::hosts::{
    GRPC_PORT, HOSTS, HTTP_PORT, Host, Kind, databases, known, members_of_etcd, nodes,
};
use super::network::Network;
use super::order::{HELP, Order};
use super::world::World;
use crate::command::{read, works};
use crate::environment::is_set;
use crate::failure::{Context, Failure, Result};
use crate::output::{self, Stopwatch};
use crate::servers::etcd::User as EtcdUser;
use crate::servers::postgres::{self, Server};
use crate::servers::process::{Process, Signal};

/// Six debug builds start within some seconds on two cores.
const START_DEADLINE: Duration = Duration::from_mins(2);
/// A node drains for twenty seconds at most.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// How long a port may take to answer while it is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The node that makes the keys and the tables.
const FIRST: &str = "pan-1";
/// As OPERATIONS.md gives them.
const ETCD_USERS: &[EtcdUser] = &[
    EtcdUser { name: "nuncio-pan", all: "readwrite", writes: &[] },
    EtcdUser {
        name: "nuncio-mnt",
        all: "read",
        writes: &["settings/alarms", "settings/alarm-routes"],
    },
    EtcdUser { name: "nuncio-psn", all: "read", writes: &["settings/portal-keys"] },
];
/// What the client of the provider simulator proves itself by: everybody knows it.
const SIMULATED_SECRET: &str = "sim~8Q.default-client-secret";
/// Where Debian's `faketime` keeps its library, below the folder of the machine's architecture.
const LIBRARIES: &str = "/usr/lib";
const FAKETIME: &str = "faketime/libfaketimeMT.so.1";

/// A cluster that runs until it is stopped.
pub(super) struct Running {
    pub(super) world: World,
    network: Network,
    databases: BTreeMap<&'static str, Server>,
    /// The server of PostgreSQL that may be written.
    primary: &'static Host,
    processes: BTreeMap<&'static str, Process>,
    paused: Vec<&'static str>,
}

impl Running {
    /// Starts all hosts, the provider only where it is wanted, and waits until all of them answer.
    pub(super) fn start(program: PathBuf, with_provider: bool) -> Result<Self> {
        let network = Network::create()?;
        let world = World::create(program, network.subnet)?;
        let mut running = Self {
            world,
            network,
            databases: BTreeMap::new(),
            primary: known("postgres-1"),
            processes: BTreeMap::new(),
            paused: Vec::new(),
        };
        let started = running.start_all(with_provider);
        if let Err(failure) = started {
            let logs = running.logs();
            running.stop()?;
            return Err(Failure::new(format!("{failure}\n{logs}")));
        }
        Ok(running)
    }

    fn start_all(&mut self, with_provider: bool) -> Result<()> {
        self.world.make_certificates()?;
        self.world.configure()?;
        let server = self.world.make_database(self.primary, None)?;
        self.databases.insert(self.primary.name, server);
        self.start_host(self.primary, 0)?;
        for host in members_of_etcd() {
            self.start_host(host, 0)?;
        }
        self.wait("etcd", |running| {
            works(running.world.etcd().etcdctl().args(["endpoint", "health"]))
        })?;
        self.world.etcd().enable_authentication(&["root", "--no-password"], ETCD_USERS)?;
        self.wait("PostgreSQL", |running| running.answers("SELECT 1", "1"))?;
        let primary = self.primary;
        for host in databases().filter(|host| *host != primary) {
            self.start_host(host, 0)?;
        }
        self.start_host(known(FIRST), 0)?;
        self.wait(FIRST, |running| running.is_ready(known(FIRST)))?;
        for host in nodes().filter(|host| host.name != FIRST) {
            self.start_host(host, 0)?;
        }
        for host in nodes() {
            self.wait(host.name, |running| running.is_ready(host))?;
        }
        if with_provider { self.start_provider() } else { Ok(()) }
    }

    /// The simulator, and the settings for it, tested from all nodes.
    fn start_provider(&mut self) -> Result<()> {
        let provider = known("provider");
        let folder = self.world.host_folder(provider);
        fs::write(folder.join("client-secret"), SIMULATED_SECRET).context("cannot write a file")?;
        self.start_host(provider, 0)?;
        let authority = folder.join("ca.pem");
        self.wait("the provider simulator", |_running| authority.is_file())?;
        let settings = folder.join("smtp.toml").display().to_string();
        let words = ["settings", "smtp", "save", "--test", "--file", &settings];
        read(self.client(known(FIRST)).args(words)).map(drop)
    }

    /// `nuncio` as the administrator, asking a node.
    pub(super) fn client(&self, host: &Host) -> Command {
        let (certificate, key) = self.world.administrator();
        let mut client = Command::new(&self.world.program);
        client.env(
            "NUNCIO_SERVER",
            format!("https://{}:{GRPC_PORT}", self.network.subnet.address(host)),
        );
        client.env("NUNCIO_SERVER_CA_FILE", self.world.authority());
        client.env("NUNCIO_CERT_FILE", certificate);
        client.env("NUNCIO_KEY_FILE", key);
        client
    }

    /// Does what is asked. Returns what there is to say.
    pub(super) fn obey(&mut self, order: Order) -> Result<String> {
        match order {
            Order::Kill(host) => self.end(host, Signal::Kill)?,
            Order::Stop(host) => self.end(host, Signal::Terminate)?,
            Order::Start { host, ahead_s } => self.start_host(host, ahead_s)?,
            Order::Pause(host) => {
                self.process(host)?.signal(Signal::Pause);
                self.paused.push(host.name);
            }
            Order::Resume(host) => {
                self.process(host)?.signal(Signal::Resume);
                self.paused.retain(|name| *name != host.name);
            }
            Order::Cut { host, others } => self.network.cut(host, &others)?,
            Order::Heal => self.network.heal()?,
            Order::Promote(host) => self.promote(host)?,
            Order::Compact => self.world.etcd().compact()?,
            Order::Status => return Ok(self.status()),
            Order::Help => return Ok(format!("{HELP}\n")),
            Order::Quit => {}
        }
        Ok(String::new())
    }

    fn start_host(&mut self, host: &'static Host, ahead_s: i64) -> Result<()> {
        if let Some(process) = self.processes.get_mut(host.name)
            && process.ended()?.is_none()
        {
            return Err(Failure::new(format!("{} runs already", host.name)));
        }
        let is_standby = host.kind == Kind::Postgres && host != self.primary;
        if is_standby {
            let server = self.world.make_database(host, Some(self.primary))?;
            self.databases.insert(host.name, server);
        }
        let mut command = self.command(host, ahead_s)?;
        let process = Process::start(host.name, &mut command, &self.world.folder.join("log"))?;
        self.processes.insert(host.name, process);
        if is_standby { self.wait_for_standby() } else { Ok(()) }
    }

    /// From then on, a commit of the primary is answered when the standby has it as well.
    fn wait_for_standby(&mut self) -> Result<()> {
        let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        self.wait("the standby", |running| running.answers(streaming, "1"))?;
        self.set_synchronous_standbys(Some("*"))
    }

    /// What a manager of failovers does.
    fn promote(&mut self, host: &'static Host) -> Result<()> {
        if self.process(self.primary).is_ok() {
            let primary = self.primary.name;
            return Err(Failure::new(format!(
                "{primary} is the primary, and runs: kill it before"
            )));
        }
        self.world.ask_database(host, "SELECT pg_promote()")?;
        self.primary = host;
        // Nobody follows it yet.
        self.set_synchronous_standbys(None)
    }

    /// Which standbys must have a commit before the primary answers it.
    fn set_synchronous_standbys(&self, standbys: Option<&str>) -> Result<()> {
        let change = match standbys {
            Some(names) => format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"),
            None => "ALTER SYSTEM RESET synchronous_standby_names".to_owned(),
        };
        for sql in [&change, "SELECT pg_reload_conf()"] {
            self.world.ask_database(self.primary, sql)?;
        }
        Ok(())
    }

    fn command(&self, host: &Host, ahead_s: i64) -> Result<Command> {
        let folder = self.world.host_folder(host);
        let mut command = match host.kind {
            Kind::Etcd => {
                let mut etcd = self.network.command(host, None, Path::new("etcd"));
                etcd.arg("--config-file").arg(folder.join("etcd.yml"));
                etcd.env("ETCD_UNSUPPORTED_ARCH", "arm64");
                etcd
            }
            Kind::Postgres => {
                let server = self.databases.get(host.name).expect("it is made first");
                let mut command = self.network.command(host, Some(server.user), &server.program);
                postgres::set_environment(command.args(&server.args));
                command
            }
            Kind::Node(_) => {
                let mut node = self.network.command(host, None, &self.world.program);
                node.args(["serve", "--config"]).arg(folder.join("nuncio.toml"));
                node.env("NUNCIO_STORE_URL", self.world.store_url()).env("NO_COLOR", "1");
                node
            }
            Kind::Provider => {
                let mut provider = self.network.command(host, None, &self.world.program);
                provider.args(["sim", "--script"]).arg(folder.join("provider.toml"));
                provider.arg("--pki").arg(&folder);
                provider
            }
        };
        if ahead_s != 0 {
            command.env("LD_PRELOAD", faketime()?).env("FAKETIME", format!("{ahead_s:+}"));
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        Ok(command)
    }

    fn process(&mut self, host: &Host) -> Result<&mut Process> {
        let down = || Failure::new(format!("{} does not run", host.name));
        let process = self.processes.get_mut(host.name).ok_or_else(down)?;
        if process.ended()?.is_some() { Err(down()) } else { Ok(process) }
    }

    /// Sends a signal that ends the process, and waits for its end.
    fn end(&mut self, host: &Host, signal: Signal) -> Result<()> {
        let process = self.process(host)?;
        process.signal(signal);
        if !process.ends_within(STOP_DEADLINE)? {
            return Err(Failure::new(format!("{} does not end", host.name)));
        }
        self.processes.remove(host.name);
        self.paused.retain(|name| *name != host.name);
        Ok(())
    }

    fn status(&mut self) -> String {
        let mut lines = Vec::new();
        for host in HOSTS {
            let state = if self.paused.contains(&host.name) {
                "paused"
            } else if self.process(host).is_ok() {
                "runs"
            } else if host.kind == Kind::Provider {
                "outside"
            } else {
                "down"
            };
            let address = self.network.subnet.address(host);
            let cuts = self.network.cuts(host);
            let cuts = if cuts.is_empty() {
                String::new()
            } else {
                format!("cut off from {}", cuts.join(", "))
            };
            lines.push(format!("{:<10} {address:<16} {state:<8} {cuts}", host.name));
        }
        lines.join("\n") + "\n"
    }

    fn wait(&mut self, what: &str, is_there: impl Fn(&Self) -> bool) -> Result<()> {
        let watch = Stopwatch::start();
        while !is_there(self) {
            for process in self.processes.values_mut() {
                if let Some(status) = process.ended()? {
                    return Err(Failure::new(format!("{} ended with {status}", process.name())));
                }
            }
            if START_DEADLINE < watch.elapsed() {
                return Err(Failure::new(format!("{what} does not come")));
            }
            std::thread::park_timeout(PAUSE);
        }
        Ok(())
    }

    /// Whether the primary answers so.
    fn answers(&self, sql: &str, answer: &str) -> bool {
        self.world.ask_database(self.primary, sql).is_ok_and(|said| said.trim() == answer)
    }

    fn is_ready(&self, host: &Host) -> bool {
        let address = SocketAddr::from((self.network.subnet.address(host), HTTP_PORT));
        let ask = || {
            let mut stream = TcpStream::connect_timeout(&address, LOOK)?;
            stream.set_read_timeout(Some(LOOK))?;
            stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(answer)
        };
        ask().is_ok_and(|answer| answer.split_whitespace().nth(1) == Some("200"))
    }

    /// Stops everything and removes what it has made, but the folder where `KEEP` asks for that.
    pub(super) fn stop(mut self) -> Result<()> {
        // A node ends by writing to the database, and the primary by sending to its standby.
        let mut forced = self.stop_all(|host| host.is_node() || host.kind == Kind::Provider)?;
        let primary = self.primary;
        forced.extend(self.stop_all(|host| *host == *primary)?);
        forced.extend(self.stop_all(|_other| true)?);
        let left = self.network.processes()?;
        drop(self.network);
        if !left.is_empty() {
            return Err(Failure::new(format!("processes of hosts go on: {}", left.join(", "))));
        }
        let folder = &self.world.folder;
        if is_set("KEEP") {
            output::say(&format!("    kept: {}", folder.display()));
        } else {
            fs::remove_dir_all(folder)
                .context(format_args!("cannot remove {}", folder.display()))?;
        }
        if forced.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("had to be killed: {}", forced.join(", "))))
    }

    /// Stops those and names which had to be killed.
    fn stop_all(&mut self, which: impl Fn(&Host) -> bool) -> Result<Vec<&'static str>> {
        let is_one = |name: &str| Host::named(name).is_some_and(&which);
        let stopping: Vec<_> =
            self.processes.extract_if(.., |name, _process| is_one(name)).collect();
        for (_name, process) in &stopping {
            process.signal(Signal::Resume);
            process.signal(Signal::Terminate);
        }
        let watch = Stopwatch::start();
        let mut forced = Vec::new();
        for (name, mut process) in stopping {
            if !process.ends_within(STOP_DEADLINE.saturating_sub(watch.elapsed()))? {
                process.signal(Signal::Kill);
                forced.push(name);
            }
        }
        Ok(forced)
    }

    /// The end of each log.
    fn logs(&self) -> String {
        read(
            Command::new("sh")
                .current_dir(self.world.folder.join("log"))
                .args(["-c", "tail -n 20 *"]),
        )
        .unwrap_or_default()
    }
}

fn faketime() -> Result<PathBuf> {
    let folders = fs::read_dir(LIBRARIES).into_iter().flatten().flatten();
    let mut libraries = folders.map(|folder| folder.path().join(FAKETIME));
    let found = libraries.find(|library| library.is_file());
    found.ok_or_else(|| Failure::new("the library of Debian's `faketime` is not found"))
}
