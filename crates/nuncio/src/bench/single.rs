//! One mail at a time: how long it takes from the call to the provider's 250.

use std::sync::Arc;
use std::time::Duration;

use nuncio_cli::globals::Globals;
use nuncio_cli::output::Output;
use tokio::time::Instant;

use crate::bench::figures::Figures;
use crate::bench::load::{self, Load};
use crate::bench::measure::{connect, plan};
use crate::bench::node::Node;
use crate::bench::report::{Spans, millis};
use crate::bench::sink::Sink;
use crate::bench::tracker::Tracker;
use crate::bench::{BenchArgs, Failure, disk};

/// How many mails are timed if their number is not given.
const JOBS: u64 = 300;
/// Mails before those, so that connections and token are there.
const WARM_UP: u64 = 20;
/// Between the end of one and the next.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn measure(
    args: &BenchArgs,
    globals: &Globals,
    out: &mut Output,
) -> Result<Figures, Failure> {
    let sink = Sink::start(args).await?;
    let node = Node::start(&args.node_log, args.store_url.as_ref()).await?;
    let disk = Spans::new(disk::synced_writes(node.folder()).map_err(Failure::Folder)?);
    let mut channels = connect(args, node.address(), globals.timeout).await?;
    sink.save_settings(&mut channels[0], args.connections).await?;
    let mut plan = plan(args);
    (plan.jobs, plan.concurrency) = (Some(WARM_UP), 1);
    let tracker = Arc::new(Tracker::new(false));
    Load::new(plan, &channels, tracker).run().await?;
    sink.wait_for(WARM_UP).await?;

    let spinner = out.spinner();
    let mut client = channels.swap_remove(0).mail_jobs;
    let (mut accepted, mut sent) = (Vec::new(), Vec::new());
    let requests = load::requests(args.size, &args.class);
    for (number, request) in (1..=args.jobs.unwrap_or(JOBS)).zip(requests) {
        tokio::time::sleep(PAUSE).await;
        let begun = Instant::now();
        client.create_mail_job(request).await?;
        accepted.push(begun.elapsed());
        sink.wait_for(WARM_UP + number).await?;
        sent.push(begun.elapsed());
        spinner.set_message(format!("{number} mails"));
    }
    spinner.finish_and_clear();
    let mut figures = Figures::default();
    let (accepted, sent) = (Spans::new(accepted), Spans::new(sent));
    let rows = [
        (&disk, 50, "disk_p50_ms", "8 KiB on disk, p50"),
        (&disk, 99, "disk_p99_ms", "8 KiB on disk, p99"),
        (&accepted, 50, "single_accept_p50_ms", "call to OK, p50"),
        (&accepted, 99, "single_accept_p99_ms", "call to OK, p99"),
        (&sent, 50, "single_sent_p50_ms", "call to the sink's 250, p50"),
        (&sent, 99, "single_sent_p99_ms", "call to the sink's 250, p99"),
    ];
    for (spans, percent, key, name) in rows {
        let span = spans.percentile(percent).unwrap_or_default();
        figures.put(key, name, millis(span), "ms");
    }
    Ok(figures)
}
