//! `nuncio serve`: from the command line to the exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use nuncio_runtime::chain::Chain;
use nuncio_runtime::tasks::TaskError;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::VERSION;
use crate::config::args::ServeArgs;
use crate::config::{Config, ProcessEnvironment, Role};
use crate::log_levels::LogControl;
use crate::node::{Listeners, Node, StartError};
use crate::service_manager::{tell_ready, tell_stopping};
use crate::telemetry::{Telemetry, TelemetryError};

/// The exit code of a process that was interrupted (128 + SIGINT).
const EXIT_INTERRUPTED: i32 = 130;

/// Why a node ended otherwise than asked.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Config(#[from] crate::config::problem::ConfigError),
    #[error("logs and traces cannot be set up")]
    Telemetry(#[from] TelemetryError),
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    #[error("the node cannot start")]
    Start(#[from] StartError),
    #[error("the node has failed")]
    Run(#[from] TaskError),
}

/// Runs a node until SIGTERM or SIGINT. What goes wrong is told on the standard error, once.
pub async fn serve(args: &ServeArgs) -> ExitCode {
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If nobody listens, the exit code still tells.
            drop(writeln!(io::stderr(), "nuncio serve: {}", Chain(&error)));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &ServeArgs) -> Result<(), ServeError> {
    let config = Config::load(args, &ProcessEnvironment)?;
    if args.check_config {
        return Ok(Node::check_certificates(&config).await?);
    }
    let telemetry = Telemetry::install(&config)?;
    let shutdown = shutdown_on_signal().map_err(ServeError::Signals)?;
    let result = run_node(&config, telemetry.log.clone(), shutdown).await;
    if let Err(error) = telemetry.shutdown().await {
        warn!("the last spans are lost: {}", Chain(&error));
    }
    result
}

async fn run_node(
    config: &Config,
    log: LogControl,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let listeners = Listeners::bind(config).await?;
    let addresses = listeners.addresses();
    let portal = listeners.portal_address();
    let node = Node::build(config, listeners, Some(log)).await?;
    if let Ok((grpc, http)) = addresses {
        let roles: Vec<_> = config.roles.iter().map(|role| Role::name(*role)).collect();
        info!(
            node.name = config.node_name.as_str(),
            node.roles = roles.join(","),
            version = VERSION,
            data_dir = %config.data_dir.display(),
            "nuncio {VERSION} is ready: grpc at {grpc}, health and metrics at {http}",
        );
        if let Some(portal) = portal {
            info!("the page behind approval links is served at {portal}");
        }
    }
    // Calls wait at the ports since these were bound.
    tell_ready();
    Ok(node.run(shutdown).await?)
}

/// A token that is cancelled by the first SIGTERM or SIGINT; the second one ends the process at once.
fn shutdown_on_signal() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    let listen = async move {
        let mut asks = async || {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        };
        asks().await;
        info!("asked to stop: finishing what is under way");
        tell_stopping();
        asked.cancel();
        asks().await;
        warn!("asked again: stopping at once; what was under way is found at the next start");
        #[expect(
            clippy::disallowed_methods,
            reason = "that no destructor runs is what was asked for"
        )]
        std::process::exit(EXIT_INTERRUPTED);
    };
    #[expect(clippy::disallowed_methods, reason = "it lives as long as the process")]
    tokio::spawn(listen);
    Ok(shutdown)
}
