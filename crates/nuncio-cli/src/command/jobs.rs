//! `nuncio jobs`

use clap::{Args, Subcommand};
use nuncio_api::v1::{
    CancelMailJobRequest, GetMailJobRequest, HoldMailJobRequest, ListMailJobsRequest,
    ListMailJobsResponse, MailClass, MailJob, MailJobState, ReleaseMailJobRequest,
    RetryMailJobRequest,
};

use crate::command::jobs::watch::Watch;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::input::parse_pair;
use crate::names;
use crate::run::Context;
use crate::time::{now, parse_past};
use crate::view;

pub(crate) mod watch;

#[derive(Subcommand)]
pub enum JobsCommand {
    /// List mail jobs, newest first
    #[command(after_long_help = exit::HELP)]
    List(ListArgs),
    /// Show a mail job with its recipients and attempts
    #[command(after_long_help = exit::HELP)]
    Get {
        /// `mailJobs/{uuid}`, or the UUID alone
        name: String,
    },
    /// Show each change as it happens: of one mail job until it ends, or of all
    #[command(after_long_help = exit::HELP)]
    Watch {
        /// `mailJobs/{uuid}`, or the UUID alone; all jobs if it is left out
        name: Option<String>,
        /// Go on behind this change: the `resumeToken` of the last one seen
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TOKEN")]
        resume_token: String,
    },
    /// Cancel a mail job that waits
    #[command(after_long_help = exit::HELP)]
    Cancel {
        /// `mailJobs/{uuid}`, or the UUID alone
        name: String,
    },
    /// Let a waiting mail job wait until it is released; it still expires
    #[command(after_long_help = exit::HELP)]
    Hold {
        /// `mailJobs/{uuid}`, or the UUID alone
        name: String,
    },
    /// Let a mail job go on that was held with `hold`
    #[command(after_long_help = exit::HELP)]
    Release {
        /// `mailJobs/{uuid}`, or the UUID alone
        name: String,
    },
    /// Try a deferred or held mail job now, or one whose outcome is unknown once more
    #[command(after_long_help = exit::HELP)]
    Retry {
        /// `mailJobs/{uuid}`, or the UUID alone
        name: String,
        /// Send a job that is UNKNOWN again, although it may have arrived
        #[arg(long)]
        allow_duplicate: bool,
    },
}

#[derive(Args)]
pub struct ListArgs {
    /// Only jobs in this state; may be given several times
    #[arg(long = "state", value_parser = names::state_parser(), ignore_case = true)]
    states: Vec<MailJobState>,
    /// Only jobs of this class; may be given several times
    #[arg(long = "class", value_parser = names::class_parser(), ignore_case = true)]
    classes: Vec<MailClass>,
    /// Only jobs with this recipient: the address exactly as it was given
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ADDRESS")]
    recipient: String,
    /// Only jobs with this label; given several times, with all of them
    #[arg(long = "label", value_parser = parse_pair, value_name = "KEY=VALUE")]
    labels: Vec<(String, String)>,
    /// Only jobs accepted since then: `2027-03-15T08:00:00Z`, or `2h` ago
    #[arg(long, value_parser = |text: &str| parse_past(text, now()), value_name = "TIME")]
    since: Option<prost_types::Timestamp>,
    /// Only jobs accepted before then: `2027-03-15T08:00:00Z`, or `2h` ago
    #[arg(long, value_parser = |text: &str| parse_past(text, now()), value_name = "TIME")]
    until: Option<prost_types::Timestamp>,
    /// How many jobs at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1000), value_name = "N")]
    limit: i32,
    /// The next page, as the page before told it
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TOKEN")]
    page_token: String,
}

pub(crate) async fn run(context: &mut Context<'_>, command: JobsCommand) -> Result<Exit, Failure> {
    match command {
        JobsCommand::List(args) => list(context, args).await,
        JobsCommand::Get { name } => get(context, &name).await,
        JobsCommand::Watch { name, resume_token } => {
            watch(context, name.as_deref(), resume_token).await
        }
        JobsCommand::Cancel { name } => cancel(context, &name).await,
        JobsCommand::Hold { name } => hold(context, &name).await,
        JobsCommand::Release { name } => release(context, &name).await,
        JobsCommand::Retry { name, allow_duplicate } => {
            retry(context, &name, allow_duplicate).await
        }
    }
}

async fn list(context: &mut Context<'_>, args: ListArgs) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let mut request = ListMailJobsRequest {
        page_size: args.limit,
        page_token: args.page_token,
        states: args.states.into_iter().map(i32::from).collect(),
        classes: args.classes.into_iter().map(i32::from).collect(),
        recipient: args.recipient,
        labels: args.labels.into_iter().collect(),
        since_time: args.since,
        until_time: args.until,
    };
    let mut response = ListMailJobsResponse::default();
    loop {
        let page = clients.mail_jobs.list_mail_jobs(request.clone()).await?.into_inner();
        request.page_size -= i32::try_from(page.mail_jobs.len()).unwrap_or(i32::MAX);
        response.mail_jobs.extend(page.mail_jobs);
        response.next_page_token = page.next_page_token;
        // A page may be short, or empty, although more jobs fit: the server looks at a part at a time.
        let goes_on = ![&String::new(), &request.page_token].contains(&&response.next_page_token);
        if request.page_size <= 0 || !goes_on {
            break;
        }
        request.page_token.clone_from(&response.next_page_token);
    }
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table if response.mail_jobs.is_empty() => context.out.note("no mail jobs")?,
        Format::Table => {
            context.out.table(&view::job::jobs(&response.mail_jobs))?;
            if !response.next_page_token.is_empty() {
                let token = response.next_page_token;
                context.out.note(format!("there are more: add `--page-token {token}`"))?;
            }
        }
    }
    Ok(Exit::Ok)
}

async fn get(context: &mut Context<'_>, name: &str) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = GetMailJobRequest { name: full_name(name) };
    let response = clients.mail_jobs.get_mail_job(request).await?.into_inner();
    if context.out.format() == Format::Json {
        context.out.message(&response)?;
        return Ok(Exit::Ok);
    }
    let job = response.mail_job.as_ref().ok_or(Failure::Incomplete("mail job"))?;
    show(context, job)?;
    if !response.attempts.is_empty() {
        context.out.line("")?;
        context.out.table(&view::job::attempts(&response.attempts))?;
    }
    Ok(Exit::Ok)
}

async fn cancel(context: &mut Context<'_>, name: &str) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = CancelMailJobRequest { name: full_name(name) };
    let response = clients.mail_jobs.cancel_mail_job(request).await?.into_inner();
    tell_changed(context, response.mail_job)
}

async fn hold(context: &mut Context<'_>, name: &str) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = HoldMailJobRequest { name: full_name(name) };
    let response = clients.mail_jobs.hold_mail_job(request).await?.into_inner();
    tell_changed(context, response.mail_job)
}

async fn release(context: &mut Context<'_>, name: &str) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = ReleaseMailJobRequest { name: full_name(name) };
    let response = clients.mail_jobs.release_mail_job(request).await?.into_inner();
    tell_changed(context, response.mail_job)
}

async fn retry(
    context: &mut Context<'_>,
    name: &str,
    allow_duplicate: bool,
) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = RetryMailJobRequest { name: full_name(name), allow_duplicate };
    let response = clients.mail_jobs.retry_mail_job(request).await?.into_inner();
    tell_changed(context, response.mail_job)
}

fn tell_changed(context: &mut Context<'_>, job: Option<MailJob>) -> Result<Exit, Failure> {
    let job = job.ok_or(Failure::Incomplete("mail job"))?;
    match context.out.format() {
        Format::Json => context.out.message(&job)?,
        Format::Table => context.out.line(view::job::change(&job))?,
    }
    Ok(Exit::Ok)
}

async fn watch(
    context: &mut Context<'_>,
    name: Option<&str>,
    resume_token: String,
) -> Result<Exit, Failure> {
    let clients = context.connect().await?;
    let name = name.map(full_name).unwrap_or_default();
    let mut watch = Watch::new(clients.mail_jobs, name, resume_token);
    let mut last = MailJobState::Unspecified;
    while let Some(change) = watch.next(context.out).await? {
        if let Some(job) = &change.mail_job {
            last = job.state();
        }
        match (context.out.format(), &change.mail_job) {
            (Format::Json, _) => context.out.message_line(&change)?,
            (Format::Table, Some(job)) => context.out.line(view::job::change(job))?,
            (Format::Table, None) => {}
        }
    }
    Ok(exit_of(last))
}

/// Shows a job with its recipients.
pub(crate) fn show(context: &mut Context<'_>, job: &MailJob) -> Result<(), Failure> {
    context.out.table(&view::job::head(job))?;
    context.out.line("")?;
    context.out.table(&view::job::recipients(&job.recipients))?;
    if let Some(reasons) = view::job::recipient_reasons(job) {
        context.out.line("")?;
        context.out.table(&reasons)?;
    }
    Ok(())
}

/// How a command ends that waited for a job.
pub(crate) fn exit_of(state: MailJobState) -> Exit {
    if state != MailJobState::Sent && names::is_final(state) { Exit::NotSent } else { Exit::Ok }
}

/// The resource name: a UUID alone is enough for a person.
fn full_name(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("mailJobs/{name}") }
}
