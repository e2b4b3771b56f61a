//! The node that is measured, in a process of its own.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nuncio_api::client::{self, Credentials};
use nuncio_api::v1;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::bench::Failure;

/// How long the node may take to answer, with a million jobs in its store too.
const START_DEADLINE: Duration = Duration::from_mins(1);
const START_PAUSE: Duration = Duration::from_millis(2);
/// How long it may take to stop when it is asked to.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// How much of its log tells why a node ended.
const LOG_TAIL: usize = 2_000;

/// A node of nuncio with a folder that goes away with it.
pub(super) struct Node {
    child: Child,
    started: Instant,
    ready_after: Duration,
    address: String,
    serve: Serve,
    folder: TempDir,
}

/// How it is started, and started again.
struct Serve {
    args: Vec<OsString>,
    store_url: Option<String>,
    log: PathBuf,
}

impl Node {
    /// Starts a node with an empty store and without settings, and waits until it answers.
    pub(super) async fn start(
        log_filter: &str,
        store_url: Option<&String>,
    ) -> Result<Self, Failure> {
        let folder = TempDir::with_prefix("nuncio-bench-").map_err(Failure::Folder)?;
        Self::start_in(folder, log_filter, store_url, &[]).await
    }

    /// The same, `count` times with one store, which is a database then.
    pub(super) async fn start_some(
        count: u32,
        log_filter: &str,
        store_url: Option<&String>,
    ) -> Result<Vec<Self>, Failure> {
        let first = Self::start(log_filter, store_url).await?;
        // Made by the first one; nodes of one database have the same.
        let keys = first.folder().join("data/keys/settings.key").into_os_string();
        let mut nodes = vec![first];
        for number in 2..=count {
            let folder = TempDir::with_prefix("nuncio-bench-").map_err(Failure::Folder)?;
            let name = format!("bench-{number}").into();
            let more = ["--keys-file".into(), keys.clone(), "--node-name".into(), name];
            nodes.push(Self::start_in(folder, log_filter, store_url, &more).await?);
        }
        Ok(nodes)
    }

    async fn start_in(
        folder: TempDir,
        log_filter: &str,
        store_url: Option<&String>,
        more: &[OsString],
    ) -> Result<Self, Failure> {
        let (grpc, http) = free_ports().map_err(Failure::Spawn)?;
        let data = folder.path().join("data").into_os_string();
        let words = ["serve", "--log-filter", log_filter, "--grpc-listen", &grpc];
        let mut args: Vec<_> = words.map(OsString::from).to_vec();
        args.extend(["--http-listen".into(), http.into(), "--data-dir".into(), data]);
        args.extend_from_slice(more);
        let log = folder.path().join("node.log");
        let serve = Serve { args, store_url: store_url.cloned(), log };
        let started = Instant::now();
        let child = serve.spawn()?;
        let address = format!("http://{grpc}");
        let mut node = Self { child, started, ready_after: Duration::ZERO, address, serve, folder };
        node.until_ready().await?;
        Ok(node)
    }

    /// Asks the node to stop, waits for that, and starts it once more. It need not answer yet.
    pub(super) async fn restart(&mut self) -> Result<(), Failure> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().map_err(Failure::Spawn)?;
        let asked = Instant::now();
        while self.child.try_wait().map_err(Failure::Spawn)?.is_none() {
            if STOP_DEADLINE < asked.elapsed() {
                return Err(Failure::DoesNotStop);
            }
            tokio::time::sleep(START_PAUSE).await;
        }
        self.started = Instant::now();
        self.child = self.serve.spawn()?;
        Ok(())
    }

    /// Waits until the node answers a call.
    pub(super) async fn until_ready(&mut self) -> Result<(), Failure> {
        loop {
            let failure =
                match client::connect(&self.address, START_DEADLINE, &Credentials::default()).await
                {
                    // Its port is open before it serves; the answer is the proof.
                    Ok(mut clients) => {
                        match clients.nodes.list_nodes(v1::ListNodesRequest::default()).await {
                            Ok(_nodes) => {
                                self.ready_after = self.started.elapsed();
                                return Ok(());
                            }
                            Err(status) => status.into(),
                        }
                    }
                    Err(failure) => failure.into(),
                };
            if let Some(status) = self.child.try_wait().map_err(Failure::Spawn)? {
                return Err(Failure::NodeEnded { status, log: tail(&self.serve.log) });
            }
            if START_DEADLINE < self.started.elapsed() {
                return Err(failure);
            }
            tokio::time::sleep(START_PAUSE).await;
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// When its process was started last.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// From the start of its process to its first answer.
    pub(super) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The folder that holds everything of it.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Serve {
    fn spawn(&self) -> Result<Child, Failure> {
        let log = File::options().create(true).append(true).open(&self.log);
        let mut command = Command::new(std::env::current_exe().map_err(Failure::Spawn)?);
        // The figures are not to depend on who asks for them.
        command.args(&self.args).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(url) = &self.store_url {
            // Not as a flag, which everybody sees: it may hold a password.
            command.env("NUNCIO_STORE_URL", url);
        }
        command.stderr(log.map_err(Failure::Folder)?).spawn().map_err(Failure::Spawn)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Nothing in its folder is of worth, so it need not stop in order; and it may have ended by itself.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

/// Two addresses that were free a moment ago.
fn free_ports() -> std::io::Result<(String, String)> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (first, second) = (bind()?, bind()?);
    Ok((first.local_addr()?.to_string(), second.local_addr()?.to_string()))
}

fn tail(path: &Path) -> String {
    let log = std::fs::read_to_string(path).unwrap_or_default();
    let start = log.len().saturating_sub(LOG_TAIL);
    let start = (start..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(log.len());
    log[start..].trim().to_owned()
}
