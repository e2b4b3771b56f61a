//! `nuncio settings trust`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use nuncio_api::client::Clients;
use nuncio_api::v1::{
    GetTrustStoreRequest, GetTrustStoreResponse, TrustStore, TrustUse, TrustedCertificate,
    UpdateTrustStoreRequest,
};

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::input;
use crate::output::{Line, Tone};
use crate::run::Context;
use crate::view;

#[derive(Subcommand)]
pub enum TrustCommand {
    /// List the certificates that are trusted beside the system's, and how long they still count
    #[command(after_long_help = exit::HELP)]
    List,
    /// Trust a certificate authority; new connections do so at once
    #[command(after_long_help = exit::HELP)]
    Add(AddArgs),
    /// Trust a certificate no longer
    #[command(after_long_help = exit::HELP)]
    Remove {
        /// Its name in the trust store, such as corp-root
        name: String,
    },
    /// Show who changed the trust store, when and what
    #[command(after_long_help = exit::HELP)]
    History,
}

#[derive(Args)]
pub struct AddArgs {
    /// A name for it: lower-case letters, digits and `-`, such as corp-root
    name: String,
    /// File with exactly one certificate in PEM; `-` reads the standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// What it is trusted for; may be repeated [default: all of them]
    #[arg(long = "for", value_enum, value_name = "USE")]
    uses: Vec<Use>,
    /// What it is there for, in your words
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    description: String,
    /// Take the place of the certificate of this name
    #[arg(long)]
    replace: bool,
    /// Only check it
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Use {
    Smtp,
    TokenEndpoint,
    /// Webhooks and syslog receivers
    AlarmRoutes,
}

pub(crate) async fn run(context: &mut Context<'_>, command: TrustCommand) -> Result<Exit, Failure> {
    match command {
        TrustCommand::List => list(context).await,
        TrustCommand::Add(args) => add(context, args).await,
        TrustCommand::Remove { name } => remove(context, &name).await,
        TrustCommand::History => history(context).await,
    }
}

async fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let store = saved(&mut clients).await?.trust_store.unwrap_or_default();
    match context.out.format() {
        Format::Json => context.out.message(&store)?,
        Format::Table if store.certificates.is_empty() => {
            context.out.note("the trust store is empty; only the system's authorities count")?;
        }
        Format::Table => context.out.table(&view::trust_store::certificates(&store))?,
    }
    Ok(Exit::Ok)
}

async fn add(context: &mut Context<'_>, args: AddArgs) -> Result<Exit, Failure> {
    let certificate = TrustedCertificate {
        name: args.name.clone(),
        description: args.description,
        certificate_pem: input::read_text(&args.file).await?,
        trusted_for: uses(&args.uses),
        ..TrustedCertificate::default()
    };
    let mut clients = context.connect().await?;
    let mut store = saved(&mut clients).await?.trust_store.unwrap_or_default();
    if args.replace {
        store.certificates.retain(|one| one.name != args.name);
    } else if store.certificates.iter().any(|one| one.name == args.name) {
        let problem = format!("the trust store has a certificate `{}` already", args.name);
        return Err(Failure::input(problem, "choose another name, or `--replace` that one"));
    }
    store.certificates.push(certificate);
    let store = save(&mut clients, store, args.dry_run).await?;
    let added = store.certificates.iter().find(|one| one.name == args.name);
    let added = added.ok_or(Failure::Incomplete("certificate"))?;
    if context.out.format() == Format::Json {
        context.out.message(added)?;
        return Ok(Exit::Ok);
    }
    context.out.table(&view::trust_store::certificate(added))?;
    for warning in &added.warnings {
        context.out.note(Line::new().push(Tone::Warning, "warning: ").plain(warning))?;
    }
    let done = if args.dry_run { "nothing was saved" } else { "trusted from now on" };
    context.out.line(Line::new().push(Tone::Good, done))?;
    Ok(Exit::Ok)
}

async fn remove(context: &mut Context<'_>, name: &str) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let mut store = saved(&mut clients).await?.trust_store.unwrap_or_default();
    let before = store.certificates.len();
    store.certificates.retain(|one| one.name != name);
    if store.certificates.len() == before {
        let problem = format!("the trust store has no certificate `{name}`");
        return Err(Failure::input(problem, "see the names with `nuncio settings trust list`"));
    }
    let store = save(&mut clients, store, false).await?;
    match context.out.format() {
        Format::Json => context.out.message(&store)?,
        Format::Table => {
            let what = format!(" {name}; new connections trust it no longer");
            context.out.line(Line::new().push(Tone::Good, "removed").plain(what))?;
        }
    }
    Ok(Exit::Ok)
}

async fn history(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let response = saved(&mut clients).await?;
    match context.out.format() {
        // Without the certificates, which `list` shows.
        Format::Json => {
            let changes = GetTrustStoreResponse { trust_store: None, ..response };
            context.out.message(&changes)?;
        }
        Format::Table if response.changes.is_empty() => context.out.note("no changes yet")?,
        Format::Table => context.out.table(&view::trust_store::changes(&response.changes))?,
    }
    Ok(Exit::Ok)
}

async fn saved(clients: &mut Clients) -> Result<GetTrustStoreResponse, Failure> {
    Ok(clients.trust_store.get_trust_store(GetTrustStoreRequest {}).await?.into_inner())
}

/// Saves it if nobody has changed it since it was read.
async fn save(
    clients: &mut Clients,
    store: TrustStore,
    validate_only: bool,
) -> Result<TrustStore, Failure> {
    let request = UpdateTrustStoreRequest { trust_store: Some(store), validate_only };
    let response = clients.trust_store.update_trust_store(request).await?.into_inner();
    response.trust_store.ok_or(Failure::Incomplete("trust store"))
}

fn uses(given: &[Use]) -> Vec<i32> {
    let all = [Use::Smtp, Use::TokenEndpoint, Use::AlarmRoutes];
    let wanted = all.into_iter().filter(|one| given.is_empty() || given.contains(one));
    let wanted = wanted.map(|one| match one {
        Use::Smtp => TrustUse::Smtp,
        Use::TokenEndpoint => TrustUse::TokenEndpoint,
        Use::AlarmRoutes => TrustUse::AlarmRoutes,
    });
    wanted.map(i32::from).collect()
}
