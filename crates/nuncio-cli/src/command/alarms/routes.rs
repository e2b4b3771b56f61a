//! `nuncio alarms routes`

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use nuncio_api::v1;
use nuncio_api::v1::alarm_route::Target;

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::input;
use crate::output::{Line, Tone};
use crate::run::Context;
use crate::view;

#[derive(Subcommand)]
pub enum RoutesCommand {
    /// List the routes, without their secrets
    #[command(after_long_help = exit::HELP)]
    List,
    /// Make a route, or change one: all of its values count
    #[command(after_long_help = exit::HELP)]
    Save(Box<SaveArgs>),
    /// Send a test message by a route
    #[command(after_long_help = exit::HELP)]
    Test {
        /// The id of the route, such as on-call
        id: String,
    },
    /// Show what became of the last messages of a route
    #[command(after_long_help = exit::HELP)]
    Log {
        /// The id of the route, such as on-call
        id: String,
    },
    /// Remove a route
    #[command(after_long_help = exit::HELP)]
    Delete {
        /// The id of the route, such as on-call
        id: String,
    },
}

#[derive(Args)]
#[command(group(ArgGroup::new("target").required(true)))]
pub struct SaveArgs {
    /// The id of the route: lower-case letters, digits and `-`
    id: String,
    /// Where webhooks are posted: https, or http to this machine
    #[arg(long, value_name = "URL", group = "target")]
    webhook: Option<String>,
    /// File with the webhook's secret: `whsec_` and 24 to 64 bytes in Base64; `-` reads the standard input. Without
    /// one the saved secret stays
    #[arg(long, value_name = "FILE", requires = "webhook")]
    secret_file: Option<PathBuf>,
    /// Host of the syslog receiver
    #[arg(long, value_name = "HOST", group = "target")]
    syslog: Option<String>,
    /// Host of a mail server beside the provider's
    #[arg(long, value_name = "HOST", group = "target", requires_all = ["from", "recipients"])]
    smtp: Option<String>,
    /// Port of the syslog receiver [default: 6514 with TLS, else 514] or of the mail server [default: 587 with
    /// STARTTLS, 465 with TLS, 25 without]
    #[arg(
        long,
        value_name = "PORT",
        conflicts_with = "webhook",
        default_value_t = 0,
        hide_default_value = true
    )]
    port: i32,
    /// How syslog messages travel
    #[arg(long, value_enum, requires = "syslog", default_value_t = Transport::Tls)]
    transport: Transport,
    #[command(flatten)]
    mail: MailArgs,
    /// File with certificate authorities in PEM that are trusted beside the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How many seconds the receiver may take for a message, 1 to 60 [default: 15]
    #[arg(long, value_name = "SECONDS")]
    message_timeout: Option<i64>,
    /// Do not use the route for now
    #[arg(long)]
    disabled: bool,
}

/// What a mail server needs beside host and port.
#[derive(Args)]
struct MailArgs {
    /// How the mail server is talked to; none only without a password
    #[arg(long, value_enum, requires = "smtp", default_value_t = Encryption::Starttls)]
    encryption: Encryption,
    /// Sender of the mails
    #[arg(long, value_name = "ADDRESS", requires = "smtp")]
    from: Option<String>,
    /// Somebody who gets the mails; may be given several times
    #[arg(long = "to", id = "recipients", value_name = "ADDRESS", requires = "smtp")]
    recipients: Vec<String>,
    /// User name at the mail server [default: the sender's address]; without this and a password there is no login
    #[arg(long, value_name = "NAME", requires = "smtp")]
    username: Option<String>,
    /// File with the password; `-` reads the standard input. Without one the saved password stays while host and port
    /// do, if there is `--username`
    #[arg(long, value_name = "FILE", requires = "smtp")]
    password_file: Option<PathBuf>,
}

impl MailArgs {
    async fn target(self, host: String, port: i32) -> Result<Target, Failure> {
        let password = match &self.password_file {
            Some(path) => input::read_value(path).await?,
            None => String::new(),
        };
        let logs_in = self.username.is_some() || self.password_file.is_some();
        let login = logs_in.then(|| v1::PasswordAuthentication {
            username: self.username.unwrap_or_default(),
            password,
            password_set: false,
        });
        let encryption = match self.encryption {
            Encryption::Starttls => v1::SmtpEncryption::Starttls,
            Encryption::Tls => v1::SmtpEncryption::Tls,
            Encryption::None => v1::SmtpEncryption::None,
        };
        Ok(Target::Smtp(v1::SmtpTarget {
            host,
            port,
            encryption: encryption.into(),
            password: login,
            from_address: self.from.unwrap_or_default(),
            recipients: self.recipients,
        }))
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Encryption {
    Starttls,
    Tls,
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Transport {
    Tls,
    Tcp,
    Udp,
}

pub(crate) async fn run(
    context: &mut Context<'_>,
    command: RoutesCommand,
) -> Result<Exit, Failure> {
    match command {
        RoutesCommand::List => list(context).await,
        RoutesCommand::Save(args) => save(context, *args).await,
        RoutesCommand::Test { id } => test(context, &id).await,
        RoutesCommand::Log { id } => log(context, &id).await,
        RoutesCommand::Delete { id } => delete(context, &id).await,
    }
}

async fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = v1::ListAlarmRoutesRequest {};
    let response = clients.alarm_routes.list_alarm_routes(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table => context.out.table(&view::route::routes(&response.alarm_routes))?,
    }
    Ok(Exit::Ok)
}

async fn save(context: &mut Context<'_>, args: SaveArgs) -> Result<Exit, Failure> {
    let secret = match &args.secret_file {
        Some(path) => input::read_value(path).await?,
        None => String::new(),
    };
    let ca_certificates_pem = match &args.ca_file {
        Some(path) => input::read_text(path).await?,
        None => String::new(),
    };
    let transport = match args.transport {
        Transport::Tls => v1::SyslogTransport::Tls,
        Transport::Tcp => v1::SyslogTransport::Tcp,
        Transport::Udp => v1::SyslogTransport::Udp,
    };
    let webhook = args.webhook.map(|url| Target::Webhook(v1::WebhookTarget { url, secret }));
    let syslog = args.syslog.map(|host| {
        Target::Syslog(v1::SyslogTarget { host, port: args.port, transport: transport.into() })
    });
    let smtp = match args.smtp {
        Some(host) => Some(args.mail.target(host, args.port).await?),
        None => None,
    };
    let timeout = args.message_timeout.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
    let route = v1::AlarmRoute {
        name: name(&args.id),
        disabled: args.disabled,
        target: webhook.or(syslog).or(smtp),
        timeout,
        ca_certificates_pem,
        ..v1::AlarmRoute::default()
    };
    let request = v1::UpdateAlarmRouteRequest {
        alarm_route: Some(route),
        allow_missing: true,
        validate_only: false,
    };
    let mut clients = context.connect().await?;
    let response = clients.alarm_routes.update_alarm_route(request).await?.into_inner();
    let saved = response.alarm_route.ok_or(Failure::Incomplete("route"))?;
    match context.out.format() {
        Format::Json => context.out.message(&saved)?,
        Format::Table => {
            let hint = format!(" {}; try it: nuncio alarms routes test {}", saved.name, args.id);
            context.out.line(Line::new().push(Tone::Good, "saved").plain(hint))?;
        }
    }
    Ok(Exit::Ok)
}

async fn test(context: &mut Context<'_>, id: &str) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = v1::TestAlarmRouteRequest { name: name(id) };
    let response = clients.alarm_routes.test_alarm_route(request).await?.into_inner();
    let attempt = response.attempt.ok_or(Failure::Incomplete("attempt"))?;
    let delivered = attempt.failure.is_empty();
    match context.out.format() {
        Format::Json => context.out.message(&attempt)?,
        Format::Table => context.out.table(&view::route::attempts(&[attempt]))?,
    }
    Ok(if delivered { Exit::Ok } else { Exit::Refused })
}

async fn log(context: &mut Context<'_>, id: &str) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = v1::ListAlarmRouteAttemptsRequest { name: name(id) };
    let response = clients.alarm_routes.list_alarm_route_attempts(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table => context.out.table(&view::route::attempts(&response.attempts))?,
    }
    Ok(Exit::Ok)
}

async fn delete(context: &mut Context<'_>, id: &str) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = v1::DeleteAlarmRouteRequest { name: name(id), etag: String::new() };
    let response = clients.alarm_routes.delete_alarm_route(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table => {
            context.out.line(Line::new().push(Tone::Good, "removed").plain(format!(" {id}")))?;
        }
    }
    Ok(Exit::Ok)
}

fn name(id: &str) -> String {
    format!("alarmRoutes/{}", id.trim_start_matches("alarmRoutes/"))
}
