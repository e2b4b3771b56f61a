//! `nuncio settings`

use clap::{Args, Subcommand};
use nuncio_api::client::Clients;
use nuncio_api::v1::{
    GetSmtpSettingsRequest, SmtpSettings, TestSmtpSettingsRequest, UpdateSmtpSettingsRequest,
};

use crate::command::settings::trust::TrustCommand;
use crate::command::settings::values::{SmtpArgs, Values};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::output::{Line, Output, Tone};
use crate::run::Context;
use crate::view;

pub(crate) mod bundle;
mod export;
pub(crate) mod guest_mail;
pub(crate) mod history;
mod import;
pub(crate) mod progress;
mod trust;
mod values;

#[derive(Subcommand)]
pub enum SettingsCommand {
    /// How nuncio reaches the mail provider
    #[command(subcommand)]
    Smtp(SmtpCommand),
    /// Whom nuncio trusts beside the system's certificate authorities
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Whether and from whom guests get mail
    #[command(subcommand)]
    GuestMail(guest_mail::GuestMailCommand),
    /// Write all settings into a file, without secrets
    #[command(after_long_help = exit::HELP)]
    Export(export::ExportArgs),
    /// Take in the settings of a file: all of it is checked and shown first, and the SMTP settings are tested
    #[command(after_long_help = exit::HELP)]
    Import(Box<import::ImportArgs>),
    /// Show who changed settings, when and what, the newest first
    #[command(after_long_help = exit::HELP)]
    History {
        /// Only this document: `smtp`, `guest-mail`, `alarms`, `reminders`, `alarm-routes`, `trust-store`
        /// or `log-levels`
        #[arg(default_value = "", hide_default_value = true)]
        document: String,
    },
}

#[derive(Subcommand)]
pub enum SmtpCommand {
    /// Show the settings, without their secrets
    #[command(after_long_help = exit::HELP)]
    Get,
    /// Test settings from every node, without saving them; without options the saved ones
    #[command(after_long_help = exit::HELP)]
    Test {
        #[command(flatten)]
        values: Box<SmtpArgs>,
        #[command(flatten)]
        except: ExceptArgs,
    },
    /// Save settings that passed a test in the last ten minutes
    #[command(after_long_help = exit::HELP)]
    Save {
        #[command(flatten)]
        values: Box<SmtpArgs>,
        /// Test exactly these settings first, and save them only if they pass
        #[arg(long)]
        test: bool,
        #[command(flatten)]
        except: ExceptArgs,
    },
    /// Show who changed the settings, when and what, the newest first
    #[command(after_long_help = exit::HELP)]
    History,
}

/// Which nodes need not pass.
#[derive(Args)]
pub struct ExceptArgs {
    /// Do not test from this node, and save without its test, such as while it is being repaired; may be repeated. The history
    /// of the settings names it
    #[arg(long = "except-node", value_name = "NODE")]
    except_nodes: Vec<String>,
}

pub(crate) async fn run(
    context: &mut Context<'_>,
    command: SettingsCommand,
) -> Result<Exit, Failure> {
    match command {
        SettingsCommand::Smtp(command) => smtp(context, command).await,
        SettingsCommand::Trust(command) => trust::run(context, command).await,
        SettingsCommand::GuestMail(command) => guest_mail::run(context, command).await,
        SettingsCommand::Export(args) => export::run(context, args).await,
        SettingsCommand::Import(args) => Box::pin(import::run(context, *args)).await,
        SettingsCommand::History { document } => history::show(context, &document).await,
    }
}

async fn smtp(context: &mut Context<'_>, command: SmtpCommand) -> Result<Exit, Failure> {
    match command {
        SmtpCommand::Get => get(context).await,
        SmtpCommand::Test { values, except } => {
            let values = Values::read(*values, context.environment).await?;
            let mut clients = context.connect().await?;
            let settings =
                if values.is_empty() { None } else { Some(settings(&mut clients, values).await?) };
            test(context, &mut clients, settings, except.except_nodes).await
        }
        SmtpCommand::Save { values, test, except } => {
            save(context, *values, test, except.except_nodes).await
        }
        SmtpCommand::History => history::show(context, "smtp").await,
    }
}

async fn get(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let settings = saved(&mut clients).await?;
    match context.out.format() {
        Format::Json => context.out.message(&settings)?,
        Format::Table => context.out.table(&view::smtp_settings::settings(&settings))?,
    }
    Ok(Exit::Ok)
}

async fn save(
    context: &mut Context<'_>,
    args: SmtpArgs,
    test_first: bool,
    except_nodes: Vec<String>,
) -> Result<Exit, Failure> {
    let values = Values::read(args, context.environment).await?;
    if values.is_empty() {
        let remedy = "give options, or a file with `--file`; `--from-saved` keeps all other values";
        return Err(Failure::input("there is nothing to save", remedy));
    }
    let mut clients = context.connect().await?;
    let settings = settings(&mut clients, values).await?;
    if test_first {
        let end = test(context, &mut clients, Some(settings.clone()), except_nodes.clone()).await?;
        if end != Exit::Ok {
            if context.out.format() == Format::Table {
                context.out.note("nothing was saved")?;
            }
            return Ok(end);
        }
    }
    let smtp_settings = Some(settings);
    let request = UpdateSmtpSettingsRequest { smtp_settings, validate_only: false, except_nodes };
    let response = clients.smtp_settings.update_smtp_settings(request).await?.into_inner();
    let saved = response.smtp_settings.ok_or(Failure::Incomplete("settings"))?;
    match context.out.format() {
        Format::Json if test_first => context.out.message_line(&saved)?,
        Format::Json => context.out.message(&saved)?,
        Format::Table => {
            let what = format!(" as generation {}", saved.generation);
            context.out.line(Line::new().push(Tone::Good, "saved").plain(what))?;
        }
    }
    Ok(Exit::Ok)
}

/// Tests settings and shows each stage as it ends.
async fn test(
    context: &mut Context<'_>,
    clients: &mut Clients,
    settings: Option<SmtpSettings>,
    except_nodes: Vec<String>,
) -> Result<Exit, Failure> {
    let request = TestSmtpSettingsRequest { smtp_settings: settings, except_nodes };
    let events = clients.smtp_settings.test_smtp_settings(request).await?.into_inner();
    let for_programs = |out: &mut Output, told: &_| match out.format() {
        Format::Json => out.message_line(told),
        Format::Table => Ok(()),
    };
    let report = progress::follow(context.out, events, for_programs).await?;
    if context.out.format() == Format::Table {
        context.out.line(progress::conclusion(&report))?;
    }
    Ok(if report.passed { Exit::Ok } else { Exit::Refused })
}

/// The settings that the values make, on top of the saved ones if that was asked for.
async fn settings(clients: &mut Clients, values: Values) -> Result<SmtpSettings, Failure> {
    let base =
        if values.start_from_saved() { saved(clients).await? } else { SmtpSettings::default() };
    values.apply(base).await
}

async fn saved(clients: &mut Clients) -> Result<SmtpSettings, Failure> {
    let response = clients.smtp_settings.get_smtp_settings(GetSmtpSettingsRequest {}).await?;
    response.into_inner().smtp_settings.ok_or(Failure::Incomplete("settings"))
}
