//! `nuncio bench`: loads a node over gRPC and tells how fast it accepts and sends.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use nuncio_api::client::{self, Clients};
use nuncio_api::v1;
use nuncio_cli::exit::Exit;
use nuncio_cli::globals::Globals;
use nuncio_cli::output::Output;
use nuncio_runtime::chain::Chain;
use tokio::time::Instant;

use crate::bench::load::{Load, Plan};
use crate::bench::report::{Report, Spans};
use crate::bench::stage::{Node, Sink};
use crate::bench::tracker::Tracker;

mod load;
mod process;
mod report;
mod stage;
mod tracker;

/// How many jobs are handed in if neither their number nor a time is given.
const JOBS: u64 = 5_000;
/// How often the counts are looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How often progress is shown on a terminal, and how often elsewhere.
const PROGRESS_TERMINAL: Duration = Duration::from_millis(250);
const PROGRESS_ELSEWHERE: Duration = Duration::from_secs(5);
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
    /// How many SMTP connections the node may open
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(i32).range(1..=100))]
    connections: i32,
    /// How long the sink waits before each batch of replies, as a distant provider does
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    reply_delay_ms: u64,
    /// Do not watch the jobs; there is no latency until SENT then
    #[arg(long)]
    no_watch: bool,
    /// Load the running node at `--server`, as it is, in place of an own one
    #[arg(long)]
    running: bool,
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
    #[error("a drain needs an own node, which has no settings at first; leave out `--running`")]
    DrainOfRunning,
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
    if args.running && args.mode == Mode::Drain {
        return Err(Failure::DrainOfRunning);
    }
    if args.running && args.no_watch && args.mode != Mode::Accept {
        return Err(Failure::Blind);
    }
    let sink = if args.running || args.mode == Mode::Accept {
        None
    } else {
        Some(Sink::start(args.reply_delay_ms).await?)
    };
    let node = if args.running { None } else { Some(Node::start(&args.node_log).await?) };
    let address = node.as_ref().map_or(globals.server.as_str(), Node::address);
    let mut channels = Vec::new();
    for _channel in 0..args.channels {
        channels.push(client::connect(address, globals.timeout).await?);
    }
    let mut bench =
        Bench { args, sink, node, channels, tracker: Arc::default(), started: Instant::now() };
    let report = bench.run(out).await?;
    report.tell(out)
}

/// One measurement.
struct Bench<'a> {
    args: &'a BenchArgs,
    sink: Option<Sink>,
    node: Option<Node>,
    channels: Vec<Clients>,
    tracker: Arc<Tracker>,
    started: Instant,
}

impl Bench<'_> {
    async fn run(&mut self, out: &mut Output) -> Result<Report, Failure> {
        let mut clients = self.channels.first().expect("there is at least one channel").clone();
        if let (Mode::EndToEnd, Some(sink)) = (self.args.mode, &self.sink) {
            sink.save_settings(&mut clients, self.args.connections).await?;
        }
        let watches = self.args.mode != Mode::Accept && !self.args.no_watch;
        let _watch = if watches {
            Some(tracker::watch(&mut clients, Arc::clone(&self.tracker)).await?)
        } else {
            None
        };
        // The test of the settings asked for a token and opened a connection, too.
        let before = self.sink.as_ref().map(Sink::stats).unwrap_or_default();
        let cpu_before = self.cpu();

        self.started = Instant::now();
        let plan = Plan {
            jobs: self.args.seconds.is_none().then(|| self.args.jobs.unwrap_or(JOBS)),
            time: self.args.seconds.map(Duration::from_secs),
            rate: self.args.rate,
            concurrency: self.args.concurrency,
            size: self.args.size,
            classes: self.args.class.clone(),
        };
        let load = Load::new(plan, &self.channels, Arc::clone(&self.tracker));
        let submitted = self.with_progress(load.run(), out).await??;
        let accept_time = self.started.elapsed();
        let accept_cpu = self.cpu().zip(cpu_before).map(|(now, before)| now.saturating_sub(before));

        let mut send_time = None;
        if self.args.mode != Mode::Accept {
            let mut begun = self.started;
            if let (Mode::Drain, Some(sink)) = (self.args.mode, &self.sink) {
                sink.save_settings(&mut clients, self.args.connections).await?;
                begun = Instant::now();
            }
            self.with_progress(self.until_sent(), out).await??;
            send_time = Some(begun.elapsed());
        }
        let cpu = self.cpu().zip(cpu_before).map(|(now, before)| now.saturating_sub(before));
        if watches {
            self.with_progress(self.until_watched(), out).await??;
        }
        Ok(Report {
            mode: self.args.mode,
            size: self.args.size,
            concurrency: self.args.concurrency,
            connections: self.args.connections,
            reply_delay_ms: self.args.reply_delay_ms,
            jobs: self.tracker.accepted(),
            not_sent: self.tracker.not_sent(),
            accept_time,
            send_time,
            submit: Spans::new(submitted),
            sent: Spans::new(self.tracker.take_spans()),
            accept_cpu,
            cpu,
            memory: self.node.as_ref().and_then(|node| process::memory(node.pid())),
            sink: self.sink.as_ref().map(|sink| sink.stats().since(&before)),
        })
    }

    fn cpu(&self) -> Option<Duration> {
        process::cpu(self.node.as_ref()?.pid())
    }

    /// How many mails went out, as the sink knows best.
    fn sent(&self) -> u64 {
        match &self.sink {
            Some(sink) => sink.accepted(),
            None => self.tracker.ended(),
        }
    }

    /// Waits until as many mails went out as jobs were accepted, less those that ended otherwise.
    async fn until_sent(&self) -> Result<(), Failure> {
        self.until(|| match &self.sink {
            Some(sink) => sink.accepted() + self.tracker.not_sent(),
            None => self.tracker.ended(),
        })
        .await
    }

    /// Waits until each end was also told.
    async fn until_watched(&self) -> Result<(), Failure> {
        self.until(|| self.tracker.ended()).await
    }

    async fn until(&self, count: impl Fn() -> u64) -> Result<(), Failure> {
        let (mut last, mut moved) = (count(), Instant::now());
        loop {
            let (sent, accepted) = (count(), self.tracker.accepted());
            if accepted <= sent {
                return Ok(());
            }
            if sent != last {
                (last, moved) = (sent, Instant::now());
            } else if STALLED < moved.elapsed() {
                return Err(Failure::Stalled { sent, accepted });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Does something, and shows how far it is.
    async fn with_progress<T>(
        &self,
        work: impl Future<Output = T>,
        out: &mut Output,
    ) -> Result<T, Failure> {
        let spinner = out.spinner();
        let period = if spinner.is_hidden() { PROGRESS_ELSEWHERE } else { PROGRESS_TERMINAL };
        let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
        let mut last = (Instant::now(), self.tracker.accepted(), self.sent());
        tokio::pin!(work);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                _ = ticks.tick() => {}
            }
            let now = (Instant::now(), self.tracker.accepted(), self.sent());
            let time = now.0 - last.0;
            let text = format!(
                "{:>5.1} s  {} jobs accepted ({:.0}/s), {} mails sent ({:.0}/s)",
                self.started.elapsed().as_secs_f64(),
                now.1,
                report::rate(now.1 - last.1, time),
                now.2,
                report::rate(now.2 - last.2, time),
            );
            last = now;
            if spinner.is_hidden() {
                out.note(text)?;
            } else {
                spinner.set_message(text);
            }
        };
        spinner.finish_and_clear();
        Ok(done)
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
