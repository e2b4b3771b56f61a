//! `nuncio demo`: what nuncio does, with a node and a simulated provider in this process.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use clap::{Args, FromArgMatches as _, Subcommand as _};
use nuncio_cli::command::ClientCommand;
use nuncio_cli::environment::Environment;
use nuncio_cli::exit::Exit;
use nuncio_cli::globals::Globals;
use nuncio_cli::output::{Line, Output, Tone};
use nuncio_provider_sim::config::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_MAILBOX, DEFAULT_TENANT_ID, Limits,
    RecipientRule, SimConfig,
};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_runtime::chain::Chain;
use nuncio_server::config::Config;
use nuncio_server::config::args::ServeArgs;
use nuncio_server::node::{Listeners, Node};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod journey;

/// How long the node may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Bulk is spread evenly over the minute: with the 30 messages of Exchange Online the demonstration would
/// take 40 seconds.
const MESSAGES_PER_MINUTE: u32 = 240;

/// Options of `nuncio demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Leave node and simulator running afterwards, until Ctrl-C, to try more commands
    #[arg(long)]
    keep: bool,
}

/// Why the demonstration broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("a temporary folder cannot be made")]
    Folder(#[source] std::io::Error),
    #[error("the simulator did not start")]
    Simulator(#[from] nuncio_provider_sim::simulator::SimError),
    #[error("the simulator's certificates cannot be written")]
    Pki(#[from] nuncio_provider_sim::pki::PkiError),
    #[error("the node cannot be configured")]
    Config(#[from] nuncio_server::config::problem::ConfigError),
    #[error("the node did not start")]
    Start(#[from] nuncio_server::node::StartError),
    #[error("the node does not answer")]
    Connect(#[from] nuncio_api::client::ConnectError),
    #[error("a call failed")]
    Call(#[from] tonic::Status),
    #[error("the command `nuncio {0}` failed")]
    Command(String),
    #[error("mail jobs did not end in {0:?}")]
    Overdue(Duration),
    #[error("output cannot be written")]
    Output(#[from] std::io::Error),
}

/// A node and a simulated provider.
struct Stage {
    simulator: Simulator,
    folder: TempDir,
    globals: Globals,
    node: JoinSet<()>,
    shutdown: CancellationToken,
}

/// Shows everything; says where it broke off if it does.
pub(crate) async fn run(args: DemoArgs, globals: &Globals, out: &mut Output) -> Exit {
    match demonstrate(args, globals, out).await {
        Ok(()) => Exit::Ok,
        Err(failure) => match out.note(format!("nuncio demo: {}", Chain(&failure))) {
            Ok(()) | Err(_) => Exit::Failed,
        },
    }
}

async fn demonstrate(args: DemoArgs, globals: &Globals, out: &mut Output) -> Result<(), Failure> {
    title(out, "1. A provider and a node")?;
    let mut stage = Stage::start(globals, out).await?;
    title(out, "2. The settings are tested, then saved")?;
    stage.save_settings(out).await?;
    title(out, "3. Twenty mail jobs of three classes, and a provider in trouble")?;
    journey::run(&stage.simulator, &stage.globals.server, out).await?;
    title(out, "4. The node")?;
    stage.command(&["nodes"], out).await?;
    journey::say_what_next(out)?;
    if args.keep {
        let server = &stage.globals.server;
        out.line("")?;
        out.line(format!("Still running; in another terminal: export NUNCIO_SERVER={server}"))?;
        out.line("End it with Ctrl-C.")?;
        tokio::signal::ctrl_c().await?;
    }
    stage.shutdown.cancel();
    // The folder of the node goes away, so it should have stopped; but nothing in it is of worth.
    let ended = async { while stage.node.join_next().await.is_some() {} };
    match tokio::time::timeout(STOP_TIMEOUT, ended).await {
        Ok(()) | Err(_) => {}
    }
    stage.simulator.shutdown().await;
    drop(stage.folder);
    Ok(())
}

impl Stage {
    async fn start(globals: &Globals, out: &mut Output) -> Result<Self, Failure> {
        let simulator = Simulator::start(SimConfig {
            limits: Limits { messages_per_minute: MESSAGES_PER_MINUTE, ..Limits::default() },
            recipients: vec![RecipientRule::refused("left-the-company@example.com")],
            ..SimConfig::exchange()
        })
        .await?;
        let folder = TempDir::with_prefix("nuncio-demo-").map_err(Failure::Folder)?;
        simulator.write_pki(&folder.path().join("pki"))?;
        fact(
            out,
            "provider",
            &format!("SMTP at {} with STARTTLS and XOAUTH2", simulator.starttls_addr()),
        )?;
        fact(
            out,
            "",
            &format!(
                "3 connections, as Exchange Online has them, and {MESSAGES_PER_MINUTE} messages a minute, \
                 eight times as many"
            ),
        )?;
        fact(out, "tokens", &simulator.token_url(DEFAULT_TENANT_ID))?;

        let any_port = || Some("127.0.0.1:0".to_owned());
        let serve = ServeArgs {
            data_dir: Some(folder.path().join("data").display().to_string()),
            grpc_listen: any_port(),
            http_listen: any_port(),
            ..ServeArgs::default()
        };
        // The demonstration is to be the same everywhere, so the environment is left out.
        let config = Config::load(&serve, &HashMap::new())?;
        let listeners = Listeners::bind(&config).await?;
        let (grpc, http) = listeners.addresses()?;
        let node = Node::build(&config, listeners, None).await?;
        fact(out, "node", &format!("gRPC at {grpc}, health and metrics at {http}"))?;
        fact(out, "", &format!("jobs and settings in {}", folder.path().join("data").display()))?;
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let stop = shutdown.clone();
        tasks.spawn(async move {
            // How it ends is told by the calls that fail.
            drop(node.run(stop).await);
        });
        let globals = globals.of_own_node(format!("http://{grpc}"));
        Ok(Self { simulator, folder, globals, node: tasks, shutdown })
    }

    async fn save_settings(&self, out: &mut Output) -> Result<(), Failure> {
        let address = self.simulator.starttls_addr();
        let ca_file = self.folder.path().join("pki/ca.pem");
        let secret_file = self.folder.path().join("client-secret");
        std::fs::write(&secret_file, DEFAULT_CLIENT_SECRET)?;
        let (port, endpoint) =
            (address.port().to_string(), self.simulator.token_url(DEFAULT_TENANT_ID));
        let path = |path: &Path| path.display().to_string();
        self.command(
            &[
                "settings",
                "smtp",
                "save",
                "--test",
                "--provider",
                "exchange-online",
                "--host",
                "localhost",
                "--port",
                &port,
                "--email-address",
                DEFAULT_MAILBOX,
                "--client-id",
                DEFAULT_CLIENT_ID,
                "--tenant-id",
                DEFAULT_TENANT_ID,
                "--client-secret-file",
                &path(&secret_file),
                "--token-endpoint",
                &endpoint,
                "--ca-file",
                &path(&ca_file),
                "--max-messages-per-minute",
                &MESSAGES_PER_MINUTE.to_string(),
            ],
            out,
        )
        .await
    }

    /// Runs a command of the client, just as a person would, and shows it first.
    async fn command(&self, words: &[&str], out: &mut Output) -> Result<(), Failure> {
        for line in shown(words) {
            out.line(Line::new().push(Tone::Strong, line))?;
        }
        let program = ClientCommand::augment_subcommands(clap::Command::new("nuncio"));
        let matches = program.try_get_matches_from(["nuncio"].iter().chain(words));
        let command = matches.and_then(|matches| ClientCommand::from_arg_matches(&matches));
        let failed = || Failure::Command(words.join(" "));
        let command = command.map_err(|_| failed())?;
        let environment = Environment::default();
        let program = clap::Command::new("nuncio");
        let exit = nuncio_cli::run::run(command, &self.globals, &environment, out, program).await;
        if exit == Exit::Ok { Ok(()) } else { Err(failed()) }
    }
}

/// A command line, broken before its options if it is long, so that it can be read and copied.
fn shown(words: &[&str]) -> Vec<String> {
    let mut lines = vec!["$ nuncio".to_owned()];
    for word in words {
        let breaks = word.starts_with("--") && 6 < words.len();
        let last = lines.last_mut().expect("there is one from the start");
        if breaks {
            last.push_str(" \\");
            lines.push(format!("    {word}"));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines
}

fn title(out: &mut Output, text: &str) -> Result<(), Failure> {
    out.line("")?;
    out.line(Line::new().push(Tone::Strong, text))?;
    Ok(())
}

fn fact(out: &mut Output, name: &str, text: &str) -> Result<(), Failure> {
    out.line(Line::new().push(Tone::Dim, format!("{name:>9}  ")).plain(text))?;
    Ok(())
}
