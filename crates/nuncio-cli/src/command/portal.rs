//! `nuncio portal`

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use nuncio_api::v1;
use nuncio_api::v1::{ApprovalVerdict, BulkGuest, Mailbox, NoticeOptions, PortalEvent};

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::input::{parse_mailbox, read_text, read_value};
use crate::names;
use crate::run::Context;
use crate::time::parse_duration;
use crate::view;

#[derive(Subcommand)]
pub enum PortalCommand {
    /// Tell a guest of the directory what happened
    #[command(after_long_help = exit::HELP)]
    Notify(NotifyArgs),
    /// Tell many guests of the directory, with a summary for the sponsor
    #[command(after_long_help = exit::HELP)]
    Bulk(BulkArgs),
    /// Ask for approvals, look at them and decide them
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// Look at senders that the provider refused
    #[command(subcommand)]
    Senders(SendersCommand),
}

#[derive(Args)]
pub struct NotifyArgs {
    /// What happened
    #[arg(value_parser = names::portal_event_parser(), ignore_case = true)]
    event: PortalEvent,
    /// `guests/{id}`, or the id alone
    guest: String,
    /// File with the guest's password, `-` for the standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Told with `denied` and `suspended`
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    options: OptionArgs,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Args)]
pub struct OptionArgs {
    /// Language of the mails, such as `de-CH`; that of the guest if it is left out
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TAG")]
    locale: String,
    /// Portal whose texts the mails have
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    portal: String,
    /// User name and password in mails of their own
    #[arg(long)]
    separate_mails: bool,
    /// A copy to the sponsor, without the password
    #[arg(long)]
    copy_me: bool,
    /// With `--copy-me`: the password to the sponsor, too
    #[arg(long, requires = "copy_me")]
    copy_password: bool,
    /// Makes the command safe to repeat
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    request_id: String,
    /// Only check; nothing is sent
    #[arg(long)]
    validate_only: bool,
}

#[derive(Args)]
pub struct BulkArgs {
    /// What happened to all of them
    #[arg(value_parser = names::portal_event_parser(), ignore_case = true)]
    event: PortalEvent,
    /// File with a guest on each line, `id` or `id,password`; at most 1,000. `-` for the standard input
    guests: PathBuf,
    /// Who gets a summary when all the mails have ended
    #[arg(long, value_parser = parse_mailbox, value_name = "ADDRESS")]
    summary_to: Option<Mailbox>,
    /// How long the summary waits, such as `30m`; an hour if it is left out
    #[arg(long, value_parser = parse_duration, value_name = "SPAN")]
    summary_wait: Option<Duration>,
    #[command(flatten)]
    options: OptionArgs,
}

#[derive(Subcommand)]
pub enum ApprovalsCommand {
    /// Ask approvers for a guest of the directory who waits for one
    #[command(after_long_help = exit::HELP)]
    Request {
        /// `guests/{id}`, or the id alone
        guest: String,
        /// Whom to ask; may be given several times
        #[arg(long = "approver", required = true, value_name = "ADDRESS")]
        approvers: Vec<String>,
        /// File with the guest's password, told when the guest is approved; `-` for the standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// How long it may be decided, such as `4h`; a day if it is left out
        #[arg(long, value_parser = parse_duration, value_name = "SPAN")]
        valid_for: Option<Duration>,
        #[command(flatten)]
        options: OptionArgs,
    },
    /// List approvals
    #[command(after_long_help = exit::HELP)]
    List {
        /// Only approvals of this guest
        #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
        guest: String,
        /// The next page, as the page before told it
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TOKEN")]
        page_token: String,
    },
    /// Show an approval with what became of its mails
    #[command(after_long_help = exit::HELP)]
    Get {
        /// `approvals/{id}`, or the id alone
        name: String,
    },
    /// Approve the guest
    #[command(after_long_help = exit::HELP)]
    Approve {
        /// `approvals/{id}`, or the id alone
        name: String,
        /// Who decides, for the record
        #[arg(long, default_value = "", hide_default_value = true, value_name = "WHO")]
        by: String,
    },
    /// Deny the guest
    #[command(after_long_help = exit::HELP)]
    Deny {
        /// `approvals/{id}`, or the id alone
        name: String,
        /// Told to the guest
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        reason: String,
        /// Who decides, for the record
        #[arg(long, default_value = "", hide_default_value = true, value_name = "WHO")]
        by: String,
    },
    /// Send the request again, with new links
    #[command(after_long_help = exit::HELP)]
    Resend {
        /// `approvals/{id}`, or the id alone
        name: String,
    },
    /// Call the request back: its links work no more
    #[command(after_long_help = exit::HELP)]
    Cancel {
        /// `approvals/{id}`, or the id alone
        name: String,
    },
}

#[derive(Subcommand)]
pub enum SendersCommand {
    /// List the senders that the provider refused
    #[command(after_long_help = exit::HELP)]
    List,
    /// Have the next mail try a sender at once
    #[command(after_long_help = exit::HELP)]
    Retry {
        /// The address
        address: String,
    },
}

pub(crate) async fn run(
    context: &mut Context<'_>,
    command: PortalCommand,
) -> Result<Exit, Failure> {
    match command {
        PortalCommand::Notify(args) => notify(context, args).await,
        PortalCommand::Bulk(args) => bulk(context, args).await,
        PortalCommand::Approvals(command) => approvals(context, command).await,
        PortalCommand::Senders(command) => senders(context, command).await,
    }
}

async fn notify(context: &mut Context<'_>, args: NotifyArgs) -> Result<Exit, Failure> {
    let password = password(args.password_file).await?;
    let mut clients = context.connect().await?;
    let request = v1::NotifyGuestRequest {
        event: args.event.into(),
        target: Some(v1::notify_guest_request::Target::Name(full_name(&args.guest))),
        password,
        reason: args.reason,
        request_id: args.options.request_id.clone(),
        validate_only: args.options.validate_only,
        options: Some(args.options.into_options()),
    };
    let response = clients.portal.notify_guest(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table => context.out.table(&view::portal::mails(&response.mails))?,
    }
    Ok(Exit::Ok)
}

async fn bulk(context: &mut Context<'_>, args: BulkArgs) -> Result<Exit, Failure> {
    let text = read_text(&args.guests).await?;
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let guests = lines.map(|line| {
        let (name, password) = line.split_once(',').unwrap_or((line, ""));
        let target = Some(v1::bulk_guest::Target::Name(full_name(name)));
        BulkGuest { target, password: password.to_owned() }
    });
    let request = v1::BulkNotifyGuestsRequest {
        event: args.event.into(),
        guests: guests.collect(),
        reason: String::new(),
        summary_to: args.summary_to,
        summary_wait: args.summary_wait.map(span),
        request_id: args.options.request_id.clone(),
        validate_only: args.options.validate_only,
        options: Some(args.options.into_options()),
    };
    let mut clients = context.connect().await?;
    let response = clients.portal.bulk_notify_guests(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table => {
            let refused: Vec<_> =
                response.results.iter().filter(|one| one.refusal.is_some()).collect();
            if !refused.is_empty() {
                context.out.table(&view::portal::refusals(&refused))?;
            }
            let accepted = response.results.len() - refused.len();
            let line = format!("{} {accepted} accepted, {} refused", response.name, refused.len());
            context.out.line(line.trim_start())?;
        }
    }
    Ok(Exit::Ok)
}

async fn approvals(context: &mut Context<'_>, command: ApprovalsCommand) -> Result<Exit, Failure> {
    let mut portal = context.connect().await?.portal;
    let approval = match command {
        ApprovalsCommand::List { guest, page_token } => {
            return list_approvals(context, guest, page_token).await;
        }
        ApprovalsCommand::Request { guest, approvers, password_file, valid_for, options } => {
            let request = v1::RequestApprovalRequest {
                target: Some(v1::request_approval_request::Target::Name(full_name(&guest))),
                approvers,
                password: password(password_file).await?,
                valid_for: valid_for.map(span),
                request_id: options.request_id.clone(),
                validate_only: options.validate_only,
                options: Some(options.into_options()),
            };
            portal.request_approval(request).await?.into_inner().approval
        }
        ApprovalsCommand::Get { name } => {
            portal
                .get_approval(v1::GetApprovalRequest { name: approval_name(&name) })
                .await?
                .into_inner()
                .approval
        }
        ApprovalsCommand::Approve { name, by } => {
            let request = decision(&name, ApprovalVerdict::Approve, String::new(), by);
            portal.decide_approval(request).await?.into_inner().approval
        }
        ApprovalsCommand::Deny { name, reason, by } => {
            let request = decision(&name, ApprovalVerdict::Deny, reason, by);
            portal.decide_approval(request).await?.into_inner().approval
        }
        ApprovalsCommand::Resend { name } => {
            portal
                .resend_approval(v1::ResendApprovalRequest { name: approval_name(&name) })
                .await?
                .into_inner()
                .approval
        }
        ApprovalsCommand::Cancel { name } => {
            portal
                .cancel_approval(v1::CancelApprovalRequest { name: approval_name(&name) })
                .await?
                .into_inner()
                .approval
        }
    };
    let approval = approval.ok_or(Failure::Incomplete("approval"))?;
    match context.out.format() {
        Format::Json => context.out.message(&approval)?,
        Format::Table => {
            context.out.table(&view::portal::approval(&approval))?;
            let jobs = [&approval.request_jobs, &approval.result_jobs];
            let jobs: Vec<_> = jobs.into_iter().flatten().cloned().collect();
            if !jobs.is_empty() {
                context.out.line("")?;
                context.out.table(&view::job::jobs(&jobs))?;
            }
        }
    }
    Ok(Exit::Ok)
}

async fn list_approvals(
    context: &mut Context<'_>,
    guest: String,
    page_token: String,
) -> Result<Exit, Failure> {
    let mut portal = context.connect().await?.portal;
    let guest = if guest.is_empty() { guest } else { full_name(&guest) };
    let (page_size, states) = (0, Vec::new());
    let request = v1::ListApprovalsRequest { page_size, page_token, guest, states };
    let response = portal.list_approvals(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table if response.approvals.is_empty() => {
            context.out.note("there are no such approvals")?;
        }
        Format::Table => {
            context.out.table(&view::portal::approvals(&response.approvals))?;
            if !response.next_page_token.is_empty() {
                let token = response.next_page_token;
                context.out.note(format!("there are more: add `--page-token {token}`"))?;
            }
        }
    }
    Ok(Exit::Ok)
}

async fn senders(context: &mut Context<'_>, command: SendersCommand) -> Result<Exit, Failure> {
    let mut portal = context.connect().await?.portal;
    match command {
        SendersCommand::List => {
            let response = portal.list_senders(v1::ListSendersRequest::default()).await?;
            let response = response.into_inner();
            match context.out.format() {
                Format::Json => context.out.message(&response)?,
                Format::Table if response.senders.is_empty() => {
                    context.out.note("no sender is refused")?;
                }
                Format::Table => context.out.table(&view::portal::senders(&response.senders))?,
            }
        }
        SendersCommand::Retry { address } => {
            let request = v1::RetrySenderRequest { address: address.clone() };
            portal.retry_sender(request).await?;
            context.out.note(format!("the next mail from `{address}` tries it"))?;
        }
    }
    Ok(Exit::Ok)
}

impl OptionArgs {
    fn into_options(self) -> NoticeOptions {
        NoticeOptions {
            locale: self.locale,
            portal: self.portal,
            separate_mails: self.separate_mails,
            copy_me: self.copy_me,
            copy_password: self.copy_password,
            ..NoticeOptions::default()
        }
    }
}

fn decision(
    name: &str,
    verdict: ApprovalVerdict,
    reason: String,
    decided_by: String,
) -> v1::DecideApprovalRequest {
    let name = approval_name(name);
    v1::DecideApprovalRequest { name, verdict: verdict.into(), reason, decided_by }
}

async fn password(file: Option<PathBuf>) -> Result<String, Failure> {
    match file {
        Some(path) => read_value(&path).await,
        None => Ok(String::new()),
    }
}

fn span(span: Duration) -> prost_types::Duration {
    let longest = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
    prost_types::Duration::try_from(span).unwrap_or(longest)
}

/// The resource name: an id alone is enough for a person.
fn full_name(guest: &str) -> String {
    if guest.contains('/') { guest.to_owned() } else { format!("guests/{guest}") }
}

/// The same of an approval.
fn approval_name(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("approvals/{name}") }
}
