//! A cluster on this machine: three members of etcd, PostgreSQL, and two nodes of each role, each on a host of its own.
//!
//! A host is a network namespace, so that hosts can be cut off from each other; all speak TLS. What they are is in
//! `deploy/local`. As with the servers of the tests, a second process, the keeper, starts and stops them, takes orders
//! on its standard input, and stops when that ends.

mod hosts;
mod keeper;
mod network;
mod order;
mod running;
mod world;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;

use crate::environment::root;
use crate::failure::{Context, Failure, Result};
use crate::install::{Need, install_system};
use crate::servers::keeper_command;
use crate::{output, release};

/// The hidden command of the second process.
pub(crate) const KEEPER_COMMAND: &str = "keep-cluster";

/// What the cluster needs of the system.
pub(crate) const NEEDS: &[Need] =
    &[Need::Etcd, Need::Faketime, Need::Iproute, Need::Nftables, Need::Postgres];

const USAGE: &str = "`cluster` takes `--program FILE`, the nuncio to run, and `--no-provider`";

/// Builds the program unless there is one already, starts the cluster and hands orders to it until they end.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut program = None;
    let mut provider = "with-provider";
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--program" => {
                let file = words.next().ok_or_else(|| Failure::new(USAGE))?;
                program = Some(PathBuf::from(file));
            }
            "--no-provider" => provider = "without-provider",
            _ => return Err(Failure::new(USAGE)),
        }
    }
    let program = match program {
        Some(program) => root().join(program),
        None => release::build()?,
    };
    output::step("install what the cluster needs", || install_system(NEEDS))?;
    let mut keeper = keeper_command("networks are made by root")?
        .arg(KEEPER_COMMAND)
        .arg(&program)
        .arg(provider)
        // Out of reach of the terminal's Ctrl-C, so that it can clean up.
        .process_group(0)
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start the keeper of the cluster")?;
    let mut orders = keeper.stdin.take().expect("it is piped");
    std::thread::spawn(move || std::io::copy(&mut std::io::stdin(), &mut orders));
    let status = keeper.wait().context("cannot wait for the keeper of the cluster")?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("the keeper of the cluster ended with {status}")))
}

/// The second process: see [`keeper::keep`].
pub(crate) fn keep(args: &[String]) -> Result<()> {
    let [program, provider] = args else {
        return Err(Failure::new("the keeper of a cluster is started by other commands only"));
    };
    keeper::keep(PathBuf::from(program), provider == "with-provider")
}
