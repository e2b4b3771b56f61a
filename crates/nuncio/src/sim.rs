//! `nuncio sim`: the provider simulator as a program.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use nuncio_cli::exit::Exit;
use nuncio_cli::output::{Output, Table};
use nuncio_provider_sim::config::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_MAILBOX, DEFAULT_TENANT_ID, Listen, SimConfig,
};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_runtime::chain::Chain;

/// Options of `nuncio sim`.
#[derive(Args)]
pub(crate) struct SimArgs {
    /// A TOML file with ports, tenants, clients, mailboxes, limits and faults; without it one tenant, client
    /// and mailbox as Exchange Online has them, at the ports 2587, 2465 (SMTP), 2443 (tokens), 2580 (admin)
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Where to write the certificate of its authority, for `--ca-file` of the settings
    #[arg(long, value_name = "FOLDER", default_value = "nuncio-sim")]
    pki: PathBuf,
}

/// Why the simulator did not run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("script `{path}` cannot be read")]
    Read { path: String, source: std::io::Error },
    #[error("script `{path}` is not valid")]
    Script { path: String, source: Box<toml::de::Error> },
    #[error("the simulator did not start")]
    Start(#[from] nuncio_provider_sim::simulator::SimError),
    #[error("certificates cannot be written to `{path}`")]
    Pki { path: String, source: nuncio_provider_sim::pki::PkiError },
    #[error("output cannot be written")]
    Output(#[from] std::io::Error),
}

/// Runs the simulator until Ctrl-C.
pub(crate) async fn run(args: &SimArgs, out: &mut Output) -> Exit {
    match simulate(args, out).await {
        Ok(()) => Exit::Ok,
        Err(failure) => match out.note(format!("nuncio sim: {}", Chain(&failure))) {
            Ok(()) | Err(_) => Exit::Failed,
        },
    }
}

async fn simulate(args: &SimArgs, out: &mut Output) -> Result<(), Failure> {
    let simulator = Simulator::start(config(args)?).await?;
    let ca_file = simulator.write_pki(&args.pki).map_err(|source| {
        let path = args.pki.display().to_string();
        Failure::Pki { path, source }
    })?;
    out.line("provider simulator; end it with Ctrl-C")?;
    out.table(&places(args, &simulator, &ca_file.display().to_string()))?;
    // Without a handler for Ctrl-C the process is ended by it anyway.
    tokio::signal::ctrl_c().await?;
    simulator.shutdown().await;
    Ok(())
}

fn config(args: &SimArgs) -> Result<SimConfig, Failure> {
    let Some(script) = &args.script else {
        return Ok(SimConfig { listen: fixed_ports(), ..SimConfig::exchange() });
    };
    let path = script.display().to_string();
    let text = std::fs::read_to_string(script)
        .map_err(|source| Failure::Read { path: path.clone(), source })?;
    toml::from_str(&text).map_err(|source| Failure::Script { path, source: Box::new(source) })
}

/// The ports without a script: always the same, so that what is written about them stays true.
fn fixed_ports() -> Listen {
    let port = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Listen { starttls: port(2587), implicit_tls: port(2465), token: port(2443), admin: port(2580) }
}

fn places(args: &SimArgs, simulator: &Simulator, ca_file: &str) -> Table {
    let mut table = Table::list();
    table.value("SMTP with STARTTLS", simulator.starttls_addr().to_string());
    table.value("SMTP with TLS", simulator.implicit_tls_addr().to_string());
    table.value("token endpoint", simulator.token_url(DEFAULT_TENANT_ID));
    table.value("admin", format!("http://{}", simulator.admin_addr()));
    table.value("authority (--ca-file)", ca_file);
    if args.script.is_none() {
        table.value("tenant", DEFAULT_TENANT_ID);
        table.value("client", DEFAULT_CLIENT_ID);
        // It opens nothing but this simulator.
        table.value("client secret", DEFAULT_CLIENT_SECRET);
        table.value("mailbox", DEFAULT_MAILBOX);
    }
    table
}
