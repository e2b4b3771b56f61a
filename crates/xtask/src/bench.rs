//! `cargo xtask bench`: nuncio beside Postfix on the same machine, into the same sink, in one run.
//!
//! The parts take turns within each run, so that a machine that is busy for a while is busy for both. What counts are the
//! ratios: figures of one machine say little on another.

mod figures;
mod peer;
mod sink;

use std::path::{Path, PathBuf};

use crate::bench::figures::{Figures, number};
use crate::bench::peer::Peer;
use crate::bench::sink::Sink;
use crate::command::{command, read, run as run_command};
use crate::environment::{is_root, root};
use crate::failure::{Context, Failure, Result};
use crate::install::{Need, install_system};
use crate::output;

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
const JOBS: &str = "5000";
const JOBS_ACCEPT: &str = "20000";
const JOBS_SLOW: &str = "400";

/// What the user asked for.
struct Options {
    runs: u32,
    /// Measured in place of what is built from this checkout.
    program: Option<PathBuf>,
}

/// Builds what is shipped, measures and prints medians.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = options(args)?;
    if !is_root() {
        return Err(Failure::new("Postfix has to be started as root: use sudo"));
    }
    install_system(&[Need::OpenSsl, Need::Postfix])?;
    let program = match options.program {
        Some(program) => program,
        None => build()?,
    };
    let folder = Folder::create()?;
    let sink = Sink::start(&program, &folder.0.join("sink"), 0)?;
    let slow_sink = Sink::start(&program, &folder.0.join("slow-sink"), REPLY_DELAY_MS)?;
    let peer = Peer::start(&folder.0.join("postfix"), sink.port())?;
    let mut figures = Figures::default();
    for number in 1..=options.runs {
        output::step(&format!("run {number} of {}", options.runs), || {
            measure_peer(&peer, &sink, &slow_sink, &mut figures)?;
            measure_nuncio(&program, &mut figures)
        })?;
    }
    output::say(&format!("\nMedians of runs: {}; bytes a mail: {SIZE}\n", options.runs));
    output::say(&figures.table());
    Ok(())
}

fn options(args: &[String]) -> Result<Options> {
    let mut options = Options { runs: RUNS, program: None };
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| Failure::new(format!("`{name}` lacks its value")))?;
        match name.as_str() {
            "--runs" => {
                options.runs = value.parse().context("`--runs` is no number")?;
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

fn build() -> Result<PathBuf> {
    output::step("build the release binary (minutes the first time)", || {
        let words = ["cargo", "build", "--release", "--locked", "--package", "nuncio"];
        run_command(&mut command(&root(), &words))
    })?;
    Ok(root().join("target/release/nuncio"))
}

/// Accept, drain and end to end with Postfix.
fn measure_peer(peer: &Peer, sink: &Sink, slow_sink: &Sink, figures: &mut Figures) -> Result<()> {
    peer.relay_to(sink.port(), CONNECTIONS)?;
    peer.hold(true)?;
    let accept = peer.send(MAILS, SIZE)?;
    figures.peer("accept_per_s", f64::from(MAILS) / accept);
    let before = sink.accepted()?;
    peer.hold(false)?;
    let drain = peer.flush_and(|| sink.wait_for(before + u64::from(MAILS)))?;
    figures.peer("drain_per_s", f64::from(MAILS) / drain);

    let (before, cpu) = (sink.accepted()?, peer.cpu_ms());
    let all = peer.send_and(MAILS, SIZE, || sink.wait_for(before + u64::from(MAILS)))?;
    figures.peer("end_to_end_per_s", f64::from(MAILS) / all);
    figures.peer("cpu_ms_per_mail", (peer.cpu_ms() - cpu) / f64::from(MAILS));

    peer.relay_to(slow_sink.port(), FEW_CONNECTIONS)?;
    let before = slow_sink.accepted()?;
    let wait = || slow_sink.wait_for(before + u64::from(MAILS_SLOW));
    let all = peer.send_and(MAILS_SLOW, SIZE, wait)?;
    figures.peer("slow_per_s", f64::from(MAILS_SLOW) / all);
    Ok(())
}

/// The same with nuncio: each part with a fresh node and a fresh sink.
fn measure_nuncio(program: &Path, figures: &mut Figures) -> Result<()> {
    let accept = bench(program, &["--mode", "accept", "--jobs", JOBS_ACCEPT])?;
    figures.nuncio("accept_per_s", number(&accept, "accept_per_s")?);
    figures.nuncio("accept_cpu_ms", number(&accept, "accept_cpu_ms_per_job")?);
    figures.nuncio("accept_p99_ms", number(&accept, "submit_p99_ms")?);
    let drain = bench(program, &["--mode", "drain", "--jobs", JOBS, "--no-watch"])?;
    figures.nuncio("drain_per_s", number(&drain, "sent_per_s")?);
    let all = bench(program, &["--mode", "end-to-end", "--jobs", JOBS, "--no-watch"])?;
    figures.nuncio("end_to_end_per_s", number(&all, "sent_per_s")?);
    figures.nuncio("cpu_ms_per_mail", number(&all, "cpu_ms_per_mail")?);
    figures.nuncio("memory_mib", number(&all, "resident_max_mib")?);
    figures.nuncio("round_trips", number(&all, "round_trips_per_mail")?);
    figures.nuncio("token_requests", number(&all, "token_requests")?);
    let (connections, delay) = (FEW_CONNECTIONS.to_string(), REPLY_DELAY_MS.to_string());
    let slow = ["--mode", "end-to-end", "--jobs", JOBS_SLOW, "--no-watch"];
    let distant = ["--connections", &connections, "--reply-delay-ms", &delay];
    let slow = bench(program, &[slow.as_slice(), distant.as_slice()].concat())?;
    figures.nuncio("slow_per_s", number(&slow, "sent_per_s")?);
    Ok(())
}

fn bench(program: &Path, args: &[&str]) -> Result<String> {
    output::say(&format!("    $ nuncio bench {}", args.join(" ")));
    let mut bench = std::process::Command::new(program);
    bench.args(["bench", "--output", "json", "--size", SIZE]).args(args);
    if !args.contains(&"--connections") {
        bench.args(["--connections", &CONNECTIONS.to_string()]);
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
