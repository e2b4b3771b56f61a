//! The figures as Markdown, ready for `docs/BENCHMARKS.md`.

use std::fmt::Write;

use super::figures::Figures;

/// Which of two is the better one.
#[derive(Clone, Copy)]
enum Better {
    Higher,
    Lower,
}

/// A row beside Postfix: its name, the keys of both, and how many times better nuncio is meant to be.
struct Compared {
    name: &'static str,
    peer: &'static str,
    own: &'static str,
    better: Better,
    target: Option<f64>,
}

const fn compared(
    name: &'static str,
    peer: &'static str,
    own: &'static str,
    better: Better,
    target: Option<f64>,
) -> Compared {
    Compared { name, peer, own, better, target }
}

/// The targets of the design: ratios to Postfix in the same run.
const COMPARED: &[Compared] = &[
    compared(
        "accept, durable, a second",
        "postfix.accept_per_s",
        "accept.accept_per_s",
        Better::Higher,
        Some(10.0),
    ),
    compared(
        "end to end, a second",
        "postfix.end_to_end_per_s",
        "all.sent_per_s",
        Better::Higher,
        Some(10.0),
    ),
    compared(
        "drain a full queue, a second",
        "postfix.drain_per_s",
        "drain.sent_per_s",
        Better::Higher,
        Some(8.0),
    ),
    compared(
        "3 connections at 30 ms a reply, a second",
        "postfix.slow_per_s",
        "slow.sent_per_s",
        Better::Higher,
        None,
    ),
    compared(
        "CPU a mail, end to end, ms",
        "postfix.cpu_ms_per_mail",
        "all.cpu_ms_per_mail",
        Better::Lower,
        Some(12.0),
    ),
];

/// A figure with a target of its own.
struct Alone {
    name: &'static str,
    key: &'static str,
    target: Option<Target>,
}

/// What a figure is meant to be.
#[derive(Clone, Copy)]
enum Target {
    AtLeast(f64),
    AtMost(f64),
}

const fn alone(name: &'static str, key: &'static str, target: Option<Target>) -> Alone {
    Alone { name, key, target }
}

const ALONE: &[Alone] = &[
    alone(
        "3 connections at 30 ms a reply, a second",
        "slow.sent_per_s",
        Some(Target::AtLeast(90.0)),
    ),
    alone("CPU a mail, end to end, ms", "all.cpu_ms_per_mail", Some(Target::AtMost(0.3))),
    alone("CPU a job, accept only, ms", "accept.accept_cpu_ms_per_job", None),
    alone("accept, p50, 64 callers, ms", "accept.submit_p50_ms", None),
    alone("accept, p99, 64 callers, ms", "accept.submit_p99_ms", None),
    alone("memory at most, end to end, MiB", "all.resident_max_mib", None),
    alone("round trips a mail, CHUNKING", "all.round_trips_per_mail", Some(Target::AtMost(1.02))),
    alone(
        "round trips a mail, PIPELINING only",
        "pipelining.round_trips_per_mail",
        Some(Target::AtMost(2.02)),
    ),
    alone("end to end with PIPELINING only, a second", "pipelining.sent_per_s", None),
    alone("connections of 200 senders", "senders.connections_max", None),
    alone("token requests of 200 senders", "senders.token_requests", Some(Target::AtMost(1.0))),
    alone("8 KiB on disk, p50, ms", "single.disk_p50_ms", None),
    alone("8 KiB on disk, p99, ms", "single.disk_p99_ms", None),
    alone("one job, call to OK, p50, ms", "single.single_accept_p50_ms", None),
    alone("one job, call to OK, p99, ms", "single.single_accept_p99_ms", None),
    alone("one mail, call to the provider's 250, p50, ms", "single.single_sent_p50_ms", None),
    alone("one mail, call to the provider's 250, p99, ms", "single.single_sent_p99_ms", None),
    alone("idle node, resident, MiB", "idle.idle_mib", Some(Target::AtMost(25.0))),
    alone("idle node, CPU, ms a second", "idle.idle_cpu_ms_per_s", None),
    alone("start to the first answer, ms", "idle.ready_ms", Some(Target::AtMost(100.0))),
    alone("the same with a new store, ms", "idle.ready_first_ms", None),
];

const QUEUE: &[Alone] = &[
    alone("accepted, first tenth, a second", "queue.queue_accept_first_per_s", None),
    alone("accepted, last tenth, a second", "queue.queue_accept_last_per_s", None),
    alone(
        "resident at most, accepting, MiB",
        "queue.queue_accept_max_mib",
        Some(Target::AtMost(300.0)),
    ),
    alone("on disk, MiB", "queue.queue_disk_mib", None),
    alone("settings saved to the first mail, ms", "queue.queue_first_ms", None),
    alone("sent while the queue is long, a second", "queue.queue_sent_per_s", None),
    alone(
        "resident at most, sending, MiB",
        "queue.queue_send_max_mib",
        Some(Target::AtMost(300.0)),
    ),
    alone(
        "restart to the first mail, ms",
        "queue.queue_restart_first_ms",
        Some(Target::AtMost(1000.0)),
    ),
    alone(
        "resident at most, restarted, MiB",
        "queue.queue_restart_max_mib",
        Some(Target::AtMost(300.0)),
    ),
];

/// The part of the last tenth to the first that accepting into a long queue is meant to keep.
const QUEUE_ACCEPT_MIN: f64 = 0.8;
/// What a single mail may take beyond round trip and commit, ms.
const SINGLE_EXTRA_MS: f64 = 5.0;

/// A table with a column for each part of the run: its head, and rows of keys.
struct Columns {
    head: &'static [&'static str],
    parts: &'static [&'static str],
    rows: &'static [(&'static str, &'static str)],
}

const SINK: Columns = Columns {
    head: &["in step", "PIPELINING", "CHUNKING, 8 in flight"],
    parts: &["sink.in_step", "sink.pipelining", "sink.chunking"],
    rows: &[
        ("mails a second", "_per_s"),
        ("CPU of the sink, ms a mail", "_sink_ms"),
        ("CPU of the client, ms a mail", "_client_ms"),
    ],
};

const PROCESSORS: Columns = Columns {
    head: &["accept", "end to end", "drain", "drain, PostgreSQL"],
    parts: &["accept", "all", "drain", "postgres_drain"],
    rows: &[
        ("node", ".cpu_ms_per_mail"),
        ("sink", ".sink_cpu_ms_per_mail"),
        ("load generator", ".load_cpu_ms_per_job"),
        ("all else on the machine", ".others_cpu_ms_per_mail"),
    ],
};

/// Two parts of the run for each row.
type Pair = (&'static str, &'static str, &'static str);

const STORES: &[Pair] = &[
    ("accept, durable, a second", "accept.accept_per_s", "postgres_accept.accept_per_s"),
    ("accept, p99, 64 callers, ms", "accept.submit_p99_ms", "postgres_accept.submit_p99_ms"),
    ("end to end, a second", "all.sent_per_s", "postgres_all.sent_per_s"),
    ("drain a full queue, a second", "drain.sent_per_s", "postgres_drain.sent_per_s"),
    ("CPU of the node a mail, ms", "all.cpu_ms_per_mail", "postgres_all.cpu_ms_per_mail"),
    (
        "CPU of all else a mail, ms",
        "all.others_cpu_ms_per_mail",
        "postgres_all.others_cpu_ms_per_mail",
    ),
    ("memory of the node at most, MiB", "all.resident_max_mib", "postgres_all.resident_max_mib"),
];

/// The whole page, but for what only a person can say.
pub(super) fn page(figures: &Figures, machine: &[(&str, String)], runs: u32) -> String {
    let mut page = String::new();
    let mut unmet = Vec::new();
    put(&mut page, &format!("### Machine\n\n{}", list(machine)));
    put(&mut page, &load(figures, runs));
    put(&mut page, &format!("### Beside Postfix\n\n{}", beside(figures, &mut unmet)));
    put(&mut page, &format!("### The limit of the sink\n\n{}", columns(figures, &SINK)));
    put(
        &mut page,
        &format!("### Who uses the processors, ms a mail\n\n{}", columns(figures, &PROCESSORS)),
    );
    put(&mut page, &format!("### SQLite and PostgreSQL\n\n{}", stores(figures)));
    put(&mut page, &format!("### Single figures\n\n{}", singles(figures, ALONE, &mut unmet)));
    if figures.median(QUEUE[0].key).is_some() {
        let queue = singles(figures, QUEUE, &mut unmet);
        put(&mut page, &format!("### A long queue\n\nOne run.\n\n{queue}"));
    }
    unmet.extend(unmet_relations(figures));
    let unmet = if unmet.is_empty() { "None.\n".to_owned() } else { unmet.concat() };
    put(&mut page, &format!("### Targets that are not met\n\n{unmet}"));
    page
}

fn put(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

fn list(values: &[(&str, String)]) -> String {
    let rows = values.iter().map(|(name, value)| format!("| {name} | {value} |\n"));
    format!("| | |\n|---|---|\n{}", rows.collect::<String>())
}

fn load(figures: &Figures, runs: u32) -> String {
    let span = |key: &str| {
        let [low, middle, high] = [figures.lowest(key), figures.median(key), figures.highest(key)];
        format!("{} to {}, {} in the middle", shown(low), shown(high), shown(middle))
    };
    format!(
        "Medians of {runs} runs, bytes a mail: {}. Before each run {} processors were busy with something else; the load \
         of the last minute was {}.\n",
        super::SIZE,
        span("machine.foreign"),
        span("machine.load"),
    )
}

fn beside(figures: &Figures, unmet: &mut Vec<String>) -> String {
    let mut table = "| | Postfix | nuncio | ratio | target |\n|---|---|---|---|---|\n".to_owned();
    for Compared { name, peer, own, better, target } in COMPARED {
        let (peer, own) = (figures.median(peer), figures.median(own));
        let ratio = peer.zip(own).map(|(peer, own)| match better {
            Better::Higher => own / peer,
            Better::Lower => peer / own,
        });
        let times =
            |ratio: Option<f64>| ratio.map_or("–".to_owned(), |one| format!("{one:.1} ×"));
        row(&mut table, name, &[shown(peer), shown(own), times(ratio), times(*target)]);
        if let (Some(ratio), Some(target)) = (ratio, *target)
            && ratio < target
        {
            unmet.push(format!("- {name}: {ratio:.1} × Postfix in place of {target:.1} ×\n"));
        }
    }
    table
}

fn singles(figures: &Figures, rows: &[Alone], unmet: &mut Vec<String>) -> String {
    let mut table = "| | seen | target |\n|---|---|---|\n".to_owned();
    for Alone { name, key, target } in rows {
        let seen = figures.median(key);
        let told = match target {
            None => "–".to_owned(),
            Some(Target::AtLeast(least)) => format!("≥ {least}"),
            Some(Target::AtMost(most)) => format!("≤ {most}"),
        };
        let met = seen.zip(*target).is_none_or(|(seen, target)| match target {
            Target::AtLeast(least) => least <= seen,
            Target::AtMost(most) => seen <= most,
        });
        if !met {
            unmet.push(format!("- {name}: {} in place of {told}\n", shown(seen)));
        }
        row(&mut table, name, &[shown(seen), told]);
    }
    table
}

/// Targets about two figures.
fn unmet_relations(figures: &Figures) -> Vec<String> {
    let mut unmet = Vec::new();
    let both = |one: &str, other: &str| figures.median(one).zip(figures.median(other));
    if let Some((disk, sent)) = both("single.disk_p99_ms", "single.single_sent_p99_ms")
        && disk + SINGLE_EXTRA_MS < sent
    {
        unmet.push(format!(
            "- one mail, call to the provider's 250, p99: {sent:.1} ms in place of commit + {SINGLE_EXTRA_MS} ms, which is \
             {:.1} ms\n",
            disk + SINGLE_EXTRA_MS
        ));
    }
    if let Some((first, last)) =
        both("queue.queue_accept_first_per_s", "queue.queue_accept_last_per_s")
        && last < first * QUEUE_ACCEPT_MIN
    {
        unmet.push(format!(
            "- accepting into a long queue: {:.0} % of the empty queue's rate in place of {:.0} %\n",
            last / first * 100.0,
            QUEUE_ACCEPT_MIN * 100.0
        ));
    }
    unmet
}

fn columns(figures: &Figures, columns: &Columns) -> String {
    let Columns { head, parts, rows } = columns;
    let mut table = format!("| | {} |\n|---|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for (name, key) in *rows {
        let seen = parts.iter().map(|part| shown(figures.median(&format!("{part}{key}"))));
        row(&mut table, name, &seen.collect::<Vec<_>>());
    }
    table
}

fn stores(figures: &Figures) -> String {
    let mut table = "| | SQLite | PostgreSQL |\n|---|---|---|\n".to_owned();
    for (name, one, other) in STORES {
        row(&mut table, name, &[shown(figures.median(one)), shown(figures.median(other))]);
    }
    table
}

fn row(table: &mut String, name: &str, cells: &[String]) {
    writeln!(table, "| {name} | {} |", cells.join(" | ")).expect("a string takes everything");
}

/// With two digits at least behind the first.
fn shown(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value < 0.1 => format!("{value:.3}"),
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) if value < 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests;
