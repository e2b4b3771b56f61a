//! `nuncio send`

use std::collections::BTreeMap;

use futures::StreamExt;
use nuncio_api::client::Clients;
use nuncio_api::v1::{CreateMailJobRequest, MailJob, MailJobState};

use crate::command::jobs;
use crate::command::jobs::watch::Watch;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::globals::Format;
use crate::names;
use crate::output::{Cell, Line, Table};
use crate::run::Context;
use crate::view;

mod args;
mod request;

pub(crate) use args::SendArgs;

/// How many jobs are handed in at once.
const IN_FLIGHT: usize = 16;
/// How many jobs that were not sent are told one by one.
const TOLD_MAX: usize = 20;

pub(crate) async fn run(context: &mut Context<'_>, args: SendArgs) -> Result<Exit, Failure> {
    let (count, wait, validate_only) = (args.count, args.wait, args.validate_only);
    let request = request::build(args).await?;
    let clients = context.connect().await?;
    let accepted = hand_in(context, &clients, &request, count, wait).await?;
    if validate_only {
        if context.out.format() == Format::Table {
            context.out.line("the mail job is valid; nothing was stored")?;
        }
        return Ok(Exit::Ok);
    }
    if !wait {
        return Ok(Exit::Ok);
    }
    let ended = wait_for(context, &clients, accepted).await?;
    tell_ended(context, &ended)
}

/// Hands the jobs in; those that were accepted are told at once, unless they are waited for.
async fn hand_in(
    context: &mut Context<'_>,
    clients: &Clients,
    request: &CreateMailJobRequest,
    count: u32,
    wait: bool,
) -> Result<Vec<String>, Failure> {
    let mut answers = futures::stream::iter(1..=count)
        .map(|number| {
            let mut client = clients.mail_jobs.clone();
            let request = numbered(request, number, count);
            async move { client.create_mail_job(request).await }
        })
        .buffered(IN_FLIGHT);
    let bar = context.out.bar(u64::from(count), "handing in");
    let mut accepted = Vec::new();
    while let Some(answer) = answers.next().await {
        let answer = answer.inspect_err(|_| bar.finish_and_clear());
        let answer = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                if !accepted.is_empty() {
                    context
                        .out
                        .note(format!("{} of {count} jobs were accepted", accepted.len()))?;
                }
                return Err(status.into());
            }
        };
        let job = answer.mail_job.ok_or(Failure::Incomplete("mail job"))?;
        bar.inc(1);
        if !wait && !request.validate_only {
            tell_accepted(context, &job, count)?;
        } else if request.validate_only && context.out.format() == Format::Json {
            context.out.message_line(&job)?;
        }
        accepted.push(job.name);
    }
    bar.finish_and_clear();
    Ok(accepted)
}

fn tell_accepted(context: &mut Context<'_>, job: &MailJob, count: u32) -> Result<(), Failure> {
    match context.out.format() {
        Format::Json => context.out.message_line(job)?,
        Format::Table => context.out.line(view::job::change(job))?,
    }
    if count == 1 && context.out.format() == Format::Table {
        context.out.note(format!("follow it with `nuncio jobs watch {}`", job.name))?;
    }
    Ok(())
}

/// Waits until each job has ended.
async fn wait_for(
    context: &mut Context<'_>,
    clients: &Clients,
    names: Vec<String>,
) -> Result<Vec<MailJob>, Failure> {
    let spinner = context.out.spinner();
    let count = names.len();
    let mut ended = Vec::new();
    for name in names {
        let mut watch = Watch::new(clients.mail_jobs.clone(), name, String::new());
        let mut last = None;
        loop {
            let change =
                watch.next(context.out).await.inspect_err(|_| spinner.finish_and_clear())?;
            let Some(change) = change else { break };
            let Some(job) = change.mail_job else { continue };
            spinner.set_message(format!(
                "{}/{count} ended; {}",
                ended.len(),
                names::state(job.state())
            ));
            last = Some(job);
        }
        let job = last.ok_or(Failure::Incomplete("mail job"))?;
        if context.out.format() == Format::Json {
            context.out.message_line(&job)?;
        }
        ended.push(job);
    }
    spinner.finish_and_clear();
    Ok(ended)
}

fn tell_ended(context: &mut Context<'_>, ended: &[MailJob]) -> Result<Exit, Failure> {
    let not_sent: Vec<&MailJob> =
        ended.iter().filter(|job| jobs::exit_of(job.state()) == Exit::NotSent).collect();
    if context.out.format() == Format::Table {
        match ended {
            [job] => jobs::show(context, job)?,
            jobs => {
                context.out.table(&summary(jobs))?;
                for job in not_sent.iter().take(TOLD_MAX) {
                    context.out.line(view::job::change(job))?;
                }
                let untold = not_sent.len().saturating_sub(TOLD_MAX);
                if 0 < untold {
                    context.out.line(Line::from(format!("and {untold} more")))?;
                }
            }
        }
    }
    Ok(if not_sent.is_empty() { Exit::Ok } else { Exit::NotSent })
}

/// How many jobs ended in which state.
fn summary(jobs: &[MailJob]) -> Table {
    let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
    for job in jobs {
        *counts.entry(job.state).or_default() += 1;
    }
    let mut table = Table::with_head(["STATE", "JOBS"]);
    for (state, count) in counts {
        let state = MailJobState::try_from(state).unwrap_or_default();
        let name = Cell::toned(names::state_tone(state), names::state(state));
        table.row([name, Cell::from(count.to_string())]);
    }
    table
}

/// The request of one job of several: each has a request id of its own.
fn numbered(request: &CreateMailJobRequest, number: u32, count: u32) -> CreateMailJobRequest {
    let mut request = request.clone();
    if 1 < count && !request.request_id.is_empty() {
        request.request_id = format!("{}-{number}", request.request_id);
    }
    request
}
