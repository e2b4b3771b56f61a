//! The program `nuncio`: a node, its client, a demonstration, a load generator and a provider simulator.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use nuncio_cli::command::ClientCommand;
use nuncio_cli::environment::Environment;
use nuncio_cli::exit::{self, Exit};
use nuncio_cli::globals::Globals;
use nuncio_cli::output::Output;
use nuncio_server::config::args::ServeArgs;

mod bench;
mod certs;
mod demo;
mod keys;
mod sim;

/// Distributed notification service: takes mail jobs over gRPC, stores them durably, and sends them over
/// SMTP with OAuth 2.0
#[derive(Parser)]
#[command(name = "nuncio", version, propagate_version = true, after_long_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node
    Serve(Box<ServeArgs>),
    /// Show a node, its settings and real mail jobs with a simulated provider, in some ten seconds
    Demo(demo::DemoArgs),
    /// Run the provider simulator: a token endpoint and a submission server with limits and faults
    Sim(sim::SimArgs),
    /// Load a node and tell how fast it accepts and sends; by default an own node with a simulated provider
    Bench(Box<bench::BenchArgs>),
    /// Make a private certificate authority, and certificates of nodes and clients
    #[command(subcommand)]
    Certs(certs::CertsCommand),
    /// Add keys that encrypt settings and mails to their file, look at those of the nodes, and rotate them
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    #[command(flatten)]
    Client(ClientCommand),
}

impl Command {
    /// What its threads are called, so that a profile tells one process from the other.
    fn name(&self) -> &'static str {
        match self {
            Self::Serve(_) => "node",
            Self::Sim(_) => "sink",
            Self::Bench(_) => "load",
            Self::Demo(_) | Self::Certs(_) | Self::Keys(_) | Self::Client(_) => "nuncio",
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::read();
    let mut out = Output::standard(&cli.globals, &environment);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().thread_name(cli.command.name()).build();
    let runtime = runtime.expect("a process may start threads");
    let client = |command, out: &mut Output| -> Exit {
        let run = nuncio_cli::run::run(command, &cli.globals, &environment, out, Cli::command());
        runtime.block_on(run)
    };
    match cli.command {
        Command::Serve(args) => runtime.block_on(nuncio_server::serve::serve(&args)),
        Command::Demo(args) => {
            runtime.block_on(Box::pin(demo::run(args, &cli.globals, &mut out))).into()
        }
        Command::Bench(args) => {
            runtime.block_on(Box::pin(bench::run(&args, &cli.globals, &mut out))).into()
        }
        Command::Sim(args) => runtime.block_on(Box::pin(sim::run(&args, &mut out))).into(),
        Command::Certs(command) => certs::run(command, &mut out).into(),
        Command::Keys(command) => match command.of_a_file() {
            Ok(command) => keys::run(command, &mut out).into(),
            Err(command) => client(ClientCommand::Keys(command), &mut out).into(),
        },
        Command::Client(command) => client(command, &mut out).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
