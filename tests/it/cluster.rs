//! Nodes that share their settings in etcd and their jobs in PostgreSQL.

use std::path::Path;
use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState};
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails::raw;
use nuncio_tests::process::ServeProcess;
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Between two looks at a node.
const PAUSE: Duration = Duration::from_millis(20);
/// An address at which nobody listens.
const NOWHERE: &str = "https://localhost:1";

/// A cluster of its own on the shared servers.
pub(crate) struct Cluster {
    servers: RealServers,
    store: String,
    prefix: String,
    /// Of the keys and of each node.
    folders: TempDir,
}

impl Cluster {
    pub(crate) async fn new(name: &str) -> Self {
        let servers = RealServers::from_env();
        let store = nuncio_tests::postgres::new_store(servers.get("POSTGRES_URL"), name).await;
        let prefix = format!("/nuncio/{name}-{}/", std::process::id());
        let folders = TempDir::with_prefix("nuncio-it-").expect("a folder can be made");
        Self { servers, store, prefix, folders }
    }

    /// Starts a node, as the user of etcd that its role has.
    async fn start(&self, role: &str, etcd: &str) -> ServeProcess {
        self.start_with(role, etcd, &[]).await
    }

    /// The same with more options.
    pub(crate) async fn start_with(&self, role: &str, etcd: &str, more: &[&str]) -> ServeProcess {
        let file = |name: &str| {
            self.servers.get(&format!("ETCD_{}_{name}_FILE", role.to_uppercase())).to_owned()
        };
        let keys = self.path("settings.key").display().to_string();
        let (ca, cert, key) =
            (self.servers.ca_file().display().to_string(), file("CERT"), file("KEY"));
        let mut args = vec![
            "--roles",
            role,
            "--node-name",
            role,
            "--store-url",
            &self.store,
            "--etcd-endpoints",
            etcd,
            "--etcd-prefix",
            &self.prefix,
            "--etcd-ca-file",
            &ca,
            "--etcd-cert-file",
            &cert,
            "--etcd-key-file",
            &key,
        ];
        args.extend(more);
        if !more.contains(&"--keys-file") {
            args.extend(["--keys-file", &keys]);
        }
        ServeProcess::start(&self.path(role), &args).await
    }

    pub(crate) fn etcd(&self) -> &str {
        self.servers.get("ETCD_ENDPOINT")
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        Path::join(self.folders.path(), name)
    }
}

async fn wait_for_generation(node: &ServeProcess, generation: i64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = node.node().await.settings_generation;
        if seen == generation {
            return;
        }
        assert!(Instant::now() < deadline, "generation {seen} in place of {generation}");
        sleep(PAUSE).await;
    }
}

async fn send(node: &ServeProcess) -> v1::MailJob {
    let job = node.submit(raw(MailClass::Credentials, "hello", &["guest@example.com"])).await;
    node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_saved_on_the_pan_are_those_by_which_the_psn_sends() {
    let cluster = Cluster::new("shared_settings").await;
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    let pan = cluster.start("pan", cluster.etcd()).await;
    let psn = cluster.start("psn", cluster.etcd()).await;

    pan.save_tested(settings_for(&simulator)).await;
    wait_for_generation(&psn, 1).await;
    pan.stop().await;

    assert_eq!(psn.node().await.settings_trouble, "");
    let sent = send(&psn).await;
    assert_eq!(
        simulator.delivered(sent.message_id.trim_matches(['<', '>']), "guest@example.com"),
        1
    );
    assert_eq!(psn.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_and_sends_while_etcd_is_away() {
    let cluster = Cluster::new("etcd_away").await;
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    let pan = cluster.start("pan", cluster.etcd()).await;
    pan.save_tested(settings_for(&simulator)).await;
    let psn = cluster.start("psn", cluster.etcd()).await;
    wait_for_generation(&psn, 1).await;
    pan.stop().await;
    psn.stop().await;

    let psn = cluster.start("psn", NOWHERE).await;

    send(&psn).await;
    let trouble = psn.node().await.settings_trouble;
    assert!(trouble.contains("etcd"), "{trouble}");
    let ended = psn.stop().await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("begins with the last good ones"), "{}", ended.stderr);
}
