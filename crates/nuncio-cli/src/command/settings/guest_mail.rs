//! `nuncio settings guest-mail`

use clap::{Args, Subcommand, ValueEnum};
use nuncio_api::client::Clients;
use nuncio_api::v1::{
    GetGuestMailSettingsRequest, GuestMailSender, GuestMailSettings, Mailbox,
    UpdateGuestMailSettingsRequest,
};

use crate::command::settings::history;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::input::parse_mailbox;
use crate::output::{Line, Tone};
use crate::run::Context;
use crate::view;

/// Stands for no address of one's own.
const NONE: &str = "none";

#[derive(Subcommand)]
pub enum GuestMailCommand {
    /// Show the settings
    #[command(after_long_help = exit::HELP)]
    Get,
    /// Change the settings; what is not given stays as it is
    #[command(after_long_help = exit::HELP)]
    Save(Box<SaveArgs>),
    /// Show who changed the settings, when and what, the newest first
    #[command(after_long_help = exit::HELP)]
    History,
}

#[derive(Args, Clone, Default, PartialEq)]
pub struct SaveArgs {
    /// Whether guests get mail at all
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    /// The default sender: `Wi-Fi desk <wifi@example.com>`; `none` means the mailbox of the SMTP settings
    #[arg(long, value_name = "MAILBOX")]
    default_from: Option<String>,
    /// Whose address the mails carry
    #[arg(long, value_enum)]
    sender: Option<SenderChoice>,
    /// Where answers go if the mail has the default sender; `none` means to the sender
    #[arg(long, value_name = "MAILBOX")]
    reply_to: Option<String>,
    /// An event that shall send nothing: `guest-extended`; may be repeated
    #[arg(long = "event-off", value_name = "EVENT")]
    events_off: Vec<String>,
    /// An event that shall send mail again; may be repeated
    #[arg(long = "event-on", value_name = "EVENT")]
    events_on: Vec<String>,
    /// The most reminders that may be due at once where mail to guests is switched on again
    #[arg(long, default_value_t = 0, value_name = "N")]
    max_due: i64,
    /// Only if the saved settings still have this etag
    #[arg(long)]
    etag: Option<String>,
    /// Only check the settings; nothing is saved
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum SenderChoice {
    /// The sponsor's, if the guest has one
    SponsorIfSponsored,
    /// The default sender
    AlwaysDefault,
}

pub(crate) async fn run(
    context: &mut Context<'_>,
    command: GuestMailCommand,
) -> Result<Exit, Failure> {
    match command {
        GuestMailCommand::Get => get(context).await,
        GuestMailCommand::Save(args) => save(context, *args).await,
        GuestMailCommand::History => history::show(context, "guest-mail").await,
    }
}

async fn get(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let settings = saved(&mut clients).await?;
    match context.out.format() {
        Format::Json => context.out.message(&settings)?,
        Format::Table => context.out.table(&view::guest_mail::settings(&settings))?,
    }
    Ok(Exit::Ok)
}

async fn save(context: &mut Context<'_>, args: SaveArgs) -> Result<Exit, Failure> {
    let (max_due_count, validate_only) = (args.max_due, args.dry_run);
    if args == (SaveArgs { max_due: max_due_count, dry_run: validate_only, ..SaveArgs::default() })
    {
        let remedy = "give options such as `--enabled false`; what is not given stays as it is";
        return Err(Failure::input("there is nothing to save", remedy));
    }
    let mut clients = context.connect().await?;
    let settings = changed(saved(&mut clients).await?, args)?;
    let guest_mail_settings = Some(settings);
    let request =
        UpdateGuestMailSettingsRequest { guest_mail_settings, max_due_count, validate_only };
    let response = clients.guest_mail.update_guest_mail_settings(request).await?.into_inner();
    if context.out.format() == Format::Json {
        context.out.message(&response)?;
        return Ok(Exit::Ok);
    }
    let settings = response.guest_mail_settings.ok_or(Failure::Incomplete("settings"))?;
    context.out.table(&view::guest_mail::settings(&settings))?;
    let done = if validate_only { "nothing was saved" } else { "saved" };
    let mut line = Line::new().push(Tone::Good, done);
    if 0 < response.due_count {
        line = line.plain(format!("; {} reminders are due at once", response.due_count));
    }
    context.out.line(line)?;
    Ok(Exit::Ok)
}

pub(super) async fn saved(clients: &mut Clients) -> Result<GuestMailSettings, Failure> {
    let request = GetGuestMailSettingsRequest {};
    let response = clients.guest_mail.get_guest_mail_settings(request).await?;
    response.into_inner().guest_mail_settings.ok_or(Failure::Incomplete("settings"))
}

/// The saved settings with what the options change. With the etag of what was read, nobody's change is lost.
fn changed(mut settings: GuestMailSettings, args: SaveArgs) -> Result<GuestMailSettings, Failure> {
    if let Some(enabled) = args.enabled {
        settings.enabled = enabled;
    }
    match args.sender {
        Some(SenderChoice::SponsorIfSponsored) => {
            settings.set_sender(GuestMailSender::SponsorIfSponsored);
        }
        Some(SenderChoice::AlwaysDefault) => settings.set_sender(GuestMailSender::AlwaysDefault),
        None => {}
    }
    if let Some(text) = args.default_from {
        settings.default_from = mailbox(&text)?;
    }
    if let Some(text) = args.reply_to {
        settings.reply_to = mailbox(&text)?;
    }
    settings.events_off.retain(|event| !args.events_on.contains(event));
    for event in args.events_off {
        if !settings.events_off.contains(&event) {
            settings.events_off.push(event);
        }
    }
    if let Some(etag) = args.etag {
        settings.etag = etag;
    }
    Ok(settings)
}

fn mailbox(text: &str) -> Result<Option<Mailbox>, Failure> {
    if text == NONE {
        return Ok(None);
    }
    let remedy = "give it as `Wi-Fi desk <wifi@example.com>`, or `none`";
    parse_mailbox(text)
        .map(Some)
        .map_err(|problem| Failure::input(format!("`{text}` is no mailbox: {problem}"), remedy))
}
