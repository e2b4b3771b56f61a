//! `nuncio alarms`

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::run::Context;

pub(crate) mod routes;

#[derive(Subcommand)]
pub enum AlarmsCommand {
    /// The second route: webhooks and syslog receivers that are told where mail is what is broken
    #[command(subcommand)]
    Routes(routes::RoutesCommand),
}

pub(crate) async fn run(
    context: &mut Context<'_>,
    command: AlarmsCommand,
) -> Result<Exit, Failure> {
    match command {
        AlarmsCommand::Routes(command) => routes::run(context, command).await,
    }
}
