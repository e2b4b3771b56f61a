//! A node without work.

use std::time::Duration;

use crate::bench::figures::Figures;
use crate::bench::node::Node;
use crate::bench::report::{Spans, each, millis};
use crate::bench::{BenchArgs, Failure, process};

/// How often it is started; the first time its store is made.
const STARTS: usize = 5;
/// How long it then has nothing to do.
const REST: Duration = Duration::from_secs(3);

pub(super) async fn measure(args: &BenchArgs) -> Result<Figures, Failure> {
    let mut node = Node::start(&args.node_log, args.store_url.as_ref()).await?;
    let first = node.ready_after();
    let mut again = Vec::new();
    for _start in 1..STARTS {
        node.restart().await?;
        node.until_ready().await?;
        again.push(node.ready_after());
    }
    let before = process::cpu(node.pid()).unwrap_or_default();
    tokio::time::sleep(REST).await;
    let used = process::cpu(node.pid()).unwrap_or_default().saturating_sub(before);
    let mut figures = Figures::default();
    figures.put("ready_first_ms", "start to the first answer, new store", millis(first), "ms");
    let again = Spans::new(again).percentile(50).unwrap_or_default();
    figures.put("ready_ms", "start to the first answer, p50", millis(again), "ms");
    if let Some(memory) = process::memory(node.pid()) {
        figures.put("idle_mib", "resident", memory.now, "MiB");
    }
    figures.put("idle_cpu_ms_per_s", "CPU", each(millis(used), REST.as_secs()), "ms a second");
    Ok(figures)
}
