//! Mail jobs for people.

use std::collections::BTreeSet;

use nuncio_api::v1::{MailAttempt, MailJob, Reason, RecipientResult, SmtpReply};

use crate::names;
use crate::output::{Cell, Line, Table, Tone};
use crate::time::{moment, time_of_day};

/// The longest subject or reason that stands in a list, in characters.
const LISTED_CHARS_MAX: usize = 60;

/// A list of jobs, one on a line.
pub(crate) fn jobs(jobs: &[MailJob]) -> Table {
    let mut table =
        Table::with_head(["NAME", "STATE", "CLASS", "RECIPIENTS", "ATTEMPTS", "CREATED", "REASON"]);
    for job in jobs {
        table.row([
            Cell::from(&job.name),
            Cell::toned(names::state_tone(job.state()), names::state(job.state())),
            Cell::from(names::class(job.class())),
            Cell::from(accepted(job)),
            Cell::from(job.attempt_count.to_string()),
            Cell::from(moment(job.create_time.as_ref())),
            Cell::from(job.reason.as_ref().map_or("", |reason| reason.code.as_str())),
        ]);
    }
    table
}

/// A change of a job, on one line.
pub(crate) fn change(job: &MailJob) -> Line {
    let line = Line::new()
        .push(Tone::Dim, time_of_day(job.update_time.as_ref()))
        .plain("  ")
        .push(names::state_tone(job.state()), format!("{:<9}", names::state(job.state())))
        .plain(format!("  {}  {:<14}  {}", job.name, names::class(job.class()), accepted(job)));
    match &job.reason {
        Some(reason) => line.plain(format!("  {}: {}", reason.code, shortened(&reason.message))),
        None => line,
    }
}

/// Everything about a job but its recipients and attempts.
pub(crate) fn head(job: &MailJob) -> Table {
    let mut table = Table::list();
    table.value("name", &job.name);
    let state = Cell::toned(names::state_tone(job.state()), names::state(job.state()));
    table.value("state", state);
    if let Some(reason) = &job.reason {
        reason_rows(&mut table, reason);
    }
    table.value("class", names::class(job.class()));
    table.value("subject", &job.subject);
    table.value("template", &job.template);
    table.value("attempts", job.attempt_count.to_string());
    table.value("created", moment(job.create_time.as_ref()));
    table.value("changed", moment(job.update_time.as_ref()));
    if job.next_attempt_time.is_some() {
        table.value("next attempt", moment(job.next_attempt_time.as_ref()));
    }
    table.value("expires", moment(job.expire_time.as_ref()));
    table.value("message id", &job.message_id);
    let labels: Vec<String> =
        job.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    table.value("labels", labels.join(" "));
    if job.settings_generation != 0 {
        table.value("settings", format!("generation {}", job.settings_generation));
    }
    table
}

pub(crate) fn recipients(recipients: &[RecipientResult]) -> Table {
    // Mostly all are accepted: then there is no reason to show.
    let are_told = recipients.iter().any(|one| one.reason.is_some());
    let mut table = if are_told {
        Table::with_head(["RECIPIENT", "KIND", "STATE", "REASON", "REPLY"])
    } else {
        Table::with_head(["RECIPIENT", "KIND", "STATE", "REPLY"])
    };
    for recipient in recipients {
        let kind = recipient.kind().as_str_name().trim_start_matches("RECIPIENT_KIND_");
        let state = recipient.state();
        let who = [
            Cell::from(&recipient.address),
            Cell::from(kind.to_lowercase()),
            Cell::toned(names::recipient_tone(state), names::recipient_state(state)),
        ];
        let code = recipient.reason.as_ref().map_or("", |reason| reason.code.as_str());
        let reason = are_told.then(|| Cell::from(code));
        let reply = Cell::from(recipient.reply.as_ref().map(reply).unwrap_or_default());
        table.row(who.into_iter().chain(reason).chain([reply]));
    }
    table
}

/// What the reasons of the recipients mean, each once; nothing where the job's own reason says the same.
pub(crate) fn recipient_reasons(job: &MailJob) -> Option<Table> {
    let own = job.reason.as_ref().map_or("", |reason| reason.code.as_str());
    let mut told = BTreeSet::from([own]);
    let mut table = Table::with_head(["REASON", "CAUSE", "REMEDY"]);
    let reasons = job.recipients.iter().filter_map(|one| one.reason.as_ref());
    for Reason { code, message, remedy, .. } in reasons.filter(|one| told.insert(&one.code)) {
        table.row([Cell::from(code), Cell::from(message), Cell::from(remedy)]);
    }
    (1 < told.len()).then_some(table)
}

pub(crate) fn attempts(attempts: &[MailAttempt]) -> Table {
    let mut table = Table::with_head(["ATTEMPT", "ENDED", "OUTCOME", "COUNTED", "DETAIL"]);
    for attempt in attempts {
        let tone = if attempt.outcome == "SENT" { Tone::Good } else { Tone::Warning };
        table.row([
            Cell::from(moment(attempt.start_time.as_ref())),
            Cell::from(time_of_day(attempt.end_time.as_ref())),
            Cell::toned(tone, &attempt.outcome),
            Cell::from(if attempt.counted { "yes" } else { "no" }),
            Cell::from(&attempt.detail),
        ]);
    }
    table
}

fn reason_rows(table: &mut Table, reason: &Reason) {
    table.value("reason", Cell::toned(Tone::Warning, &reason.code));
    table.value("", &reason.message);
    table.value("remedy", &reason.remedy);
    table.value("reply", reason.reply.as_ref().map(reply).unwrap_or_default());
}

fn reply(SmtpReply { code, enhanced_code, text }: &SmtpReply) -> String {
    let parts = [code.to_string(), enhanced_code.clone(), text.clone()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// How many recipients were accepted, of how many.
fn accepted(job: &MailJob) -> String {
    let accepted = nuncio_api::v1::RecipientState::Accepted;
    let count = job.recipients.iter().filter(|one| one.state() == accepted).count();
    format!("{count}/{}", job.recipients.len())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LISTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
