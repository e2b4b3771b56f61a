//! Accepting, sending, and draining.

use std::sync::Arc;
use std::time::Duration;

use nuncio_api::client::{self, Clients, Credentials};
use nuncio_cli::globals::Globals;
use nuncio_cli::output::Output;
use tokio::time::Instant;

use crate::bench::load::{Load, Plan};
use crate::bench::node::Node;
use crate::bench::progress::{Counts, with_progress};
use crate::bench::report::{Report, Spans, Usage};
use crate::bench::sink::Sink;
use crate::bench::tracker::{self, Tracker};
use crate::bench::{BenchArgs, Failure, JOBS, Mode, STALLED, process};

/// How often the counts are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// One measurement.
pub(super) struct Measurement<'a> {
    args: &'a BenchArgs,
    sink: Option<Sink>,
    /// Own ones; none where a running one is loaded.
    nodes: Vec<Node>,
    channels: Vec<Clients>,
    tracker: Arc<Tracker>,
    started: Instant,
}

impl<'a> Measurement<'a> {
    pub(super) async fn start(args: &'a BenchArgs, globals: &Globals) -> Result<Self, Failure> {
        let sink = if args.running || args.mode == Mode::Accept {
            None
        } else {
            Some(Sink::start(args).await?)
        };
        let nodes = if args.running {
            Vec::new()
        } else {
            Node::start_some(args.nodes, &args.node_log, args.store_url.as_ref()).await?
        };
        let mut addresses: Vec<_> = nodes.iter().map(Node::address).collect();
        if addresses.is_empty() {
            addresses.push(&globals.server);
        }
        let mut channels = Vec::new();
        for address in addresses {
            channels.extend(connect(args, address, globals.timeout).await?);
        }
        let watches = args.mode != Mode::Accept && !args.no_watch;
        let tracker = Arc::new(Tracker::new(watches));
        Ok(Self { args, sink, nodes, channels, tracker, started: Instant::now() })
    }

    pub(super) async fn run(&mut self, out: &mut Output) -> Result<Report, Failure> {
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
        let cpu_before = Cpu::now(&self.nodes);

        self.started = Instant::now();
        let load = Load::new(plan(self.args), &self.channels, Arc::clone(&self.tracker));
        let submitted = with_progress(load.run(), || self.counts(), out).await??;
        let accept_time = self.started.elapsed();
        let accept_cpu = Cpu::now(&self.nodes).since(&cpu_before);

        let mut send_time = None;
        if self.args.mode != Mode::Accept {
            let mut begun = self.started;
            if let (Mode::Drain, Some(sink)) = (self.args.mode, &self.sink) {
                begun = sink.save_settings(&mut clients, self.args.connections).await?;
            }
            with_progress(self.until_sent(), || self.counts(), out).await??;
            send_time = Some(begun.elapsed());
        }
        let cpu = Cpu::now(&self.nodes).since(&cpu_before);
        if watches {
            with_progress(self.until_watched(), || self.counts(), out).await??;
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
            memory: self.nodes.first().and_then(|node| process::memory(node.pid())),
            sink: self.sink.as_ref().map(|sink| sink.stats().since(&before)),
        })
    }

    fn counts(&self) -> Counts {
        Counts { accepted: self.tracker.accepted(), sent: self.sent() }
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
}

/// As many connections as were asked for.
pub(super) async fn connect(
    args: &BenchArgs,
    address: &str,
    timeout: Duration,
) -> Result<Vec<Clients>, Failure> {
    let mut channels = Vec::new();
    for _channel in 0..args.channels {
        channels.push(client::connect(address, timeout, &Credentials::default()).await?);
    }
    Ok(channels)
}

/// What was asked for.
pub(super) fn plan(args: &BenchArgs) -> Plan {
    Plan {
        jobs: args.seconds.is_none().then(|| args.jobs.unwrap_or(JOBS)),
        time: args.seconds.map(Duration::from_secs),
        rate: args.rate,
        concurrency: args.concurrency,
        size: args.size,
        classes: args.class.clone(),
    }
}

/// The processor time of all that takes part, up to now.
pub(super) struct Cpu {
    /// Of all nodes together.
    node: Option<Duration>,
    sink: Option<Duration>,
    own: Option<Duration>,
    machine: Option<Duration>,
}

impl Cpu {
    pub(super) fn now(nodes: &[Node]) -> Self {
        Self {
            node: nodes.iter().map(|node| process::cpu(node.pid())).sum(),
            sink: Sink::cpu(),
            own: process::cpu(std::process::id()),
            machine: process::machine_cpu(),
        }
    }

    pub(super) fn since(&self, before: &Self) -> Usage {
        let span = |now: Option<Duration>, before: Option<Duration>| {
            Some(now?.saturating_sub(before.unwrap_or_default()))
        };
        let (node, sink) = (span(self.node, before.node), span(self.sink, before.sink));
        let own = span(self.own, before.own);
        let known = own.unwrap_or_default() + node.unwrap_or_default();
        Usage {
            node,
            sink,
            load: own.map(|own| own.saturating_sub(sink.unwrap_or_default())),
            others: span(self.machine, before.machine).map(|all| all.saturating_sub(known)),
        }
    }
}
