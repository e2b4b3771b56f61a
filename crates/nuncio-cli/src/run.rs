//! Runs a command and says how it ended.

use nuncio_api::client::{Clients, connect};

use crate::command::{
    ClientCommand, alarms, callers, completions, doctor, guests, jobs, keys, log_levels, nodes,
    portal, reminders, send, settings, templates, users,
};
use crate::credentials::credentials;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::globals::Globals;
use crate::output::Output;

/// What a command needs beside its own options.
pub(crate) struct Context<'a> {
    pub(crate) globals: &'a Globals,
    pub(crate) environment: &'a Environment,
    pub(crate) out: &'a mut Output,
}

impl Context<'_> {
    pub(crate) async fn connect(&self) -> Result<Clients, Failure> {
        let credentials = credentials(self.globals).await?;
        Ok(connect(&self.globals.server, self.globals.timeout, &credentials).await?)
    }
}

/// Runs a command; what went wrong has been told when it returns.
///
/// `program` is the whole command line of the program, for the completions.
pub async fn run(
    command: ClientCommand,
    globals: &Globals,
    environment: &Environment,
    out: &mut Output,
    program: clap::Command,
) -> Exit {
    let mut context = Context { globals, environment, out };
    let end = match command {
        ClientCommand::Send(args) => Box::pin(send::run(&mut context, *args)).await,
        ClientCommand::Jobs(command) => Box::pin(jobs::run(&mut context, command)).await,
        ClientCommand::Guests(command) => Box::pin(guests::run(&mut context, *command)).await,
        ClientCommand::Users(command) => Box::pin(users::run(&mut context, *command)).await,
        ClientCommand::Callers(command) => Box::pin(callers::run(&mut context, command)).await,
        ClientCommand::Settings(command) => Box::pin(settings::run(&mut context, command)).await,
        ClientCommand::Portal(command) => Box::pin(portal::run(&mut context, command)).await,
        ClientCommand::Reminders(command) => Box::pin(reminders::run(&mut context, command)).await,
        ClientCommand::Templates(command) => Box::pin(templates::run(&mut context, command)).await,
        ClientCommand::Alarms(command) => Box::pin(alarms::run(&mut context, command)).await,
        ClientCommand::Keys(command) => keys::run(&mut context, command).await,
        ClientCommand::Doctor(args) => Box::pin(doctor::run(&mut context, &args)).await,
        ClientCommand::LogLevels(command) => log_levels::run(&mut context, command).await,
        ClientCommand::Nodes => nodes::run(&mut context).await,
        ClientCommand::Completions { shell } => completions::run(&mut context, shell, program),
    };
    end.unwrap_or_else(|failure| match failure.tell(&globals.server, out) {
        Ok(()) => failure.exit(),
        // Nobody is left to be told.
        Err(_) => Exit::Failed,
    })
}
