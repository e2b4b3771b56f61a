//! Mails about alarms that do not go out, and what the second route says in their place.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::alarm::Severity;
use crate::alarm::recipient::{Bucket, Digest, Lane, MailSummary};
use crate::alarm::route::{MessageKind, RouteMessage};
use crate::alarm::settings::AlarmSettings;
use crate::job::{Job, JobState, MailJobId};

/// When a mail about alarms is first looked at: by then most have gone out.
pub const FIRST_LOOK: Duration = Duration::from_secs(10);
/// How often one that waits is looked at, and how often those that are late; the latter more rarely the longer it lasts.
pub const LOOK_PERIOD: Duration = Duration::from_secs(30);
pub const LOOK_PERIOD_MAX: Duration = Duration::from_mins(5);
/// The part of an outage that may pass until its end is seen.
const LOOK_PART: u32 = 60;
/// How long a mail may wait until the second route tells of it.
pub const LATE_AFTER: Duration = Duration::from_mins(5);
/// The same for critical alarms, unless mail is known to be broken: then they are late at the first look.
pub const CRITICAL_LATE_AFTER: Duration = Duration::from_mins(1);

/// A mail about alarms whose end is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmMail {
    pub job: MailJobId,
    /// What it is about: a type, or [`DIGEST`].
    pub alarm_type: String,
    pub subject: String,
    /// What it says, in a few lines.
    pub text: String,
    pub lane: Lane,
    /// How many alarms fire in it.
    pub alarms: u64,
    pub made_at: Timestamp,
    /// Whether the second route has told of its alarms when they were raised.
    pub is_known: bool,
    /// Whether it counts to those that are late.
    pub is_late: bool,
}

/// Stands for the type where a mail is a digest.
pub const DIGEST: &str = "digest";

/// What has become of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailFate {
    Waits,
    /// Somebody has got it.
    Sent,
    /// Nobody has got it, as far as is known.
    Lost {
        state: JobState,
        reason: String,
    },
    /// A person did not want it.
    Cancelled,
}

impl MailFate {
    /// That of a job; one that is no more was removed long after its end.
    pub fn of(job: Option<&Job>) -> Self {
        let Some(job) = job else { return Self::Cancelled };
        match job.state {
            JobState::Queued | JobState::Sending | JobState::Deferred | JobState::Held => {
                Self::Waits
            }
            JobState::Sent => Self::Sent,
            JobState::Cancelled => Self::Cancelled,
            JobState::Failed | JobState::Expired | JobState::Unknown => {
                let told = job.reason.as_ref().map(|reason| {
                    let reply = reason.reply.as_ref().map(|reply| format!(": {reply}"));
                    format!("{}{}", reason.message, reply.unwrap_or_default())
                });
                Self::Lost { state: job.state, reason: told.unwrap_or_default() }
            }
        }
    }
}

impl AlarmMail {
    /// When a mail that waits is to be looked at again; none if it is late now.
    pub fn next_look(&self, is_broken: bool, now: Timestamp) -> Option<Timestamp> {
        let patience = match self.lane {
            Lane::Critical if is_broken => FIRST_LOOK,
            Lane::Critical => CRITICAL_LATE_AFTER,
            Lane::Normal => LATE_AFTER,
        };
        let late_at = self.made_at + patience;
        (now < late_at).then(|| late_at.min(now + LOOK_PERIOD))
    }

    fn summary(&self) -> MailSummary {
        MailSummary {
            alarm_type: self.alarm_type.clone(),
            alarms: self.alarms,
            resolved: 0,
            lane: self.lane,
            locale: String::new(),
        }
    }
}

/// A time in which mails about alarms do not go out. It begins with the first that is late, and ends when none waits
/// and one has gone out.
#[derive(Clone, Debug, PartialEq)]
pub struct MailOutage {
    /// When the first mail was made that is late.
    pub since: Timestamp,
    /// Late mails that wait still.
    pub waiting: u64,
    /// All that were late, and how many alarms stood in them.
    pub mails: u64,
    pub alarms: u64,
    /// Of these, those that went out after all, and those that did not.
    pub sent: u64,
    pub lost: u64,
    /// Whether any mail about alarms has gone out since the last one was late.
    pub is_proven: bool,
    /// How many messages were made.
    pub messages: u64,
    /// How many more may be made at once.
    pub room: Bucket,
    /// What waits to be told in one message.
    pub digest: Option<Digest>,
    pub digested_at: Option<Timestamp>,
}

impl MailOutage {
    /// One that begins with this mail.
    pub fn new(first: &AlarmMail, settings: &AlarmSettings, now: Timestamp) -> Self {
        Self {
            since: first.made_at,
            waiting: 0,
            mails: 0,
            alarms: 0,
            sent: 0,
            lost: 0,
            is_proven: false,
            messages: 0,
            room: Bucket { mails: f64::from(settings.critical_limit.burst), at: now },
            digest: None,
            digested_at: None,
        }
    }

    /// Counts a mail that is late now. A critical one is told at once while the limit lets it; others are gathered.
    pub fn take_late(
        &mut self,
        mail: &AlarmMail,
        settings: &AlarmSettings,
        now: Timestamp,
    ) -> Option<RouteMessage> {
        self.since = self.since.min(mail.made_at);
        self.waiting += 1;
        self.mails += 1;
        self.alarms += mail.alarms;
        self.is_proven = false;
        if mail.is_known {
            return None;
        }
        let waits = self.digest.as_ref().is_some_and(|digest| digest.is_critical);
        let at_once = match mail.lane {
            Lane::Critical => !waits && self.room.take(settings.critical_limit, now),
            Lane::Normal => false,
        };
        if !at_once {
            let digest = self.digest.get_or_insert_with(|| Digest::new(now, String::new()));
            digest.take(&mail.summary(), now);
            return None;
        }
        let summary = format!("{} (its mail waits since {})", mail.subject, mail.made_at);
        let fields = [
            ("type", mail.alarm_type.clone()),
            ("text", mail.text.clone()),
            ("mail_job", mail.job.to_string()),
            ("alarms", mail.alarms.to_string()),
        ];
        Some(self.message(MessageKind::MailLate, Severity::Critical, summary, &fields, now))
    }

    /// What is told of the mails that were gathered, if it may be told now.
    pub fn take_digest(
        &mut self,
        settings: &AlarmSettings,
        now: Timestamp,
    ) -> Option<RouteMessage> {
        if self.digest_due_at(settings)? > now || !self.room.take(settings.critical_limit, now) {
            return None;
        }
        let digest = self.digest.take()?;
        self.digested_at = Some(now);
        let types = digest.types.iter().map(|(id, count)| format!("{id}: {count}"));
        let fields = [
            ("types", types.collect::<Vec<_>>().join(", ")),
            ("mails", digest.mails.to_string()),
            ("alarms", digest.alarms.to_string()),
            ("mails_waiting", self.waiting.to_string()),
        ];
        let severity = if digest.is_critical { Severity::Critical } else { Severity::Warning };
        let summary = format!(
            "late mails about alarms: {} (alarms: {}; {}); the first waits since {}",
            digest.mails, digest.alarms, fields[0].1, self.since
        );
        Some(self.message(MessageKind::MailLate, severity, summary, &fields, now))
    }

    /// Counts a mail that has ended.
    pub fn take_end(&mut self, fate: &MailFate, was_late: bool) {
        let is_sent = match fate {
            MailFate::Waits => return,
            MailFate::Sent => true,
            MailFate::Lost { .. } | MailFate::Cancelled => false,
        };
        self.is_proven |= is_sent;
        if was_late {
            self.waiting = self.waiting.saturating_sub(1);
            *(if is_sent { &mut self.sent } else { &mut self.lost }) += 1;
        }
    }

    /// What is told at its end; none while it lasts.
    pub fn end(&mut self, now: Timestamp) -> Option<RouteMessage> {
        if 0 < self.waiting || !self.is_proven {
            return None;
        }
        let Self { since, mails, alarms, sent, lost, .. } = *self;
        let summary = format!(
            "alarms are told by mail again; late since {since}: {mails} (alarms: {alarms}), sent: {sent}, lost: {lost}"
        );
        let fields = [
            ("mails_late", mails.to_string()),
            ("mails_sent", sent.to_string()),
            ("mails_lost", lost.to_string()),
            ("alarms", alarms.to_string()),
            ("since", since.to_string()),
        ];
        Some(self.message(MessageKind::MailBack, Severity::Info, summary, &fields, now))
    }

    /// When somebody must look at the mails that are late.
    pub fn look_at(&self, settings: &AlarmSettings, now: Timestamp) -> Timestamp {
        let age = Duration::try_from(now.duration_since(self.since)).unwrap_or_default();
        let next = now + (age / LOOK_PART).clamp(LOOK_PERIOD, LOOK_PERIOD_MAX);
        self.digest_due_at(settings).map_or(next, |due| due.clamp(now, next))
    }

    fn digest_due_at(&self, settings: &AlarmSettings) -> Option<Timestamp> {
        let digest = self.digest.as_ref()?;
        let gathered = match (digest.lane(), self.digested_at) {
            (Lane::Normal, Some(last)) => last + settings.digest_interval,
            (Lane::Normal, None) | (Lane::Critical, _) => digest.since,
        };
        Some(gathered.max(self.room.full_at(1.0, settings.critical_limit)))
    }

    /// The next message. Its id is the same however often the same step is done.
    fn message(
        &mut self,
        kind: MessageKind,
        severity: Severity,
        summary: String,
        fields: &[(&str, String)],
        at: Timestamp,
    ) -> RouteMessage {
        self.messages += 1;
        let id = format!("mail-outage/{}/{}", self.since.as_microsecond(), self.messages);
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let fields: BTreeMap<String, String> = fields.collect();
        RouteMessage { id, kind, at, severity, summary, fields }
    }
}

#[cfg(test)]
mod tests;
