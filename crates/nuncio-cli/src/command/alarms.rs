//! `nuncio alarms`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nuncio_api::v1::{
    AcknowledgeAlarmRequest, AlarmEnd, AlarmIdentity, AlarmSettings, AlarmSeverity, AlarmState,
    AlarmType, ClearAlarmRequest, CreateSilenceRequest, DeleteAlarmTypeRequest,
    DeleteSilenceRequest, ExplainRouteRequest, GetAlarmRequest, GetAlarmSettingsRequest,
    ListAlarmTypesRequest, ListAlarmsRequest, ListSilencesRequest, NewAlarm, Silence,
    UpdateAlarmSettingsRequest, UpdateAlarmTypeRequest, explain_route_request,
};

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::input::{parse_pair, read_text};
use crate::names;
use crate::run::Context;
use crate::time::{now, parse_duration, timestamp};
use crate::view;

pub(crate) mod routes;
mod storm;

/// How many entries a page has that is read for a whole list.
const PAGE: i32 = 1000;

#[derive(Subcommand)]
pub enum AlarmsCommand {
    /// Raise an alarm, or many of them
    #[command(after_long_help = exit::HELP)]
    Raise(RaiseArgs),
    /// Tell that an alarm is over
    #[command(after_long_help = exit::HELP)]
    Clear(IdentityArgs),
    /// List alarms
    #[command(after_long_help = exit::HELP)]
    List(ListArgs),
    /// Show an alarm, and what was decided about its mails
    #[command(after_long_help = exit::HELP)]
    Get {
        /// `alarms/{fingerprint}`, or the fingerprint alone
        name: String,
    },
    /// Say that somebody looks after an alarm: its mails do not repeat
    #[command(after_long_help = exit::HELP)]
    Ack {
        /// `alarms/{fingerprint}`, or the fingerprint alone
        name: String,
        /// What is done about it
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        comment: String,
        /// Take the acknowledgement back
        #[arg(long)]
        withdraw: bool,
    },
    /// Keep alarms out of mails for a while
    #[command(after_long_help = exit::HELP)]
    Silence(SilenceArgs),
    /// List the silences
    #[command(after_long_help = exit::HELP)]
    Silences,
    /// End a silence
    #[command(after_long_help = exit::HELP)]
    Unsilence {
        /// `silences/{uuid}`, or the UUID alone
        name: String,
    },
    /// List the types of alarms, change, make and remove them
    #[command(subcommand)]
    Types(TypesCommand),
    /// Look at the settings of alarm notification, and save them
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// The second route: webhooks and syslog receivers that are told where mail is what is broken
    #[command(subcommand)]
    Routes(routes::RoutesCommand),
    /// Tell who would get a mail about an alarm, and who would not and why
    #[command(after_long_help = exit::HELP)]
    Explain(ExplainArgs),
}

#[derive(Args)]
pub struct IdentityArgs {
    /// The id of the type, or for what exists `alarms/{fingerprint}`
    #[arg(value_name = "TYPE")]
    alarm_type: String,
    /// The node that it is about
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    node: String,
    /// What else it is about; may be given several times
    #[arg(long = "label", value_parser = parse_pair, value_name = "KEY=VALUE")]
    labels: Vec<(String, String)>,
}

#[derive(Args)]
pub struct RaiseArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// What happened
    #[arg(long, default_value = "raised by hand", value_name = "TEXT")]
    description: String,
    /// More about it
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    details: String,
    /// How bad it is; without it, as the type says
    #[arg(long, value_parser = names::severity_parser(), ignore_case = true)]
    severity: Option<AlarmSeverity>,
    /// What was measured, for types with a condition on it
    #[arg(long, value_name = "NUMBER")]
    value: Option<f64>,
    /// Makes the call safe to repeat
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    request_id: String,
    /// Raise so many, to see what a storm comes to
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    count: Option<u64>,
    /// With `--count`: from so many different nodes
    #[arg(long, default_value_t = 1, value_name = "M", requires = "count")]
    distinct: u64,
}

#[derive(Args)]
pub struct ListArgs {
    /// Only alarms in this state; may be given several times
    #[arg(long = "state", value_parser = names::alarm_state_parser(), ignore_case = true)]
    states: Vec<AlarmState>,
    /// Only alarms of this severity; may be given several times
    #[arg(long = "severity", value_parser = names::severity_parser(), ignore_case = true)]
    severities: Vec<AlarmSeverity>,
    /// Only alarms of this type
    #[arg(long = "type", default_value = "", hide_default_value = true, value_name = "TYPE")]
    alarm_type: String,
    /// Only alarms of this node
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    node: String,
    /// Only alarms whose description or details contain this
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    text: String,
    /// How many alarms at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1000), value_name = "N")]
    limit: i32,
    /// The next page, as the page before told it
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TOKEN")]
    page_token: String,
}

#[derive(Args)]
pub struct SilenceArgs {
    /// Alarms of this type; `*` stands for any characters
    #[arg(long = "type", default_value = "", hide_default_value = true, value_name = "TYPE")]
    alarm_type: String,
    /// Alarms of this node, as above
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    node: String,
    /// Alarms with this label, its value as above; may be given several times
    #[arg(long = "label", value_parser = parse_pair, value_name = "KEY=VALUE")]
    labels: Vec<(String, String)>,
    /// For how long
    #[arg(long = "for", value_parser = parse_duration, value_name = "DURATION")]
    time: std::time::Duration,
    /// Why
    #[arg(long, value_name = "TEXT")]
    comment: String,
}

#[derive(Subcommand)]
pub enum TypesCommand {
    /// List the types
    #[command(after_long_help = exit::HELP)]
    List,
    /// Change a type, or make one, from a file with its fields as JSON
    #[command(after_long_help = exit::HELP)]
    Save {
        /// The JSON file, or `-` for the standard input
        file: PathBuf,
        /// Change only these fields; may be given several times
        #[arg(long = "field", value_name = "FIELD")]
        fields: Vec<String>,
    },
    /// Remove a type that somebody made, or the changes of one that came with nuncio
    #[command(after_long_help = exit::HELP)]
    Delete {
        /// `alarmTypes/{id}`, or the id alone
        name: String,
    },
}

#[derive(Subcommand)]
pub enum SettingsCommand {
    /// Show the settings
    #[command(after_long_help = exit::HELP)]
    Get,
    /// Name who gets the mails of all types
    #[command(after_long_help = exit::HELP)]
    Recipients {
        /// Addresses; none removes all
        addresses: Vec<String>,
    },
    /// Save settings from a file with their fields as JSON
    #[command(after_long_help = exit::HELP)]
    Save {
        /// The JSON file, or `-` for the standard input
        file: PathBuf,
        /// Change only these fields; may be given several times
        #[arg(long = "field", value_name = "FIELD")]
        fields: Vec<String>,
    },
}

#[derive(Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// How bad it would be; without it, as the type says
    #[arg(long, value_parser = names::severity_parser(), ignore_case = true)]
    severity: Option<AlarmSeverity>,
}

pub(crate) async fn run(
    context: &mut Context<'_>,
    command: AlarmsCommand,
) -> Result<Exit, Failure> {
    match command {
        AlarmsCommand::Raise(args) => raise(context, args).await,
        AlarmsCommand::Clear(args) => clear(context, args).await,
        AlarmsCommand::List(args) => list(context, args).await,
        AlarmsCommand::Get { name } => get(context, &name).await,
        AlarmsCommand::Ack { name, comment, withdraw } => {
            let request =
                AcknowledgeAlarmRequest { name: full("alarms/", &name), comment, withdraw };
            let mut clients = context.connect().await?;
            let response = clients.alarms.acknowledge_alarm(request).await?.into_inner();
            let alarm = response.alarm.ok_or(Failure::Incomplete("alarm"))?;
            show(context, &alarm, view::alarm::head)
        }
        AlarmsCommand::Silence(args) => silence(context, args).await,
        AlarmsCommand::Silences => silences(context).await,
        AlarmsCommand::Unsilence { name } => {
            let mut clients = context.connect().await?;
            let request = DeleteSilenceRequest { name: full("silences/", &name) };
            clients.alarms.delete_silence(request).await?;
            context.out.note("the silence has ended")?;
            Ok(Exit::Ok)
        }
        AlarmsCommand::Types(command) => types(context, command).await,
        AlarmsCommand::Settings(command) => settings(context, command).await,
        AlarmsCommand::Routes(command) => routes::run(context, command).await,
        AlarmsCommand::Explain(args) => explain(context, args).await,
    }
}

async fn raise(context: &mut Context<'_>, args: RaiseArgs) -> Result<Exit, Failure> {
    let (count, distinct) = (args.count, args.distinct);
    let alarm = NewAlarm {
        severity: args.severity.unwrap_or_default().into(),
        description: args.description,
        details: args.details,
        value: args.value,
        raise_time: None,
        request_id: args.request_id,
        traceparent: String::new(),
        identity: Some(identity(args.identity)),
    };
    if let Some(count) = count {
        return storm::raise_many(context, &alarm, count, distinct).await;
    }
    let mut clients = context.connect().await?;
    let request = nuncio_api::v1::RaiseAlarmRequest { alarm: Some(alarm), validate_only: false };
    let response = clients.alarms.raise_alarm(request).await?.into_inner();
    let outcome = response.outcome();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table => {
            let name = response.alarm.map(|alarm| alarm.name).unwrap_or_default();
            context.out.line(format!("{}  {name}", names::alarm_outcome(outcome)))?;
        }
    }
    Ok(Exit::Ok)
}

async fn clear(context: &mut Context<'_>, args: IdentityArgs) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = if args.alarm_type.starts_with("alarms/") {
        ClearAlarmRequest { name: args.alarm_type, end: None }
    } else {
        let end = AlarmEnd { identity: Some(identity(args)), ..AlarmEnd::default() };
        ClearAlarmRequest { name: String::new(), end: Some(end) }
    };
    let response = clients.alarms.clear_alarm(request).await?.into_inner();
    let outcome = response.outcome();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table => {
            let name = response.alarm.map(|alarm| alarm.name).unwrap_or_default();
            context.out.line(format!("{}  {name}", names::alarm_outcome(outcome)))?;
        }
    }
    Ok(Exit::Ok)
}

async fn list(context: &mut Context<'_>, args: ListArgs) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = ListAlarmsRequest {
        page_size: args.limit,
        page_token: args.page_token,
        states: args.states.into_iter().map(i32::from).collect(),
        severities: args.severities.into_iter().map(i32::from).collect(),
        r#type: args.alarm_type,
        node: args.node,
        text: args.text,
        ..ListAlarmsRequest::default()
    };
    let response = clients.alarms.list_alarms(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table if response.alarms.is_empty() => context.out.note("no alarms")?,
        Format::Table => context.out.table(&view::alarm::alarms(&response.alarms))?,
    }
    if context.out.format() == Format::Table && !response.next_page_token.is_empty() {
        let token = response.next_page_token;
        context.out.note(format!("there are more: add `--page-token {token}`"))?;
    }
    Ok(Exit::Ok)
}

async fn get(context: &mut Context<'_>, name: &str) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = GetAlarmRequest { name: full("alarms/", name) };
    let response = clients.alarms.get_alarm(request).await?.into_inner();
    if context.out.format() == Format::Json {
        context.out.message(&response)?;
        return Ok(Exit::Ok);
    }
    let alarm = response.alarm.as_ref().ok_or(Failure::Incomplete("alarm"))?;
    context.out.table(&view::alarm::head(alarm))?;
    if !response.decisions.is_empty() {
        context.out.line("")?;
        context.out.table(&view::alarm::decisions(&response.decisions))?;
    }
    Ok(Exit::Ok)
}

async fn silence(context: &mut Context<'_>, args: SilenceArgs) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let silence = Silence {
        r#type: args.alarm_type,
        node: args.node,
        labels: args.labels.into_iter().collect(),
        end_time: Some(timestamp(now() + args.time)),
        comment: args.comment,
        ..Silence::default()
    };
    let request = CreateSilenceRequest { silence: Some(silence) };
    let response = clients.alarms.create_silence(request).await?.into_inner();
    let made = response.silence.ok_or(Failure::Incomplete("silence"))?;
    show(context, &made, |made| view::alarm::silences(std::slice::from_ref(made)))
}

async fn silences(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = ListSilencesRequest { page_size: PAGE, page_token: String::new() };
    let response = clients.alarms.list_silences(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table if response.silences.is_empty() => context.out.note("no silences")?,
        Format::Table => context.out.table(&view::alarm::silences(&response.silences))?,
    }
    Ok(Exit::Ok)
}

async fn types(context: &mut Context<'_>, command: TypesCommand) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    match command {
        TypesCommand::List => {
            let request = ListAlarmTypesRequest { page_size: PAGE, page_token: String::new() };
            let response = clients.alarms.list_alarm_types(request).await?.into_inner();
            match context.out.format() {
                Format::Json => context.out.message(&response)?,
                Format::Table => context.out.table(&view::alarm::types(&response.alarm_types))?,
            }
            Ok(Exit::Ok)
        }
        TypesCommand::Save { file, fields } => {
            let text = read_text(&file).await?;
            let alarm_type: AlarmType = context.out.parse(&text).map_err(not_json)?;
            let request = UpdateAlarmTypeRequest {
                alarm_type: Some(alarm_type),
                update_mask: mask(fields),
                allow_missing: true,
            };
            let response = clients.alarms.update_alarm_type(request).await?.into_inner();
            let saved = response.alarm_type.ok_or(Failure::Incomplete("alarm type"))?;
            show(context, &saved, |saved| view::alarm::types(std::slice::from_ref(saved)))
        }
        TypesCommand::Delete { name } => {
            let name = full("alarmTypes/", &name);
            let request = DeleteAlarmTypeRequest { name, etag: String::new() };
            let response = clients.alarms.delete_alarm_type(request).await?.into_inner();
            context.out.note(if response.alarm_type.is_some() {
                "the type is as it came with nuncio"
            } else {
                "the type was removed"
            })?;
            Ok(Exit::Ok)
        }
    }
}

async fn settings(context: &mut Context<'_>, command: SettingsCommand) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let (alarm_settings, fields) = match command {
        SettingsCommand::Get => {
            let got = clients.alarms.get_alarm_settings(GetAlarmSettingsRequest {}).await?;
            let got = got.into_inner();
            if context.out.format() == Format::Json {
                context.out.message(&got)?;
                return Ok(Exit::Ok);
            }
            let settings = got.alarm_settings.ok_or(Failure::Incomplete("alarm settings"))?;
            context.out.table(&view::alarm::settings(&settings))?;
            return Ok(Exit::Ok);
        }
        SettingsCommand::Recipients { addresses } => {
            let settings = AlarmSettings { recipients: addresses, ..AlarmSettings::default() };
            (settings, vec!["recipients".to_owned()])
        }
        SettingsCommand::Save { file, fields } => {
            let text = read_text(&file).await?;
            (context.out.parse(&text).map_err(not_json)?, fields)
        }
    };
    let request = UpdateAlarmSettingsRequest {
        alarm_settings: Some(alarm_settings),
        update_mask: mask(fields),
        validate_only: false,
    };
    let response = clients.alarms.update_alarm_settings(request).await?.into_inner();
    let saved = response.alarm_settings.ok_or(Failure::Incomplete("alarm settings"))?;
    show(context, &saved, view::alarm::settings)
}

async fn explain(context: &mut Context<'_>, args: ExplainArgs) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let subject = if args.identity.alarm_type.starts_with("alarms/") {
        explain_route_request::Subject::Name(args.identity.alarm_type)
    } else {
        explain_route_request::Subject::Alarm(NewAlarm {
            identity: Some(identity(args.identity)),
            severity: args.severity.unwrap_or_default().into(),
            description: "explain".to_owned(),
            ..NewAlarm::default()
        })
    };
    let request = ExplainRouteRequest { subject: Some(subject) };
    let response = clients.alarms.explain_route(request).await?.into_inner();
    if context.out.format() == Format::Json {
        context.out.message(&response)?;
        return Ok(Exit::Ok);
    }
    context.out.table(&view::alarm::stages(&response.stages))?;
    context.out.line("")?;
    context.out.table(&view::alarm::routes(&response.recipients))?;
    if response.second_route {
        context.out.note("it is about the way of mail: the second route is taken too")?;
    }
    Ok(Exit::Ok)
}

fn show<M: prost::Message + prost::Name>(
    context: &mut Context<'_>,
    message: &M,
    table: impl FnOnce(&M) -> crate::output::Table,
) -> Result<Exit, Failure> {
    match context.out.format() {
        Format::Json => context.out.message(message)?,
        Format::Table => context.out.table(&table(message))?,
    }
    Ok(Exit::Ok)
}

fn identity(args: IdentityArgs) -> AlarmIdentity {
    AlarmIdentity {
        r#type: args.alarm_type,
        node: args.node,
        labels: args.labels.into_iter().collect(),
    }
}

fn mask(fields: Vec<String>) -> Option<prost_types::FieldMask> {
    (!fields.is_empty()).then_some(prost_types::FieldMask { paths: fields })
}

fn not_json(problem: String) -> Failure {
    Failure::input(problem, "give the fields as `nuncio alarms … --output json` shows them")
}

/// The resource name: the last part alone is enough for a person.
fn full(prefix: &str, name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("{prefix}{name}") }
}
