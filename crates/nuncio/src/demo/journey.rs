//! Twenty mail jobs on their way, with a throttled one, a refused recipient, an expired token and an outage.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt as _;
use nuncio_api::client::{Clients, Credentials, connect};
use nuncio_api::v1;
use nuncio_cli::names::is_final;
use nuncio_cli::output::{Cell, Line, Output, Table, Tone};
use nuncio_provider_sim::fault::{Action, Fault, Phase, When};
use nuncio_provider_sim::simulator::Simulator;
use tokio::time::{Instant, timeout};

use super::Failure;

/// How long all of it may take: some ten seconds, if the machine has time.
const DEADLINE: Duration = Duration::from_mins(1);
/// How long the provider is down.
const OUTAGE_MS: u64 = 1500;
/// After so many sent mails the token expires and the provider goes down.
const SENT_BEFORE_OUTAGE: usize = 9;

/// Sends the jobs, tells what happens, and sums it up.
pub(super) async fn run(
    simulator: &Simulator,
    server: &str,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut clients = connect(server, DEADLINE, &Credentials::default()).await?;
    let watch = v1::WatchMailJobsRequest::default();
    let mut changes = clients.mail_jobs.watch_mail_jobs(watch).await?.into_inner();
    simulator.faults().push(Fault::next(1, Phase::EndOfData, Action::Reply(THROTTLED.to_owned())));
    tell(out, Duration::ZERO, "the provider will answer one mail with 432: too many connections")?;
    let started = Instant::now();
    let count = submit(&mut clients).await?;
    tell(out, started.elapsed(), &format!("{count} jobs are on disk and queued"))?;

    let mut jobs: BTreeMap<String, v1::MailJob> = BTreeMap::new();
    let mut seen = Seen::default();
    let follow = async {
        while ended(&jobs) < count {
            let Some(change) = changes.try_next().await? else { break };
            let Some(job) = change.mail_job else { continue };
            seen.tell(&job, started.elapsed(), out)?;
            jobs.insert(job.name.clone(), job);
            if !seen.outage && sent(&jobs) >= SENT_BEFORE_OUTAGE {
                seen.outage = true;
                take_down(simulator);
                let text =
                    "now every token expires, and the provider cuts all connections for 1.5 s";
                tell(out, started.elapsed(), text)?;
            }
        }
        Ok::<(), Failure>(())
    };
    timeout(DEADLINE, follow).await.map_err(|_| Failure::Overdue(DEADLINE))??;
    tell(out, started.elapsed(), "every job has ended")?;
    simulator.faults().clear();
    sum_up(simulator, &mut clients, jobs, out).await
}

const THROTTLED: &str = "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending \
     for more information.";

/// What was told already.
#[derive(Default)]
struct Seen {
    outage: bool,
    reasons: BTreeMap<String, String>,
}

impl Seen {
    /// Tells a change of a job that waits for something new, or that ended badly.
    fn tell(&mut self, job: &v1::MailJob, at: Duration, out: &mut Output) -> Result<(), Failure> {
        let Some(reason) = &job.reason else { return Ok(()) };
        let known = self.reasons.insert(job.name.clone(), reason.code.clone());
        if known.as_ref() == Some(&reason.code) {
            return Ok(());
        }
        let state = state_name(job);
        let reply = reason.reply.as_ref().map(|reply| format!(" ({} {})", reply.code, reply.text));
        let text = format!(
            "{} {state}: {}{}",
            short(&job.name),
            reason.message,
            reply.unwrap_or_default()
        );
        tell(out, at, &text)
    }
}

async fn submit(clients: &mut Clients) -> Result<usize, Failure> {
    let mut requests = Vec::new();
    for guest in 1..=6 {
        requests.push(credentials(guest));
    }
    for alarm in 1..=4 {
        let subject = format!("Alarm: high latency at probe {alarm}");
        requests.push(raw(v1::MailClass::Alarm, &subject, &["noc@example.com"]));
    }
    for week in 1..=9 {
        let subject = format!("Guest access report, week {week}");
        requests.push(raw(v1::MailClass::Bulk, &subject, &["reports@example.com"]));
    }
    let to = ["all-sponsors@example.com", "left-the-company@example.com"];
    requests.push(raw(v1::MailClass::Bulk, "New rules for sponsors", &to));
    let count = requests.len();
    for request in requests {
        clients.mail_jobs.create_mail_job(request).await?;
    }
    Ok(count)
}

fn credentials(guest: u32) -> v1::CreateMailJobRequest {
    let variables = [
        ("first_name", "Erika"),
        ("last_name", "Mustermann"),
        ("username", &format!("guest{guest:03}")),
        ("password", "only-for-the-demo"),
        ("valid_from", "2026-11-23 09:00"),
        ("valid_to", "2026-11-27 18:00"),
        ("duration", "5 days"),
        ("person_visited", "Dana Sponsor"),
    ];
    let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let content = v1::mail::Content::Template(v1::TemplateContent {
        template: "templates/guest-credentials".to_owned(),
        variables,
        locale: "en".to_owned(),
        portal: String::new(),
    });
    request(v1::MailClass::Credentials, content, &[&format!("guest{guest:03}@example.com")])
}

fn raw(class: v1::MailClass, subject: &str, to: &[&str]) -> v1::CreateMailJobRequest {
    let content = v1::mail::Content::Raw(v1::RawContent {
        subject: subject.to_owned(),
        text: format!("{subject}\n\nThis mail was sent by `nuncio demo`.\n"),
        html: String::new(),
    });
    request(class, content, to)
}

fn request(
    class: v1::MailClass,
    content: v1::mail::Content,
    to: &[&str],
) -> v1::CreateMailJobRequest {
    let mailbox = |address: &&str| v1::Mailbox {
        address: (*address).to_owned(),
        display_name: String::new(),
    };
    let mail = v1::Mail {
        to: to.iter().map(mailbox).collect(),
        content: Some(content),
        ..v1::Mail::default()
    };
    v1::CreateMailJobRequest {
        mail: Some(mail),
        class: class.into(),
        ..v1::CreateMailJobRequest::default()
    }
}

/// Expires all tokens; open connections end at their next mail, and new ones for a while.
fn take_down(simulator: &Simulator) {
    simulator.expire_tokens();
    let when = When::Between { from_ms: 0, to_ms: OUTAGE_MS };
    // With the 421 a mail that goes out right now is known not to be taken.
    let closing = Action::Reply("421 4.3.2 Service not available".to_owned());
    for (phase, action) in [(Phase::Mail, closing), (Phase::Connect, Action::Cut)] {
        simulator.faults().push(Fault { phase, action, when, mailbox: None });
    }
}

async fn sum_up(
    simulator: &Simulator,
    clients: &mut Clients,
    jobs: BTreeMap<String, v1::MailJob>,
    out: &mut Output,
) -> Result<(), Failure> {
    let head = ["JOB", "CLASS", "STATE", "RECIPIENTS", "ATTEMPTS", "TIME", "ON THE WAY"];
    let mut table = Table::with_head(head);
    for (name, job) in jobs {
        let get = v1::GetMailJobRequest { name: name.clone() };
        let attempts = clients.mail_jobs.get_mail_job(get).await?.into_inner().attempts;
        let way: Vec<&str> = attempts
            .iter()
            .filter(|attempt| attempt.outcome != "SENT")
            .map(|attempt| attempt.outcome.as_str())
            .collect();
        let tone = if job.state() == v1::MailJobState::Sent { Tone::Good } else { Tone::Bad };
        table.row([
            Cell::from(short(&name)),
            Cell::from(enum_name(job.class().as_str_name(), "MAIL_CLASS_").to_lowercase()),
            Cell::toned(tone, state_name(&job)),
            Cell::from(recipients(&job)),
            Cell::from(job.attempt_count.to_string()),
            Cell::from(took(&job)),
            Cell::from(way.join(", ")),
        ]);
    }
    out.line("")?;
    out.table(&table)?;
    let stats = simulator.stats();
    let (accepted, doubled) = (simulator.accepted_count(), simulator.duplicates().len());
    let facts = [
        format!("The provider took {accepted} mails, {doubled} of them twice."),
        format!("At most {} connections were open at once.", stats.connections.max),
        format!(
            "{} tokens were requested: for the test, for sending, and after the expiry.",
            stats.token_requests
        ),
    ];
    for fact in facts {
        out.line(fact)?;
    }
    Ok(())
}

pub(super) fn say_what_next(out: &mut Output) -> Result<(), Failure> {
    out.line("")?;
    out.line(Line::new().push(Tone::Strong, "What to try next"))?;
    for (command, what) in [
        ("nuncio demo --keep", "the same, and it stays: send, watch and list by yourself"),
        ("nuncio serve", "a node with your own data folder"),
        ("nuncio settings smtp test --help", "prove the settings of a real provider"),
        ("nuncio sim", "the simulator alone, with limits and faults of your choice"),
    ] {
        out.line(Line::new().plain(format!("  {command:<34} ")).push(Tone::Dim, what))?;
    }
    Ok(())
}

fn recipients(job: &v1::MailJob) -> String {
    let mut counts = BTreeMap::new();
    for recipient in &job.recipients {
        let name = enum_name(recipient.state().as_str_name(), "RECIPIENT_STATE_").to_lowercase();
        *counts.entry(name).or_insert(0) += 1;
    }
    let shown: Vec<_> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    shown.join(", ")
}

fn took(job: &v1::MailJob) -> String {
    let (Some(created), Some(updated)) = (job.create_time, job.update_time) else {
        return String::new();
    };
    let millis = (updated.seconds - created.seconds) * 1000
        + i64::from(updated.nanos - created.nanos) / 1_000_000;
    format!("{}.{:02} s", millis / 1000, millis % 1000 / 10)
}

fn ended(jobs: &BTreeMap<String, v1::MailJob>) -> usize {
    jobs.values().filter(|job| is_final(job.state())).count()
}

fn sent(jobs: &BTreeMap<String, v1::MailJob>) -> usize {
    jobs.values().filter(|job| job.state() == v1::MailJobState::Sent).count()
}

fn state_name(job: &v1::MailJob) -> &'static str {
    enum_name(job.state().as_str_name(), "MAIL_JOB_STATE_")
}

fn enum_name(name: &'static str, prefix: &str) -> &'static str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// The end of a job's name, enough to tell twenty jobs apart.
fn short(name: &str) -> String {
    let start = name.len().saturating_sub(6);
    format!("…{}", &name[start..])
}

fn tell(out: &mut Output, at: Duration, text: &str) -> Result<(), Failure> {
    let at = format!("{:>6.2} s  ", at.as_secs_f64());
    out.line(Line::new().push(Tone::Dim, at).plain(text))?;
    Ok(())
}
