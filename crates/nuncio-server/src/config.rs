//! The configuration of a node: read once, checked once, then a plain value.
//!
//! Each setting has one name in all places: `grpc.listen` in the file, `NUNCIO_GRPC_LISTEN` in the environment,
//! `--grpc-listen` as a flag. A flag wins over the environment, that over the file, that over the default.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

mod check;
mod etcd;
mod grpc;
mod sources;

pub mod advertise;
pub mod args;
pub mod problem;

use nuncio_cluster::etcd::EtcdConfig;
use nuncio_store::postgres::PostgresUrl;

use crate::config::advertise::Advertised;
use crate::config::args::ServeArgs;
use crate::config::problem::{ConfigError, Problems};
use crate::config::sources::Sources;

/// Where gRPC is served, where nothing else is said: on this machine only.
pub const GRPC_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7587);
/// Where health and metrics are served, where nothing else is said.
pub const HTTP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7588);
/// The folder of jobs, settings and keys, where nothing else is said.
pub const DATA_DIR: &str = "./nuncio-data";
/// What the keys of a cluster begin with in etcd, where nothing else is said.
pub const ETCD_PREFIX: &str = "/nuncio/";
/// The name of a node on a machine without a host name.
pub const NODE_NAME: &str = "nuncio";
/// What is logged, where nothing else is said.
pub const LOG_FILTER: &str = "info";
/// How long ended jobs are kept, where nothing else is said, in days.
pub const RETENTION_DAYS: u16 = 30;
/// The longest that ended jobs may be kept, in days: ten years.
pub const RETENTION_DAYS_MAX: u16 = 3650;
/// How long a stopping node may finish what it began, where nothing else is said, in seconds. It is less than the 30 s
/// after which Kubernetes kills (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>).
pub const DRAIN_TIMEOUT_S: u16 = 20;
/// The longest that a stopping node may take, in seconds.
pub const DRAIN_TIMEOUT_S_MAX: u16 = 600;

/// How long the jobs of a dead node wait for another one, where nothing else is said, in seconds.
pub const LEASE_S: u16 = 60;
/// The longest that they may wait, in seconds.
pub const LEASE_S_MAX: u16 = 3600;

/// What a node needs to know. Every value of this type is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who this node is to people: in lists of nodes, logs and traces.
    pub node_name: NodeName,
    /// The folder of jobs, settings and keys.
    pub data_dir: PathBuf,
    /// The database that this node shares with others; none means a file in the data folder.
    pub store_url: Option<PostgresUrl>,
    /// The etcd that holds the settings of the cluster; none means a folder in the data folder.
    pub etcd: Option<EtcdConfig>,
    /// The keys of settings and mails; none means a file in the data folder.
    pub keys_file: Option<PathBuf>,
    /// At least one.
    pub roles: BTreeSet<Role>,
    /// Where gRPC is served. Port 0 means any free one.
    pub grpc_listen: SocketAddr,
    /// The certificate behind which gRPC is served; none means in the clear.
    pub grpc_tls: Option<GrpcTls>,
    /// Names of clients with a certificate that may do everything.
    pub grpc_administrators: BTreeSet<String>,
    /// Whether gRPC without encryption may leave this machine.
    pub grpc_insecure: bool,
    /// Where the other nodes reach it.
    pub grpc_advertise: Advertised,
    /// Where health and metrics are served. Port 0 means any free one.
    pub http_listen: SocketAddr,
    /// Where the page behind approval links is served; none means not at all. Port 0 means any free one.
    pub portal_listen: Option<SocketAddr>,
    /// What approval links begin with; none means the address of the page.
    pub portal_public_url: Option<PublicUrl>,
    pub log: LogConfig,
    /// Where traces are sent by OTLP over gRPC.
    pub otlp_endpoint: Option<OtlpEndpoint>,
    /// How long ended jobs are kept.
    pub retention: Duration,
    /// How long the node may finish what it began after it was told to stop.
    pub drain_timeout: Duration,
    /// How long the jobs of a dead node wait for another one.
    pub lease: Duration,
    /// Where the MnT is; none means this node, if it has that role.
    pub mnt: Option<PeerUrl>,
}

/// A part of the product that a node plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Settings and their administration.
    Pan,
    /// Alarms and who is told of them.
    Mnt,
    /// Takes mail jobs and sends them.
    Psn,
}

/// The files of TLS, all in PEM. They are looked at again while the node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcTls {
    /// The certificate of this node, then those above it.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Who signs the certificates of clients and of other nodes; none means that clients show none.
    pub client_ca: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    pub format: LogFormat,
    pub filter: LogFilter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Human,
    /// A JSON object on a line, for programs.
    Json,
}

/// Which log messages are written, as `EnvFilter` of `tracing-subscriber` reads it: `info,nuncio_smtp=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// The name of a node: 1 to 253 letters, digits, `-`, `_` and `.`, as host names are (RFC 1035).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName(String);

/// The URL of an OTLP collector, with the scheme `http` or `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint(String);

/// The gRPC address of another node, with the scheme `http` or `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerUrl(String);

/// What links to this node's page begin with: `https://guests.example.com`, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

/// Texts by name, such as the environment of the process.
pub trait Strings {
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct ProcessEnvironment;

impl Config {
    /// Puts the configuration together from its sources, or tells everything that is wrong with any of them.
    pub fn load(args: &ServeArgs, env: &impl Strings) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let sources = Sources::read(args, env, &mut problems);
        let config = check::check(&sources, env, &mut problems);
        problems.none_or(config)
    }
}

impl PublicUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Pan, Self::Mnt, Self::Psn];

    /// The name that people write: `pan`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pan => "pan",
            Self::Mnt => "mnt",
            Self::Psn => "psn",
        }
    }
}

impl LogFilter {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl NodeName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl OtlpEndpoint {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PeerUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Strings for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        // A value that is no Unicode shows its replacement characters in the problem about it.
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

impl<S: std::hash::BuildHasher> Strings for std::collections::HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<String> {
        std::collections::HashMap::get(self, name).cloned()
    }
}

#[cfg(test)]
mod tests;
