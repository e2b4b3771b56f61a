//! `cargo xtask bench`: nuncio beside Postfix on the same machine, into the same sink, in one run.
//!
//! The parts take turns within each run, so that a machine that is busy for a while is busy for all. What counts are the
//! ratios: figures of one machine say little on another. What is printed goes into `docs/BENCHMARKS.md` as it is.

mod figures;
mod machine;
mod page;
mod peer;
mod postgres;
mod sink;

use std::path::{Path, PathBuf};

use crate::bench::figures::{Figures, number};
use crate::bench::peer::Peer;
use crate::bench::postgres::Postgres;
use crate::bench::sink::Sink;
use crate::command::read;
use crate::environment::is_root;
use crate::failure::{Context, Failure, Result};
use crate::install::{Need, install_system};
use crate::{output, release};

const RUNS: u32 = 5;
/// Bytes of each mail's text.
const SIZE: &str = "4096";
/// SMTP connections into the sink, where it answers at once.
const CONNECTIONS: u32 = 20;
/// Those of a mailbox of Exchange Online, and how long a batch of replies of a distant provider takes.
const FEW_CONNECTIONS: u32 = 3;
const REPLY_DELAY_MS: u32 = 30;
/// Enough for some seconds of each.
const MAILS: u32 = 2_000;
const MAILS_SLOW: u32 = 150;
/// The long queue: how many jobs, of how many bytes each, as a million of them are to be made in minutes.
const QUEUE: u32 = 1_000_000;
const QUEUE_SIZE: &str = "512";

/// The parts of a run with SQLite: the name of each among the figures, and what `nuncio bench` is told. All send over
/// [`CONNECTIONS`] if nothing else is said.
const PARTS: &[(&str, &[&str])] = &[
    ("sink", &["--mode", "sink", "--jobs", "20000"]),
    ("idle", &["--mode", "idle"]),
    ("accept", &["--mode", "accept", "--jobs", "20000"]),
    ("drain", &["--mode", "drain", "--jobs", "10000", "--no-watch"]),
    ("all", &["--mode", "end-to-end", "--jobs", "10000", "--no-watch"]),
    ("pipelining", &["--mode", "end-to-end", "--jobs", "4000", "--no-watch", "--no-chunking"]),
    ("single", &["--mode", "single"]),
    ("senders", SENDERS),
    ("slow", SLOW),
];

/// 200 senders: two mailboxes, because one has 100 connections at most.
const SENDERS: &[&str] = &[
    "--mode",
    "end-to-end",
    "--jobs",
    "5000",
    "--no-watch",
    "--concurrency",
    "200",
    "--mailboxes",
    "2",
    "--connections",
    "100",
];

const SLOW: &[&str] = &[
    "--mode",
    "end-to-end",
    "--jobs",
    "300",
    "--no-watch",
    "--connections",
    "3",
    "--reply-delay-ms",
    "30",
];

/// The parts with PostgreSQL, each in an empty database.
const POSTGRES_PARTS: &[(&str, &[&str])] = &[
    ("postgres_accept", &["--mode", "accept", "--jobs", "10000"]),
    ("postgres_drain", &["--mode", "drain", "--jobs", "5000", "--no-watch"]),
    ("postgres_all", &["--mode", "end-to-end", "--jobs", "5000", "--no-watch"]),
];

/// What the user asked for.
struct Options {
    runs: u32,
    /// Jobs of the long queue; none leaves it out.
    queue: u32,
    /// Measured in place of what is built from this checkout.
    program: Option<PathBuf>,
}

/// Builds what is shipped, measures, and prints the page.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = options(args)?;
    if !is_root() {
        return Err(Failure::new("Postfix and PostgreSQL have to be started as root: use sudo"));
    }
    install_system(&[Need::OpenSsl, Need::Postfix, Need::Postgres])?;
    let is_built_here = options.program.is_none();
    let program = match options.program {
        Some(program) => program,
        None => release::build()?,
    };
    let folder = Folder::create()?;
    let mut figures = Figures::default();
    measure(&program, &folder, options.runs, &mut figures)?;
    if 0 < options.queue {
        output::step("a long queue", || queue(&program, options.queue, &mut figures))?;
    }
    let machine = machine::description(&program, is_built_here, &folder.0);
    output::result(&page::page(&figures, &machine, options.runs))
}

fn options(args: &[String]) -> Result<Options> {
    let mut options = Options { runs: RUNS, queue: QUEUE, program: None };
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| Failure::new(format!("`{name}` lacks its value")))?;
        match name.as_str() {
            "--runs" => {
                options.runs = value.parse().context("`--runs` is no number")?;
            }
            "--queue" => {
                options.queue = value.parse().context("`--queue` is no number")?;
            }
            "--program" => {
                let path = Path::new(value);
                options.program =
                    Some(path.canonicalize().context(format_args!("cannot find {value}"))?);
            }
            other => return Err(Failure::new(format!("`{other}` is no option of bench"))),
        }
    }
    if options.runs == 0 {
        return Err(Failure::new("`--runs` must be at least 1"));
    }
    Ok(options)
}

/// All parts, run after run.
fn measure(program: &Path, folder: &Folder, runs: u32, figures: &mut Figures) -> Result<()> {
    let sink = Sink::start(program, &folder.0.join("sink"), 0)?;
    let slow_sink = Sink::start(program, &folder.0.join("slow-sink"), REPLY_DELAY_MS)?;
    let peer = Peer::start(&folder.0.join("postfix"), sink.port())?;
    let mut postgres = Postgres::start(&folder.0.join("postgres"))?;
    for number in 1..=runs {
        output::step(&format!("run {number} of {runs}"), || {
            for (key, seen) in
                [("foreign", machine::foreign_processors()), ("load", machine::load())]
            {
                figures.put("machine", key, seen.unwrap_or(f64::NAN));
            }
            measure_peer(&peer, &sink, &slow_sink, figures)?;
            for (part, args) in PARTS {
                figures.put_all(part, &bench(program, args)?);
            }
            measure_postgres(program, &mut postgres, figures)
        })?;
    }
    Ok(())
}

/// Accept, drain and end to end with Postfix.
fn measure_peer(peer: &Peer, sink: &Sink, slow_sink: &Sink, figures: &mut Figures) -> Result<()> {
    peer.relay_to(sink.port(), CONNECTIONS)?;
    peer.hold(true)?;
    let accept = peer.send(MAILS, SIZE)?;
    figures.put("postfix", "accept_per_s", f64::from(MAILS) / accept);
    let before = sink.accepted()?;
    peer.hold(false)?;
    let drain = peer.flush_and(|| sink.wait_for(before + u64::from(MAILS)))?;
    figures.put("postfix", "drain_per_s", f64::from(MAILS) / drain);

    let (before, cpu) = (sink.accepted()?, peer.cpu_ms());
    let all = peer.send_and(MAILS, SIZE, || sink.wait_for(before + u64::from(MAILS)))?;
    figures.put("postfix", "end_to_end_per_s", f64::from(MAILS) / all);
    figures.put("postfix", "cpu_ms_per_mail", (peer.cpu_ms() - cpu) / f64::from(MAILS));

    peer.relay_to(slow_sink.port(), FEW_CONNECTIONS)?;
    let before = slow_sink.accepted()?;
    let wait = || slow_sink.wait_for(before + u64::from(MAILS_SLOW));
    let all = peer.send_and(MAILS_SLOW, SIZE, wait)?;
    figures.put("postfix", "slow_per_s", f64::from(MAILS_SLOW) / all);
    Ok(())
}

/// The same with a node that uses PostgreSQL.
fn measure_postgres(program: &Path, postgres: &mut Postgres, figures: &mut Figures) -> Result<()> {
    for (part, args) in POSTGRES_PARTS {
        let seen = postgres
            .with_database(|url| bench(program, &[*args, &["--store-url", url]].concat()))?;
        figures.put_all(part, &seen);
    }
    Ok(())
}

fn queue(program: &Path, jobs: u32, figures: &mut Figures) -> Result<()> {
    let jobs = jobs.to_string();
    let seen = bench(program, &["--mode", "queue", "--jobs", &jobs, "--size", QUEUE_SIZE])?;
    figures.put_all("queue", &seen);
    Ok(())
}

fn bench(program: &Path, args: &[&str]) -> Result<String> {
    output::say(&format!("    $ nuncio bench {}", args.join(" ")));
    let mut bench = std::process::Command::new(program);
    bench.args(["bench", "--output", "json"]).args(args);
    let connections = CONNECTIONS.to_string();
    for (name, value) in [("--connections", connections.as_str()), ("--size", SIZE)] {
        if !args.contains(&name) {
            bench.args([name, value]);
        }
    }
    let seen = read(&mut bench)?;
    // A fast node that sends twice is no good; where only accepting is measured there is no sink.
    match number(&seen, "sink_repeated") {
        Ok(repeated) if repeated > 0.0 => {
            Err(Failure::new(format!("{repeated} mails came twice: {seen}")))
        }
        Ok(_) | Err(_) => Ok(seen),
    }
}

/// A folder that is removed with this value.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("nuncio-bench-peers-{}", std::process::id()));
        std::fs::create_dir(&path).context(format_args!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
