//! `nuncio bench`: loads a node over gRPC and tells how fast it accepts and sends.

use std::time::Duration;

use clap::{Args, ValueEnum};
use nuncio_api::client;
use nuncio_api::v1;
use nuncio_cli::exit::Exit;
use nuncio_cli::globals::Globals;
use nuncio_cli::output::Output;
use nuncio_runtime::chain::Chain;

use crate::bench::measure::Measurement;

mod measure;

mod idle;
mod queue;
mod raw;
mod single;

mod load;
mod node;
mod sink;
mod tracker;

mod disk;
mod figures;
mod process;
mod progress;
mod report;

/// How many jobs are handed in if neither their number nor a time is given.
const JOBS: u64 = 5_000;
/// No mail for so long means that none will come.
const STALLED: Duration = Duration::from_mins(1);

/// Options of `nuncio bench`.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// What is measured
    #[arg(long, value_enum, default_value_t = Mode::EndToEnd)]
    mode: Mode,
    /// How many mail jobs are handed in [default: 5000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,
    /// Hand in as many as can be in so many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "jobs")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// How many calls are under way at once
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,
    /// Over how many gRPC connections the calls go
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
    channels: u32,
    /// Hand in so many jobs a second; latencies then count from the moment a job was due
    #[arg(long, value_name = "JOBS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Size of each mail's text, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    size: usize,
    /// Class of the jobs; where it is given several times, the jobs take turns
    #[arg(long, value_name = "CLASS", default_value = "bulk", value_parser = class)]
    class: Vec<v1::MailClass>,
    /// How many SMTP connections the node may open for each mailbox
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(i32).range(1..=100))]
    connections: i32,
    /// How many mailboxes the node sends with; each has so many connections
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10))]
    mailboxes: u32,
    /// The sink does not offer CHUNKING, which costs a round trip more
    #[arg(long)]
    no_chunking: bool,
    /// How many mails a raw client has on their way at once, over each connection
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    in_flight: u32,
    /// How long the sink waits before each batch of replies, as a distant provider does
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    reply_delay_ms: u64,
    /// Do not watch the jobs; there is no latency until SENT then
    #[arg(long)]
    no_watch: bool,
    /// Load the running node at `--server`, as it is, in place of an own one
    #[arg(long)]
    running: bool,
    /// An empty database for the own node, as `--store-url` of `nuncio serve` [default: a SQLite file]
    #[arg(long, value_name = "URL", conflicts_with = "running")]
    store_url: Option<String>,
    /// So many own nodes with one database; each gets the same number of calls
    #[arg(long, value_name = "COUNT", default_value_t = 1, conflicts_with = "running")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=16))]
    nodes: u32,
    /// What the own node logs, as `--log-filter` of `nuncio serve`
    #[arg(long, value_name = "FILTER", default_value = "info", conflicts_with = "running")]
    node_log: String,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Only accepting: the own node has no SMTP settings, so it sends nothing
    Accept,
    /// From the call to the SMTP sink's 250
    EndToEnd,
    /// All jobs are handed in first; then SMTP settings are saved and the queue is sent
    Drain,
    /// One job at a time over a warm connection: from the call to the SMTP sink's 250
    Single,
    /// A long queue: accepting into it, sending from it, and the first mail after a restart
    Queue,
    /// The own node without work: its start and its memory
    Idle,
    /// Only the SMTP sink, loaded by a client that does nothing else: the limit of all other figures
    Sink,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::EndToEnd => "end-to-end",
            Self::Drain => "drain",
            Self::Single => "single",
            Self::Queue => "queue",
            Self::Idle => "idle",
            Self::Sink => "sink",
        }
    }

    /// Whether a node that is there already can be measured so.
    fn takes_running(self) -> bool {
        match self {
            Self::Accept | Self::EndToEnd => true,
            Self::Drain | Self::Single | Self::Queue | Self::Idle | Self::Sink => false,
        }
    }
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("a temporary folder cannot be used")]
    Folder(#[source] std::io::Error),
    #[error("the sink did not start")]
    Sink(#[from] nuncio_provider_sim::simulator::SimError),
    #[error("the node cannot be started")]
    Spawn(#[source] std::io::Error),
    #[error("the node ended with {status}: {log}")]
    NodeEnded { status: std::process::ExitStatus, log: String },
    #[error("the node does not answer")]
    Connect(#[from] client::ConnectError),
    #[error("a call failed: {}", .0.message())]
    Call(Box<tonic::Status>),
    #[error("the settings of the sink did not pass the test: {0}")]
    Settings(String),
    #[error("no mail was sent for {STALLED:?}; {sent} of {accepted} were")]
    Stalled { sent: u64, accepted: u64 },
    #[error("the node was asked to stop and did not")]
    DoesNotStop,
    #[error("the sink does not talk as expected with a raw client")]
    Raw(#[source] std::io::Error),
    #[error("`--mode {mode}` needs an own node; leave out `--running`")]
    OwnNodeNeeded { mode: &'static str },
    #[error("several nodes need one database and `--mode accept`; give `--store-url`")]
    NodesApart,
    #[error("what a running node sends is seen only by watching; leave out `--no-watch`")]
    Blind,
    #[error("output cannot be written")]
    Output(#[from] std::io::Error),
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Self::Call(Box::new(status))
    }
}

/// Measures; says why if it could not.
pub(crate) async fn run(args: &BenchArgs, globals: &Globals, out: &mut Output) -> Exit {
    match measure(args, globals, out).await {
        Ok(()) => Exit::Ok,
        Err(failure) => match out.note(format!("nuncio bench: {}", Chain(&failure))) {
            Ok(()) | Err(_) => Exit::Failed,
        },
    }
}

async fn measure(args: &BenchArgs, globals: &Globals, out: &mut Output) -> Result<(), Failure> {
    if args.running && !args.mode.takes_running() {
        return Err(Failure::OwnNodeNeeded { mode: args.mode.name() });
    }
    if args.running && args.no_watch && args.mode != Mode::Accept {
        return Err(Failure::Blind);
    }
    if 1 < args.nodes && (args.mode != Mode::Accept || args.store_url.is_none()) {
        return Err(Failure::NodesApart);
    }
    match args.mode {
        Mode::Accept | Mode::EndToEnd | Mode::Drain => {
            Measurement::start(args, globals).await?.run(out).await?.tell(out)
        }
        Mode::Single => single::measure(args, globals, out).await?.tell(out),
        Mode::Queue => queue::measure(args, globals, out).await?.tell(out),
        Mode::Idle => idle::measure(args).await?.tell(out),
        Mode::Sink => raw::measure(args).await?.tell(out),
    }
}

/// A class by its name in lower case.
fn class(text: &str) -> Result<v1::MailClass, String> {
    let name = format!("MAIL_CLASS_{}", text.to_uppercase().replace('-', "_"));
    let class = v1::MailClass::from_str_name(&name);
    class.filter(|class| *class != v1::MailClass::Unspecified).ok_or_else(|| {
        "give one of alarm-critical, credentials, approval, alarm, reminder, bulk".to_owned()
    })
}

#[cfg(test)]
mod tests;
