//! `nuncio jobs`

use clap::{Args, Subcommand};
use nuncio_api::v1::{
    CancelMailJobRequest, GetMailJobRequest, ListMailJobsRequest, MailClass, MailJob, MailJobState,
};

use crate::command::jobs::watch::Watch;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::names;
use crate::run::Context;
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
}

#[derive(Args)]
pub struct ListArgs {
    /// Only jobs in this state; may be given several times
    #[arg(long = "state", value_parser = names::state_parser(), ignore_case = true)]
    states: Vec<MailJobState>,
    /// Only jobs of this class; may be given several times
    #[arg(long = "class", value_parser = names::class_parser(), ignore_case = true)]
    classes: Vec<MailClass>,
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
    }
}

async fn list(context: &mut Context<'_>, args: ListArgs) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = ListMailJobsRequest {
        page_size: args.limit,
        page_token: args.page_token,
        states: args.states.into_iter().map(i32::from).collect(),
        classes: args.classes.into_iter().map(i32::from).collect(),
    };
    let response = clients.mail_jobs.list_mail_jobs(request).await?.into_inner();
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
    let job = response.mail_job.ok_or(Failure::Incomplete("mail job"))?;
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
