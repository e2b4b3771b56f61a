//! `nuncio reminders`

use clap::{Args, Subcommand};
use nuncio_api::client::Clients;
use nuncio_api::v1::{
    GetReminderSettingsRequest, ListRemindersRequest, ListRemindersResponse,
    PreviewRemindersRequest, PreviewRemindersResponse, QuietHours, ReminderRule, ReminderSettings,
    ReminderStage, UpdateReminderSettingsRequest,
};

use crate::command::settings::history;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::input::parse_pair;
use crate::output::{Line, Tone};
use crate::run::Context;
use crate::time::{now, parse_duration, parse_moment};
use crate::view;

/// The most subjects of a page of a preview.
const PAGE: i32 = 1000;
/// How many lines of a preview are shown where `--all` is not given.
const LINES_SHOWN: usize = 50;

#[derive(Subcommand)]
pub enum RemindersCommand {
    /// Show when who is reminded
    #[command(after_long_help = exit::HELP)]
    Settings,
    /// Change when who is reminded; what is not given stays as it is
    #[command(after_long_help = exit::HELP)]
    Set(Box<SetArgs>),
    /// Show who changed the settings, when and what, the newest first
    #[command(after_long_help = exit::HELP)]
    History,
    /// Show who would get which reminder and when, and why others would not; nothing is sent
    #[command(after_long_help = exit::HELP)]
    Preview(PreviewArgs),
    /// Show what was decided about the reminders of a guest or user
    #[command(after_long_help = exit::HELP)]
    List {
        /// `guests/anna` or `users/root`
        subject: String,
    },
}

/// Stages are spans before the expiry, separated by commas: `7d,3d,1d,2h`; with texts of a portal's own:
/// `2h:last-call`. `off` means none, and keeps the stages that were there.
#[derive(Args)]
pub struct SetArgs {
    /// Stages of guests whose type has none of its own: `7d,3d,1d,2h`, or `off`
    #[arg(long, value_name = "STAGES")]
    guests: Option<String>,
    /// Stages of a guest type: `contractor=7d,1d`, or `daily=off`; may be repeated
    #[arg(long = "guest-type", value_parser = parse_pair, value_name = "TYPE=STAGES")]
    guest_types: Vec<(String, String)>,
    /// Remove the rule of a guest type, so that the one of all guests counts; may be repeated
    #[arg(long = "remove-guest-type", value_name = "TYPE")]
    remove_guest_types: Vec<String>,
    /// Whether sponsors get a copy of each reminder of a guest
    #[arg(long, value_name = "BOOL")]
    copy_to_sponsor: Option<bool>,
    /// Stages of the passwords of administrators
    #[arg(long, value_name = "STAGES")]
    administrators: Option<String>,
    /// Stages of the passwords of network users
    #[arg(long, value_name = "STAGES")]
    network_users: Option<String>,
    /// When nobody is reminded, by the clock of who is reminded: `21:00-07:00`, or `none`
    #[arg(long, value_name = "HOURS")]
    quiet_hours: Option<String>,
    /// The most reminders that may be due at once by this change
    #[arg(long, default_value_t = 0, value_name = "N")]
    max_due: i64,
    /// Only check the settings, and count how many reminders would be due at once
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
pub struct PreviewArgs {
    /// From when on: `2027-03-15T08:00:00Z`, or `+2d` from now
    #[arg(long, value_parser = |text: &str| parse_moment(text, now()), value_name = "TIME")]
    as_of: Option<prost_types::Timestamp>,
    /// How far ahead: `7d`
    #[arg(long, default_value = "7d", value_parser = parse_duration, value_name = "SPAN")]
    horizon: std::time::Duration,
    /// Only this guest or user: `guests/anna`, `users/root`
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    subject: String,
    /// Show those one by one too who would get nothing
    #[arg(long)]
    not_reminded: bool,
    /// Show all lines, however many
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(
    context: &mut Context<'_>,
    command: RemindersCommand,
) -> Result<Exit, Failure> {
    match command {
        RemindersCommand::Settings => settings(context).await,
        RemindersCommand::Set(args) => set(context, *args).await,
        RemindersCommand::History => history::show(context, "reminders").await,
        RemindersCommand::Preview(args) => preview(context, args).await,
        RemindersCommand::List { subject } => list(context, subject).await,
    }
}

async fn settings(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let settings = saved(&mut clients).await?;
    match context.out.format() {
        Format::Json => context.out.message(&settings)?,
        Format::Table => context.out.table(&view::reminder::settings(&settings))?,
    }
    Ok(Exit::Ok)
}

async fn set(context: &mut Context<'_>, args: SetArgs) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let (max_due_count, validate_only) = (args.max_due, args.dry_run);
    let settings = changed(saved(&mut clients).await?, args)?;
    let reminder_settings = Some(settings);
    let request = UpdateReminderSettingsRequest { reminder_settings, max_due_count, validate_only };
    let response = clients.reminders.update_reminder_settings(request).await?.into_inner();
    if context.out.format() == Format::Json {
        context.out.message(&response)?;
        return Ok(Exit::Ok);
    }
    let settings = response.reminder_settings.ok_or(Failure::Incomplete("settings"))?;
    context.out.table(&view::reminder::settings(&settings))?;
    let due = format!("; {} reminders are due at once", response.due_count);
    let done = if validate_only { "nothing was saved" } else { "saved" };
    context.out.line(Line::new().push(Tone::Good, done).plain(due))?;
    Ok(Exit::Ok)
}

async fn preview(context: &mut Context<'_>, args: PreviewArgs) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let mut request = PreviewRemindersRequest {
        as_of_time: args.as_of,
        horizon: prost_types::Duration::try_from(args.horizon).ok(),
        reminder_settings: None,
        subject: args.subject,
        include_not_reminded: args.not_reminded,
        page_size: PAGE,
        page_token: String::new(),
    };
    let most = if args.all { usize::MAX } else { LINES_SHOWN };
    let mut sum = PreviewRemindersResponse::default();
    let mut left_out = 0;
    loop {
        let page = clients.reminders.preview_reminders(request.clone()).await?.into_inner();
        sum.subject_count += page.subject_count;
        sum.reminder_count += page.reminder_count;
        for (reason, count) in page.not_reminded_counts {
            *sum.not_reminded_counts.entry(reason).or_default() += count;
        }
        let room = most.saturating_sub(sum.forecasts.len());
        left_out += page.forecasts.len().saturating_sub(room);
        sum.forecasts.extend(page.forecasts.into_iter().take(room));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    if context.out.format() == Format::Json {
        context.out.message(&sum)?;
        return Ok(Exit::Ok);
    }
    if !sum.forecasts.is_empty() {
        context.out.table(&view::reminder::forecasts(&sum.forecasts))?;
    }
    if 0 < left_out {
        context.out.note(format!("{left_out} more; show them with `--all`"))?;
    }
    context.out.line(format!(
        "{} reminders for {} guests and users",
        sum.reminder_count, sum.subject_count
    ))?;
    for (reason, count) in &sum.not_reminded_counts {
        context.out.line(format!("  {count} would get none: {reason}"))?;
    }
    Ok(Exit::Ok)
}

async fn list(context: &mut Context<'_>, subject: String) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let mut request = ListRemindersRequest { subject, page_size: PAGE, page_token: String::new() };
    let mut all = ListRemindersResponse::default();
    loop {
        let page = clients.reminders.list_reminders(request.clone()).await?.into_inner();
        all.reminders.extend(page.reminders);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    match context.out.format() {
        Format::Json => context.out.message(&all)?,
        Format::Table if all.reminders.is_empty() => context.out.note("no reminders yet")?,
        Format::Table => context.out.table(&view::reminder::reminders(&all.reminders))?,
    }
    Ok(Exit::Ok)
}

async fn saved(clients: &mut Clients) -> Result<ReminderSettings, Failure> {
    let response = clients.reminders.get_reminder_settings(GetReminderSettingsRequest {}).await?;
    response.into_inner().reminder_settings.ok_or(Failure::Incomplete("settings"))
}

/// The saved settings with what the options change.
fn changed(mut settings: ReminderSettings, args: SetArgs) -> Result<ReminderSettings, Failure> {
    for (rule, stages) in [
        (&mut settings.guests, args.guests),
        (&mut settings.administrators, args.administrators),
        (&mut settings.network_users, args.network_users),
    ] {
        if let Some(stages) = stages {
            change(rule.get_or_insert_default(), &stages)?;
        }
    }
    for (name, stages) in args.guest_types {
        change(settings.guest_types.entry(name).or_default(), &stages)?;
    }
    for name in args.remove_guest_types {
        settings.guest_types.remove(&name);
    }
    if let Some(copy) = args.copy_to_sponsor {
        settings.guests.get_or_insert_default().copy_to_sponsor = copy;
        for rule in settings.guest_types.values_mut() {
            rule.copy_to_sponsor = copy;
        }
    }
    if let Some(hours) = args.quiet_hours {
        settings.quiet_hours = quiet_hours(&hours)?;
    }
    Ok(settings)
}

fn change(rule: &mut ReminderRule, stages: &str) -> Result<(), Failure> {
    rule.enabled = stages != "off";
    if rule.enabled {
        let stages: Result<_, Failure> = stages.split(',').map(|text| stage(text.trim())).collect();
        rule.stages = stages?;
    }
    Ok(())
}

fn stage(text: &str) -> Result<ReminderStage, Failure> {
    let (span, portal) = text.split_once(':').unwrap_or((text, ""));
    let before = parse_duration(span).ok().and_then(|span| span.try_into().ok());
    let before = before.ok_or_else(|| {
        let remedy = "give spans before the expiry, such as `7d,3d,2h`, or `off`";
        Failure::input(format!("`{span}` is no stage"), remedy)
    })?;
    Ok(ReminderStage { before: Some(before), portal: portal.to_owned() })
}

fn quiet_hours(text: &str) -> Result<Option<QuietHours>, Failure> {
    if text == "none" {
        return Ok(None);
    }
    let (start, end) = text.split_once('-').ok_or_else(|| {
        let remedy = "give a start and an end, such as `21:00-07:00`, or `none`";
        Failure::input(format!("`{text}` are no hours"), remedy)
    })?;
    Ok(Some(QuietHours { start: start.trim().to_owned(), end: end.trim().to_owned() }))
}
