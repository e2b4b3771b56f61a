//! `nuncio log-levels`

use std::time::Duration;

use clap::Subcommand;
use nuncio_api::convert::time::duration;
use nuncio_api::v1::{ListLogLevelsRequest, LogLevel, LogSeverity, SetLogLevelRequest};

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::names;
use crate::output::{Cell, Table};
use crate::run::Context;
use crate::time::{moment, parse_duration};

#[derive(Subcommand)]
pub enum LogLevelsCommand {
    /// Show which components log more or less than configured, and until when
    #[command(after_long_help = exit::HELP)]
    List,
    /// Have a component log more or less on all nodes that share the settings, for a while
    #[command(after_long_help = exit::HELP)]
    Set {
        /// The component, such as `smtp`; a wrong one is told with those that there are
        component: String,
        /// From which severity on it logs
        #[arg(value_parser = names::log_severity_parser(), ignore_case = true)]
        severity: LogSeverity,
        /// For how long, seven days at most
        #[arg(long = "for", value_parser = parse_duration, value_name = "DURATION", default_value = "1h")]
        ttl: Duration,
    },
    /// Give a component its configured level back
    #[command(after_long_help = exit::HELP)]
    Reset {
        /// The component
        component: String,
    },
}

pub(crate) async fn run(
    context: &mut Context<'_>,
    command: LogLevelsCommand,
) -> Result<Exit, Failure> {
    match command {
        LogLevelsCommand::List => list(context).await,
        LogLevelsCommand::Set { component, severity, ttl } => {
            set(context, component, severity, Some(ttl)).await
        }
        LogLevelsCommand::Reset { component } => {
            set(context, component, LogSeverity::Unspecified, None).await
        }
    }
}

async fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let listed = clients.log_levels.list_log_levels(ListLogLevelsRequest {}).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&listed)?,
        Format::Table => show(context, &listed.log_levels)?,
    }
    Ok(Exit::Ok)
}

async fn set(
    context: &mut Context<'_>,
    component: String,
    severity: LogSeverity,
    ttl: Option<Duration>,
) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let (severity, ttl) = (severity.into(), ttl.map(duration));
    let request = SetLogLevelRequest { component, severity, ttl };
    let set = clients.log_levels.set_log_level(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&set)?,
        Format::Table => show(context, &set.log_levels)?,
    }
    Ok(Exit::Ok)
}

fn show(context: &mut Context<'_>, levels: &[LogLevel]) -> Result<(), Failure> {
    if levels.is_empty() {
        context.out.note("all components log as configured")?;
        return Ok(());
    }
    let mut table = Table::with_head(["COMPONENT", "LEVEL", "UNTIL"]);
    for level in levels {
        table.row([
            Cell::from(&level.component),
            Cell::from(names::log_severity(level.severity())),
            Cell::from(moment(level.expire_time.as_ref())),
        ]);
    }
    context.out.table(&table)?;
    Ok(())
}
