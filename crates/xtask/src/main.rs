//! What is done to this repository rather than by it: `cargo xtask COMMAND`.
//!
//! In reading order: [`failure`], [`output`], [`command`], [`processes`], [`environment`] are the tools; [`manifest`], [`layers`] and
//! [`tidy`] look at the sources; [`install`] brings what is missing; [`release`] builds what is shipped; [`servers`] runs
//! the real servers of the tests, [`cluster`] a cluster of its own; [`testing`], [`ci`], [`demo`], [`walkthrough`] and [`mod@bench`] put them together.

mod bench;
mod ci;
mod cluster;
mod command;
mod demo;
mod environment;
mod failure;
mod install;
mod layers;
mod manifest;
mod output;
mod processes;
mod release;
mod servers;
mod template;
mod testing;
mod tidy;
mod walkthrough;

use std::process::ExitCode;

use crate::failure::{Failure, Result};

const USAGE: &str = "\
cargo xtask COMMAND

  ci                 everything that must hold before a change is merged
  test [ARGS..]      start real OAuth and mail servers, PostgreSQL, etcd and proxies, then
                     `cargo test --workspace ARGS..`
                     KEEP=1 keeps the temporary folder; what takes longer than 40 minutes is killed
  servers            start the real servers and keep them until Ctrl-C, for work by hand
  servers --check    start them, try them with Python and etcdctl, and stop them
  cluster [--program FILE] [--no-provider]
                     build the release binary, and start three members of etcd, PostgreSQL and two nodes of
                     each role on hosts of their own; takes orders such as `kill psn-1` until Ctrl-C
  demo [ARGS..]      build the release binary and run `nuncio demo ARGS..`
  walkthrough        run the commands of docs/WALKTHROUGH.md on real servers, and write down what they say
  bench [--runs N] [--queue JOBS] [--program FILE]
                     build the release binary, and measure it beside Postfix; prints a page in Markdown with
                     the medians of N runs (5), and a queue of so many jobs (1000000; 0: none)
  layers             check that the crates use each other only downwards
  tidy               check layers, manifests, comments, file lengths and the like";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::say(&format!("\nxtask: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let Some((command, rest)) = args.split_first() else {
        return Err(Failure::new(USAGE));
    };
    match (command.as_str(), rest) {
        ("ci", []) => ci::run(),
        ("test", args) => testing::run(args),
        ("servers", []) => servers::run_until_interrupted(),
        ("servers", [flag]) if flag == "--check" => servers::check(),
        (servers::KEEPER_COMMAND, args) => servers::keep(args),
        ("cluster", args) => cluster::run(args),
        (cluster::KEEPER_COMMAND, args) => cluster::keep(args),
        ("demo", args) => demo::run(args),
        ("walkthrough", []) => walkthrough::run(),
        ("bench", args) => bench::run(args),
        ("layers", []) => layers::run(),
        ("tidy", []) => tidy::run(),
        ("help" | "--help" | "-h", _) => {
            output::say(USAGE);
            Ok(())
        }
        (other, _) => Err(Failure::new(format!("`{other}` is not understood\n\n{USAGE}"))),
    }
}
