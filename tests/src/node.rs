//! A node in this process.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use nuncio_server::config::Config;
use nuncio_server::config::args::ServeArgs;
use nuncio_server::node::{Listeners, Node};
use nuncio_server::telemetry::{TelemetryGuard, subscriber};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::dispatcher::{DefaultGuard, set_default};

use crate::caller::{Caller, PATIENCE};
use crate::logs::Logs;

/// Threads of a node: two, so that its parts really run side by side.
const THREADS: usize = 2;

/// The key file of all nodes with a database: 32 bytes of `s`.
const SHARED_KEYS: &[u8] = b"shared c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M=\n";

/// What a node in a test is told; the rest is as it is for everybody.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    pub log_filter: String,
    pub otlp_endpoint: Option<String>,
    pub drain_timeout_s: u16,
    pub roles: String,
    /// Where the MnT is (`peers.mnt`); none means on this node, if it has the role.
    pub mnt: Option<String>,
    /// The database that it shares with other nodes; none means a file in its folder.
    pub store_url: Option<String>,
    /// None means a file in its folder; nodes with a `store_url` have the same keys in it.
    pub keys_file: Option<PathBuf>,
    pub lease_s: u16,
}

/// A running node with a data folder of its own, on ports of its own, in threads of its own (so that its logs
/// are only its own). It is stopped without mercy when it is dropped.
///
/// It can be asked whatever a [`Caller`] asks.
#[derive(Debug)]
pub struct TestNode {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    /// Where the page behind approval links is.
    pub portal: SocketAddr,
    /// What it has logged, all its runs together.
    pub logs: Logs,
    caller: Caller,
    folder: TempDir,
    options: NodeOptions,
    runtime: NodeRuntime,
    run: JoinHandle<Result<(), String>>,
    telemetry: TelemetryGuard,
    shutdown: CancellationToken,
}

/// A node that was stopped; its folder is still there.
#[derive(Debug)]
pub struct StoppedNode {
    pub logs: Logs,
    folder: TempDir,
    options: NodeOptions,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            log_filter: "info,nuncio=debug".to_owned(),
            otlp_endpoint: None,
            drain_timeout_s: 20,
            roles: "pan,mnt,psn".to_owned(),
            mnt: None,
            store_url: None,
            keys_file: None,
            lease_s: 60,
        }
    }
}

impl TestNode {
    /// A new node without settings and jobs.
    pub async fn start() -> Self {
        Self::start_with(NodeOptions::default()).await
    }

    pub async fn start_with(options: NodeOptions) -> Self {
        let folder = TempDir::with_prefix("nuncio-it-").expect("a temporary folder can be made");
        StoppedNode { logs: Logs::default(), folder, options }.start().await
    }

    /// The folder of jobs, settings and keys.
    pub fn data_dir(&self) -> PathBuf {
        data_dir(&self.folder)
    }

    /// Where the API is: `http://127.0.0.1:…`.
    pub fn server(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Tells the node to stop, and does not wait. `stop` waits.
    pub fn ask_to_stop(&self) {
        self.shutdown.cancel();
    }

    /// Stops the node as SIGTERM does, and waits for its end, which must be a good one.
    pub async fn stop(mut self) -> StoppedNode {
        self.shutdown.cancel();
        let end = timeout(PATIENCE, &mut self.run).await.expect("the node stops in time");
        end.expect("the node does not panic").unwrap_or_else(|error| panic!("{error}"));
        if let Err(error) = self.telemetry.shutdown().await {
            panic!("the last spans are lost: {error}");
        }
        drop(self.runtime);
        StoppedNode { logs: self.logs, folder: self.folder, options: self.options }
    }

    /// Stops the node and starts it again with the same folder.
    pub async fn restart(self) -> Self {
        self.stop().await.start().await
    }
}

impl StoppedNode {
    pub fn data_dir(&self) -> PathBuf {
        data_dir(&self.folder)
    }

    /// The roles that it plays when it is started again.
    #[must_use]
    pub fn with_roles(mut self, roles: &str) -> Self {
        roles.clone_into(&mut self.options.roles);
        self
    }

    /// Starts a node with this folder.
    pub async fn start(self) -> TestNode {
        let Self { logs, folder, options } = self;
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        if options.store_url.is_some() && options.keys_file.is_none() {
            write_shared_keys(&data_dir(&folder));
        }
        let config = config(&data_dir(&folder), &options);
        let writer = logs.clone();
        let (dispatch, telemetry) = subscriber(&config, move || writer.clone())
            .unwrap_or_else(|error| panic!("no telemetry: {error}"));
        let log = telemetry.log.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("node")
            .enable_all()
            .on_thread_start(move || {
                SUBSCRIBER.with_borrow_mut(|held| *held = Some(set_default(&dispatch)));
            })
            .build()
            .expect("a process may start threads");
        let shutdown = CancellationToken::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        let stop = shutdown.clone();
        let run = runtime.spawn(async move {
            let listeners = Listeners::bind(&config).await.map_err(|error| format!("{error:?}"))?;
            let addresses = listeners.addresses().map_err(|error| format!("{error:?}"))?;
            let portal = listeners.portal_address().ok_or("the page is not served")?;
            let node = Node::build(&config, listeners, Some(log)).await;
            let node = node.map_err(|error| format!("{error:?}"))?;
            tell.send((addresses, portal)).map_err(|_| "nobody waits for the node".to_owned())?;
            node.run(stop).await.map_err(|error| format!("{error:?}"))
        });
        let Ok(((grpc, http), portal)) = told.await else {
            panic!("the node did not start: {:?}", run.await)
        };
        let caller = Caller::connect(&format!("http://{grpc}")).await;
        let runtime = NodeRuntime(Some(runtime));
        TestNode {
            grpc,
            http,
            portal,
            logs,
            caller,
            folder,
            options,
            runtime,
            run,
            telemetry,
            shutdown,
        }
    }
}

impl Deref for TestNode {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// The threads of a node. They end in the background, as a test must not wait for them in its own.
#[derive(Debug)]
struct NodeRuntime(Option<Runtime>);

impl Drop for NodeRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

thread_local! {
    /// Keeps the subscriber of a node's thread as long as the thread lives.
    static SUBSCRIBER: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

fn data_dir(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

/// As an operator copies the key file to each node of a database.
fn write_shared_keys(data_dir: &Path) {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

    let folder = data_dir.join("keys");
    let mut folders = std::fs::DirBuilder::new();
    folders.recursive(true).mode(0o700).create(&folder).expect("folders can be made");
    let mut file = std::fs::OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600);
    let mut file = file.open(folder.join("settings.key")).expect("files can be made");
    file.write_all(SHARED_KEYS).expect("the disk has room");
}

fn config(data_dir: &Path, options: &NodeOptions) -> Config {
    let any_port = || Some("127.0.0.1:0".to_owned());
    let args = ServeArgs {
        data_dir: Some(data_dir.display().to_string()),
        store_url: options.store_url.clone().map(Into::into),
        keys_file: options.keys_file.as_ref().map(|path| path.display().to_string()),
        roles: Some(options.roles.clone()),
        peers_mnt: options.mnt.clone(),
        node_name: Some("test-node".to_owned()),
        grpc_listen: any_port(),
        http_listen: any_port(),
        portal_listen: any_port(),
        log_filter: Some(options.log_filter.clone()),
        telemetry_otlp_endpoint: options.otlp_endpoint.clone(),
        delivery_drain_timeout_s: Some(options.drain_timeout_s.to_string()),
        delivery_lease_s: Some(options.lease_s.to_string()),
        ..ServeArgs::default()
    };
    let environment: HashMap<String, String> = HashMap::new();
    Config::load(&args, &environment).unwrap_or_else(|error| panic!("{error}"))
}
