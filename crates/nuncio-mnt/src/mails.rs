//! The mails of the role: what they say, and to whom.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use nuncio_core::address::{EmailAddress, Mailbox};
use nuncio_core::alarm::group::Thread;
use nuncio_core::alarm::late::{AlarmMail, DIGEST};
use nuncio_core::alarm::recipient::{Digest, Lane};
use nuncio_core::alarm::round::{PlannedMail, Round};
use nuncio_core::alarm::settings::AlarmRules;
use nuncio_core::alarm::standing::StandingAlarm;
use nuncio_core::class::MailClass;
use nuncio_core::job::{CallerId, JobOptionsDraft, NewJob};
use nuncio_core::mail::{ContentDraft, MailDraft, MailboxDraft, Sender};
use nuncio_core::portal::variables::moment;
use nuncio_core::secret::Sensitive;
use nuncio_core::template::Variables;
use nuncio_core::trace::TraceParent;
use nuncio_core::violation::Violations;
use nuncio_delivery::intake::{Intake, IntakeError, Submission};
use nuncio_runtime::chain::Chain;
use tracing::error;

use crate::records::alarm::severity_to;

/// Who hands in the mails of alarms.
const CALLER: &str = "mnt";
/// How much of a mail the second route tells where the mail is late, in characters.
const GIST_CHARS: usize = 2000;
/// How long the line of an alarm among others is, in characters.
const LINE_CHARS: usize = 300;

/// Makes the mail jobs of alarms.
#[derive(Clone)]
pub(crate) struct Mails {
    pub(crate) intake: Intake,
}

impl Mails {
    /// A mail about a group, to these addresses.
    pub(crate) fn about_group(
        &self,
        round: &Round<'_>,
        mail: &PlannedMail,
        addresses: &[String],
        thread: Option<&Thread>,
        trace: Option<TraceParent>,
    ) -> Result<NewJob, IntakeError> {
        let (rules, kind) = (round.rules, round.kind);
        let from = kind.from.as_ref().or(rules.settings.from.as_ref());
        let (from, other_senders) = senders(from);
        let references = thread.map_or_else(Vec::new, |thread| {
            let mut ids = vec![thread.first.clone(), thread.last.clone()];
            ids.dedup();
            ids
        });
        let draft = MailDraft {
            from,
            other_senders,
            references,
            to: addresses.iter().map(|address| mailbox(address)).collect(),
            content: Some(group_content(round, mail)),
            ..MailDraft::default()
        };
        let labels = BTreeMap::from([("alarm-type".to_owned(), kind.id.clone())]);
        self.job((draft, trace), class(mail.lane), labels, || plain_group(round, mail))
    }

    /// A mail that counts what it replaces.
    pub(crate) fn digest(
        &self,
        rules: &AlarmRules,
        address: &str,
        digest: &Digest,
        number: u64,
    ) -> Result<NewJob, IntakeError> {
        let (from, other_senders) = senders(rules.settings.from.as_ref());
        let draft = MailDraft {
            from,
            other_senders,
            to: vec![mailbox(address)],
            content: Some(digest_content(rules, digest)),
            ..MailDraft::default()
        };
        let labels = BTreeMap::from([("alarm-digest".to_owned(), number.to_string())]);
        self.job((draft, None), class(digest.lane()), labels, || plain_digest(rules, digest))
    }

    /// Makes a job, in plain words where its template makes no mail of these values: the alarm must be told.
    fn job(
        &self,
        (mail, trace): (MailDraft, Option<TraceParent>),
        class: MailClass,
        labels: BTreeMap<String, String>,
        plain: impl FnOnce() -> ContentDraft,
    ) -> Result<NewJob, IntakeError> {
        match self.check((mail.clone(), trace.clone()), class, labels.clone()) {
            Ok(job) => Ok(job),
            Err(problem) => {
                error!("a mail about alarms is made without its template: {}", Chain(&problem));
                let (content, references) = (Some(plain()), Vec::new());
                self.check((MailDraft { content, references, ..mail }, trace), class, labels)
            }
        }
    }

    fn check(
        &self,
        (mail, trace): (MailDraft, Option<TraceParent>),
        class: MailClass,
        labels: BTreeMap<String, String>,
    ) -> Result<NewJob, IntakeError> {
        self.intake.check(Submission {
            mail,
            class: Some(class),
            options: JobOptionsDraft { labels, ..JobOptionsDraft::default() },
            caller: CallerId(CALLER.to_owned()),
            // There is no request id: the changeset makes sure that it is made once.
            fingerprint: [0; 32],
            trace,
            violations: Violations::default(),
        })
    }
}

/// What is remembered of a mail about a group until its end.
pub(crate) fn remembered(round: &Round<'_>, mail: &PlannedMail, job: &NewJob) -> AlarmMail {
    AlarmMail {
        job: job.id,
        alarm_type: round.kind.id.clone(),
        subject: job.mail.subject.chars().take(LINE_CHARS).collect(),
        text: group_lines(round, mail).chars().take(GIST_CHARS).collect(),
        lane: mail.lane,
        alarms: if mail.tells_firing { round.seen.firing } else { 0 },
        made_at: job.created_at,
        is_known: round.kind.is_mail_path,
        is_late: false,
    }
}

/// What is remembered of a digest until its end.
pub(crate) fn remembered_digest(rules: &AlarmRules, digest: &Digest, job: &NewJob) -> AlarmMail {
    AlarmMail {
        job: job.id,
        alarm_type: DIGEST.to_owned(),
        subject: job.mail.subject.chars().take(LINE_CHARS).collect(),
        text: digest_lines(rules, digest).chars().take(GIST_CHARS).collect(),
        lane: digest.lane(),
        alarms: digest.alarms,
        made_at: job.created_at,
        is_known: false,
        is_late: false,
    }
}

fn class(lane: Lane) -> MailClass {
    match lane {
        Lane::Critical => MailClass::AlarmCritical,
        Lane::Normal => MailClass::Alarm,
    }
}

/// The sender, and who sends in its place if the provider does not let the mailbox send as it: the mailbox itself,
/// with answers to the sender that was wanted.
fn senders(from: Option<&EmailAddress>) -> (Option<MailboxDraft>, Vec<Sender>) {
    let Some(from) = from else { return (None, Vec::new()) };
    let reply_to = Mailbox { address: from.clone(), display_name: None };
    let mailbox_itself = Sender { from: None, reply_to: Some(reply_to) };
    (Some(mailbox(from.as_str())), vec![mailbox_itself])
}

fn mailbox(address: &str) -> MailboxDraft {
    MailboxDraft { address: address.to_owned(), display_name: String::new() }
}

/// What a mail says: the template for one alarm, for several, or for ends.
fn group_content(round: &Round<'_>, mail: &PlannedMail) -> ContentDraft {
    let (seen, kind, zone) = (&round.seen, round.kind, &round.rules.settings.time_zone);
    let (severity, count) =
        if mail.tells_firing { (seen.worst, seen.firing) } else { (None, seen.resolved) };
    let mut values = vec![
        ("alarm_name", kind.display_name.clone()),
        ("suggested_action", kind.suggested_action.clone()),
        ("custom_text", kind.custom_text.clone()),
    ];
    values.extend(severity.map(|worst| ("severity", severity_to(worst).to_uppercase())));
    let name = match (mail.tells_firing, mail.tells_resolved) {
        (true, false) if count == 1 => {
            values.extend(seen.shown.first().into_iter().flat_map(|alarm| one_alarm(alarm, zone)));
            "templates/alarm"
        }
        (false, _) if count == 1 => {
            let shown = seen.shown_resolved.first();
            values.extend(shown.into_iter().flat_map(|alarm| one_alarm(alarm, zone)));
            "templates/alarm-resolved"
        }
        (false, _) => {
            values.push(("count", count.to_string()));
            values.push(("details", lines("RESOLVED", &seen.shown_resolved, count)));
            "templates/alarm-resolved"
        }
        (true, tells_resolved) => {
            let mut alarms = lines("", &seen.shown, count);
            if tells_resolved {
                alarms.push('\n');
                alarms.push_str(&lines("RESOLVED", &seen.shown_resolved, seen.resolved));
            }
            values.push(("alarms", alarms));
            values.push(("count", count.to_string()));
            values.push(("description", kind.description.clone()));
            values.extend(seen.first_raised_at.map(|at| ("raised_at", moment(at, zone))));
            values.push(("labels", pairs(&round.group.labels)));
            "templates/alarm-group"
        }
    };
    template(name, values, &mail.locale)
}

/// The same without a template. Whatever the values are, a mail can be made of it.
fn plain_group(round: &Round<'_>, mail: &PlannedMail) -> ContentDraft {
    let kind = round.kind;
    let title = format!("Alarm: {} ({})", kind.display_name, kind.id);
    plain(&title, &group_lines(round, mail))
}

/// A line for each alarm that a mail shows.
fn group_lines(round: &Round<'_>, mail: &PlannedMail) -> String {
    let seen = &round.seen;
    let mut parts = Vec::new();
    if mail.tells_firing {
        parts.push(lines("", &seen.shown, seen.firing));
    }
    if mail.tells_resolved || !mail.tells_firing {
        parts.push(lines("RESOLVED", &seen.shown_resolved, seen.resolved));
    }
    parts.join("\n")
}

fn plain_digest(rules: &AlarmRules, digest: &Digest) -> ContentDraft {
    plain(&format!("Alarms: {}", digest.alarms), &digest_lines(rules, digest))
}

fn plain(title: &str, text: &str) -> ContentDraft {
    let in_line = |c: char| if c.is_control() { ' ' } else { c };
    let subject: String = title.chars().take(LINE_CHARS).map(in_line).collect();
    let text = format!("{subject}\n\n{text}\n");
    ContentDraft::Raw { subject, text, html: String::new() }
}

fn one_alarm(alarm: &StandingAlarm, zone: &TimeZone) -> Vec<(&'static str, String)> {
    let mut values = vec![
        ("severity", severity_to(alarm.severity).to_uppercase()),
        ("node", alarm.identity.node.clone()),
        ("description", alarm.description.clone()),
        ("details", alarm.details.clone()),
        ("raised_at", moment(alarm.first_raised_at, zone)),
        ("count", alarm.count.to_string()),
        ("labels", pairs(&alarm.identity.labels)),
    ];
    values.extend(alarm.resolved_at.map(|at| ("resolved_at", moment(at, zone))));
    values
}

/// A line for each alarm, and one that counts the others.
fn lines(tag: &str, alarms: &[StandingAlarm], count: u64) -> String {
    let mut lines: Vec<String> = alarms.iter().map(|alarm| line(tag, alarm)).collect();
    let more = count.saturating_sub(alarms.len() as u64);
    if 0 < more {
        lines.push(format!("… +{more}"));
    }
    lines.join("\n")
}

fn line(tag: &str, alarm: &StandingAlarm) -> String {
    let severity = severity_to(alarm.severity).to_uppercase();
    let tag = if tag.is_empty() { severity.as_str() } else { tag };
    let node = &alarm.identity.node;
    let description = alarm.description.lines().next().unwrap_or_default();
    let labels = pairs(&alarm.identity.labels).replace('\n', " ");
    let parts = [tag, node, description, labels.as_str()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let line: String = parts.join(" · ").chars().take(LINE_CHARS).collect();
    if 1 < alarm.count { format!("{line} · ×{}", alarm.count) } else { line }
}

fn pairs(labels: &BTreeMap<String, String>) -> String {
    let pairs = labels.iter().filter(|(_key, value)| !value.is_empty());
    pairs.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("\n")
}

/// A line for each type, and one for the ends.
fn digest_lines(rules: &AlarmRules, digest: &Digest) -> String {
    let name = |id: &String| rules.find(id).map_or_else(|| id.clone(), |kind| kind.display_name);
    let types = digest.types.iter().filter(|(_id, count)| 0 < **count);
    let mut lines: Vec<String> =
        types.map(|(id, count)| format!("{count} × {}", name(id))).collect();
    if 0 < digest.resolved {
        lines.push(format!("{} × RESOLVED", digest.resolved));
    }
    lines.join("\n")
}

fn digest_content(rules: &AlarmRules, digest: &Digest) -> ContentDraft {
    let zone = &rules.settings.time_zone;
    let values = vec![
        ("count", digest.alarms.to_string()),
        ("alarms", digest_lines(rules, digest)),
        ("since", moment(digest.since, zone)),
        ("until", moment(digest.until, zone)),
    ];
    template("templates/alarm-digest", values, &digest.locale)
}

fn template(name: &str, values: Vec<(&str, String)>, locale: &str) -> ContentDraft {
    // The last value of a name counts, and what is empty is as if it were not there.
    let variables: Variables = values
        .into_iter()
        .filter(|(_name, value)| !value.trim().is_empty())
        .map(|(name, value)| (name.to_owned(), Sensitive::from(value)))
        .collect();
    ContentDraft::Template {
        name: name.to_owned(),
        variables,
        locale: locale.to_owned(),
        portal: String::new(),
    }
}
