//! `nuncio callers`

use clap::{Args, Subcommand, ValueEnum};
use nuncio_api::v1::{
    Caller, CallerCredential, CallerPermission, CreateCallerRequest, DeleteCallerRequest,
    ListCallersRequest,
};

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::output::{Cell, Line, Table, Tone};
use crate::run::Context;
use crate::time::moment;

#[derive(Subcommand)]
pub enum CallersCommand {
    /// List who may call, and what each caller may do
    #[command(after_long_help = exit::HELP)]
    List,
    /// Make a caller; a token is printed this once
    #[command(after_long_help = exit::HELP)]
    Create(CreateArgs),
    /// Delete a caller: its next call is refused
    #[command(after_long_help = exit::HELP)]
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Args)]
pub struct CreateArgs {
    /// Its name: 1 to 64 letters, digits, `-`, `_` and `.`
    name: String,
    /// What it may do, separated by commas; none of them holds another
    #[arg(long, value_enum, value_delimiter = ',', required = true, value_name = "PERMISSIONS")]
    allow: Vec<Permission>,
    /// How many calls a second it may make on each node; after a pause two seconds' worth in one go. 500 if it is left out
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..))]
    calls_per_second: Option<i32>,
    /// How many of its calls, streams among them, may be under way on each node at once. 500 if it is left out
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..))]
    calls_at_once: Option<i32>,
    #[command(flatten)]
    proof: Proof,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Proof {
    /// It proves who it is by an API token, which is made now
    #[arg(long)]
    token: bool,
    /// It proves who it is by a client certificate of its name, as `nuncio certs issue … client` makes one
    #[arg(long)]
    certificate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Permission {
    /// Hand in mail jobs, alarms and events of guests
    Submit,
    /// Look at everything but secrets
    Read,
    /// Change jobs, alarms, guests, users and approvals
    Operate,
    /// Change settings, templates, the trust store and callers
    Administer,
}

pub(crate) async fn run(
    context: &mut Context<'_>,
    command: CallersCommand,
) -> Result<Exit, Failure> {
    match command {
        CallersCommand::List => list(context).await,
        CallersCommand::Create(args) => create(context, args).await,
        CallersCommand::Delete { name } => delete(context, name).await,
    }
}

async fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let listed = clients.callers.list_callers(ListCallersRequest {}).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&listed)?,
        Format::Table if listed.callers.is_empty() => context.out.note("no callers yet")?,
        Format::Table => context.out.table(&table(&listed.callers))?,
    }
    Ok(Exit::Ok)
}

async fn create(context: &mut Context<'_>, args: CreateArgs) -> Result<Exit, Failure> {
    let credential =
        if args.proof.token { CallerCredential::Token } else { CallerCredential::Certificate };
    let caller = Caller {
        name: args.name,
        permissions: args.allow.into_iter().map(|one| wire(one).into()).collect(),
        credential: credential.into(),
        create_time: None,
        calls_per_second: args.calls_per_second.unwrap_or_default(),
        calls_at_once: args.calls_at_once.unwrap_or_default(),
    };
    let mut clients = context.connect().await?;
    let request = CreateCallerRequest { caller: Some(caller) };
    let created = clients.callers.create_caller(request).await?.into_inner();
    if context.out.format() == Format::Json {
        context.out.message(&created)?;
        return Ok(Exit::Ok);
    }
    let caller = created.caller.ok_or(Failure::Incomplete("caller"))?;
    context.out.note(Line::new().push(Tone::Good, "created").plain(format!(" {}", caller.name)))?;
    if !created.token.is_empty() {
        // Alone on the standard output, so that it can be written to a file.
        context.out.note("its token follows; it is told this once, and kept nowhere")?;
        context.out.line(created.token)?;
    }
    Ok(Exit::Ok)
}

async fn delete(context: &mut Context<'_>, name: String) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = DeleteCallerRequest { name: name.clone() };
    let deleted = clients.callers.delete_caller(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&deleted)?,
        Format::Table => {
            let what = format!(" {name}; its next call is refused");
            context.out.line(Line::new().push(Tone::Good, "deleted").plain(what))?;
        }
    }
    Ok(Exit::Ok)
}

fn table(callers: &[Caller]) -> Table {
    let mut table = Table::with_head(["NAME", "MAY", "BY", "PER SECOND", "AT ONCE", "CREATED"]);
    for one in callers {
        let may: Vec<_> = one.permissions().map(|may| word(may.as_str_name())).collect();
        table.row([
            Cell::from(&one.name),
            Cell::from(may.join(", ")),
            Cell::from(word(one.credential().as_str_name())),
            Cell::from(limit(one.calls_per_second)),
            Cell::from(limit(one.calls_at_once)),
            Cell::from(moment(one.create_time.as_ref())),
        ]);
    }
    table
}

/// A limit, or that it is the one of all.
fn limit(given: i32) -> String {
    if given == 0 { "default".to_owned() } else { given.to_string() }
}

/// `CALLER_PERMISSION_SUBMIT`, for people.
fn word(name: &str) -> String {
    let name = name.trim_start_matches("CALLER_PERMISSION_");
    name.trim_start_matches("CALLER_CREDENTIAL_").to_lowercase()
}

fn wire(permission: Permission) -> CallerPermission {
    match permission {
        Permission::Submit => CallerPermission::Submit,
        Permission::Read => CallerPermission::Read,
        Permission::Operate => CallerPermission::Operate,
        Permission::Administer => CallerPermission::Administer,
    }
}
