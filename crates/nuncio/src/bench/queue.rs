//! A long queue: what it costs to accept into it, to send from it, and to start with it.

use std::sync::Arc;
use std::time::Duration;

use nuncio_cli::globals::Globals;
use nuncio_cli::output::Output;
use tokio::time::Instant;

use crate::bench::figures::Figures;
use crate::bench::load::{Load, Plan};
use crate::bench::measure::{connect, plan};
use crate::bench::node::Node;
use crate::bench::progress::{Counts, with_progress};
use crate::bench::report::{millis, rate};
use crate::bench::sink::Sink;
use crate::bench::tracker::Tracker;
use crate::bench::{BenchArgs, Failure, disk, process};

/// How many jobs wait if their number is not given.
const JOBS: u64 = 1_000_000;
/// The first and the last such part of them is timed by itself.
const PART: u64 = 10;
/// How long mails are sent with the queue still long.
const SENDING: Duration = Duration::from_secs(5);

/// Bytes in a mebibyte.
const MIB: f64 = 1_048_576.0;

pub(super) async fn measure(
    args: &BenchArgs,
    globals: &Globals,
    out: &mut Output,
) -> Result<Figures, Failure> {
    let sink = Sink::start(args).await?;
    let mut node = Node::start(&args.node_log, args.store_url.as_ref()).await?;
    let mut channels = connect(args, node.address(), globals.timeout).await?;
    let mut figures = Figures::default();
    let tracker = Arc::new(Tracker::new(false));

    let all = args.jobs.unwrap_or(JOBS);
    let part = (all / PART).max(1);
    let mut rates = Vec::new();
    for jobs in [part, all.saturating_sub(2 * part), part] {
        let plan = Plan { jobs: Some(jobs), time: None, ..plan(args) };
        let load = Load::new(plan, &channels, Arc::clone(&tracker));
        let counts = || Counts { accepted: tracker.accepted(), sent: 0 };
        let begun = Instant::now();
        with_progress(load.run(), counts, out).await??;
        rates.push(rate(jobs, begun.elapsed()));
    }
    figures.put("queue_accept_first_per_s", "accepted, first tenth", rates[0], "/s");
    figures.put("queue_accept_last_per_s", "accepted, last tenth", rates[2], "/s");
    put_memory(&mut figures, &node, "queue_accept_max_mib", "resident at most, accepting");
    let bytes = disk::size(node.folder()).map_err(Failure::Folder)?;
    figures.put("queue_disk_mib", "on disk", to_f64(bytes) / MIB, "MiB");

    let before = sink.accepted();
    let saved = sink.save_settings(&mut channels[0], args.connections).await?;
    sink.wait_for(before + 1).await?;
    figures.put("queue_first_ms", "settings to the first mail", millis(saved.elapsed()), "ms");
    let (before, begun) = (sink.accepted(), Instant::now());
    tokio::time::sleep(SENDING).await;
    let sent = rate(sink.accepted() - before, begun.elapsed());
    figures.put("queue_sent_per_s", "sent while the queue is long", sent, "/s");
    put_memory(&mut figures, &node, "queue_send_max_mib", "resident at most, sending");

    node.restart().await?;
    let before = sink.accepted();
    let waits = async {
        sink.wait_for(before + 1).await?;
        Ok::<_, Failure>(node.started().elapsed())
    };
    let first = waits.await?;
    node.until_ready().await?;
    figures.put("queue_restart_first_ms", "restart to the first mail", millis(first), "ms");
    tokio::time::sleep(SENDING).await;
    put_memory(&mut figures, &node, "queue_restart_max_mib", "resident at most, restarted");
    let repeated = sink.stats().repeated;
    figures.put("sink_repeated", "mails that came twice", to_f64(repeated), "");
    Ok(figures)
}

fn put_memory(figures: &mut Figures, node: &Node, key: &'static str, name: &'static str) {
    if let Some(memory) = process::memory(node.pid()) {
        figures.put(key, name, memory.max, "MiB");
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 of anything here")]
fn to_f64(count: u64) -> f64 {
    count as f64
}
