//! The cluster of `cargo xtask cluster`: nodes, etcd and PostgreSQL on hosts of their own, which can be broken.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nuncio_api::client::Credentials;
use nuncio_api::client::tls::{ClientPem, ClientTls};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::caller::Caller;
use crate::process::program;
use crate::real_servers::RealServers;

/// How long starting it, an order, or stopping it may take.
const PATIENCE: Duration = Duration::from_mins(3);
/// What the command says to people.
const SAID: &str = "xtask.log";
/// gRPC of every node.
const PORT: u16 = 7587;

/// A running cluster. It stops when this value is gone.
pub struct LocalCluster {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    settings: BTreeMap<String, String>,
    credentials: Credentials,
    folder: TempDir,
}

impl LocalCluster {
    /// Starts it without a provider, and waits until every node is ready.
    pub async fn start() -> Self {
        let folder = TempDir::with_prefix("nuncio-it-").expect("a folder can be made");
        let said = fs::File::create(folder.path().join(SAID)).expect("a file can be made");
        let mut command = Command::new(RealServers::from_env().get("XTASK"));
        command.arg("cluster").arg("--program").arg(program()).arg("--no-provider");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(said);
        let mut child = command.spawn().expect("xtask starts");
        let orders = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (settings, credentials) = (BTreeMap::new(), Credentials::default());
        let mut cluster = Self { child, orders, answers, settings, credentials, folder };
        let file = cluster.answer("start").await.pop().expect("it says where it is");
        let lines = fs::read_to_string(file).expect("it was written");
        let pairs = lines.lines().filter_map(|line| line.split_once('='));
        cluster.settings = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        cluster.credentials = cluster.administrator();
        cluster
    }

    /// Has something done to the cluster, and returns what was said to it; `help` lists the orders. Panics where it fails.
    pub async fn order(&mut self, order: &str) -> Vec<String> {
        let line = format!("{order}\n");
        self.orders.write_all(line.as_bytes()).await.expect("it hears");
        self.answer(order).await
    }

    /// Where a host such as `psn-1` is.
    pub fn address(&self, host: &str) -> &str {
        &self.settings[&host.to_uppercase().replace('-', "_")]
    }

    /// The administrator, who asks this node; each call waits `deadline` at most until its answer begins.
    pub fn caller(&self, host: &str, deadline: Duration) -> Caller {
        let server = format!("https://{}:{PORT}", self.address(host));
        Caller::connect_lazily(&server, deadline, &self.credentials)
    }

    /// What a host has logged.
    pub fn log(&self, host: &str) -> String {
        let path = PathBuf::from(&self.settings["FOLDER"]).join(format!("log/{host}.out.log"));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Stops all of it; panics where something had to be killed or goes on.
    pub async fn stop(mut self) {
        drop(self.orders);
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends");
        let said = fs::read_to_string(self.folder.path().join(SAID)).unwrap_or_default();
        assert!(status.expect("it is our process").success(), "{said}");
    }

    async fn answer(&mut self, order: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = timeout(PATIENCE, self.answers.next_line()).await;
            let line = line.unwrap_or_else(|_elapsed| panic!("`{order}` does not end"));
            let Some(line) = line.expect("it can be read") else {
                let said = fs::read_to_string(self.folder.path().join(SAID)).unwrap_or_default();
                panic!("`{order}`: the cluster has ended: {said}");
            };
            match line.strip_prefix("ok") {
                Some("") => return lines,
                Some(more) => return vec![more.trim().to_owned()],
                None if line.starts_with("failed: ") => panic!("`{order}` {line}"),
                None => lines.push(line),
            }
        }
    }

    fn administrator(&self) -> Credentials {
        let read = |key: &str| {
            let path = &self.settings[key];
            fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let (authorities, certificate, key) =
            (read("CA_FILE"), read("ADMIN_CERT_FILE"), read("ADMIN_KEY_FILE"));
        let identity = Some((certificate.as_bytes(), key.as_bytes()));
        let pem = ClientPem { authorities: Some(&authorities), identity };
        Credentials { tls: Some(ClientTls::from_pem(pem).expect("they are good")), token: None }
    }
}
