//! Mail by a server beside the provider's.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::address::{EmailAddress, Mailbox};
use nuncio_core::alarm::Severity;
use nuncio_core::alarm::route::{MessageKind, Route, RouteFailure, RouteMessage, SmtpTarget};
use nuncio_core::job::Reason;
use nuncio_core::mail::{Mail, Recipient, RecipientKind};
use nuncio_core::outcome::{SendOutcome, Verdict};
use nuncio_core::ports::mail::{BodyGate, MailTransport as _, OutgoingMail};
use nuncio_core::ports::token::{Token, TokenError, TokenErrorKind, TokenRequest, TokenSource};
use nuncio_core::reply::SmtpReply;
use nuncio_core::secret::{AccessToken, Sensitive};
use nuncio_core::settings::{
    Authentication, MailboxLimits, Provider, SavedSmtpSettings, SmtpSettings,
};
use nuncio_smtp::transport::SmtpTransport;
use tokio::time::timeout;

use crate::sender::{Sender, failure};

/// The longest subject, in characters: what a phone shows of it is less.
const SUBJECT_CHARS_MAX: usize = 150;

/// Sends one mail over a connection of its own. The same message has the same `Message-ID` with each try.
pub(crate) async fn send(
    sender: &Sender,
    route: &Route,
    target: &SmtpTarget,
    message: &RouteMessage,
) -> Result<String, RouteFailure> {
    let (settings, outgoing) = (settings(route, target), outgoing(target, message));
    let tokens = Arc::new(NoTokens);
    let transport = SmtpTransport::new(tokens, Arc::clone(&sender.clock), &sender.node);
    let sending = async {
        let outcome = transport.send(&settings, &target.from, &outgoing, &Open).await;
        transport.close_all_idle().await;
        outcome
    };
    let late = |_elapsed| {
        failure("TIMED_OUT", format!("not sent within {} s", route.timeout.as_secs_f32()))
    };
    told(timeout(route.timeout, sending).await.map_err(late)?)
}

fn settings(route: &Route, target: &SmtpTarget) -> SavedSmtpSettings {
    let authentication = match &target.login {
        None => Authentication::None,
        Some(login) => Authentication::Password {
            username: login.username.clone(),
            password: login.password.clone(),
        },
    };
    let settings = SmtpSettings {
        provider: Provider::Generic,
        host: target.host.clone(),
        port: target.port,
        connect_timeout: route.timeout,
        encryption: target.encryption,
        email_address: target.from.clone(),
        additional_mailboxes: Vec::new(),
        authentication,
        ca_certificates_pem: route.ca_certificates_pem.clone(),
        limits: MailboxLimits {
            connections_max: 1,
            messages_per_minute_max: None,
            recipients_per_day_max: None,
        },
        proxy: None,
    };
    let saved_at = Timestamp::UNIX_EPOCH;
    SavedSmtpSettings { settings, generation: 1, saved_at, history: Vec::new() }
}

fn outgoing(target: &SmtpTarget, message: &RouteMessage) -> OutgoingMail {
    let to = |address: &EmailAddress| Recipient {
        mailbox: Mailbox { address: address.clone(), display_name: None },
        kind: RecipientKind::To,
    };
    let mail = Mail {
        from: None,
        reply_to: None,
        other_senders: Vec::new(),
        references: Vec::new(),
        recipients: target.recipients.iter().map(to).collect(),
        subject: subject(message),
        text: Some(Sensitive::from(text(message))),
        html: None,
        attachments: Vec::new(),
        template: None,
    };
    OutgoingMail {
        mail,
        message_id: message_id(&message.id, &target.from),
        date: message.at,
        recipients: target.recipients.clone(),
    }
}

/// In one line; the tag first, as a phone may show no more.
fn subject(message: &RouteMessage) -> String {
    let tag = match (message.kind, message.severity) {
        (MessageKind::AlarmResolved, _) => "RESOLVED",
        (MessageKind::MailLate, _) => "MAIL IS LATE",
        (MessageKind::MailBack, _) => "MAIL IS BACK",
        (MessageKind::Test, _) => "TEST",
        (MessageKind::AlarmRaised, Severity::Critical) => "CRITICAL",
        (MessageKind::AlarmRaised, Severity::Warning) => "WARNING",
        (MessageKind::AlarmRaised, Severity::Info) => "INFO",
    };
    let whole = format!("[{tag}] {}", message.summary);
    let in_line = |c: char| if c.is_control() { ' ' } else { c };
    whole.chars().take(SUBJECT_CHARS_MAX).map(in_line).collect()
}

fn text(message: &RouteMessage) -> String {
    let fields = message.fields.iter().filter(|(_name, value)| !value.is_empty());
    let fields: Vec<String> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
    format!(
        "{}\n\ntime: {}\n{}\n\nTold by nuncio past the mail's provider ({}).\n",
        message.summary,
        message.at,
        fields.join("\n"),
        message.kind.name(),
    )
}

/// Of what may stand in one (RFC 5322, section 3.6.4), so that readers know a repetition.
fn message_id(id: &str, from: &EmailAddress) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '.' };
    let id: String = id.chars().map(allowed).collect();
    let domain = if from.domain().is_ascii() { from.domain() } else { "nuncio.invalid" };
    format!("<{}@{domain}>", id.trim_matches('.'))
}

/// What the outcome means for the message: it is told if anybody got it, as another try would double that.
fn told(outcome: SendOutcome) -> Result<String, RouteFailure> {
    let verdicts = match outcome {
        SendOutcome::Judged(verdicts) => verdicts,
        SendOutcome::SenderRefused { reason, .. }
        | SendOutcome::Unknown { reason, .. }
        | SendOutcome::Closed { reason } => return Err(of_reason(reason)),
        SendOutcome::Throttled { reason, retry_after }
        | SendOutcome::Unavailable { reason, retry_after } => {
            return Err(RouteFailure { retry_after, ..of_reason(reason) });
        }
        SendOutcome::Abandoned => return Err(failure("ABANDONED", "the mail was not sent")),
    };
    let count = verdicts.len();
    let mut taken: Option<SmtpReply> = None;
    let (mut accepted, mut deferred, mut refused) = (0, None, None);
    for verdict in verdicts {
        match verdict {
            Verdict::Accepted(reply) => {
                accepted += 1;
                taken.get_or_insert(reply);
            }
            Verdict::Deferred { reason, retry_after: _ } | Verdict::InAnotherMail(reason) => {
                deferred.get_or_insert(reason);
            }
            Verdict::Refused(reason) => {
                refused.get_or_insert(reason);
            }
        }
    }
    match (taken, deferred, refused) {
        (Some(reply), None, None) => Ok(reply.to_string()),
        (Some(reply), Some(no), _) | (Some(reply), None, Some(no)) => {
            let no = words_of(&no);
            Ok(format!("{reply}; only for {accepted} of {count} recipients, for another: {no}"))
        }
        (None, Some(reason), _) => Err(failure("MAIL_DEFERRED", words_of(&reason))),
        (None, None, refused) => Err(RouteFailure {
            not_understood: true,
            ..failure("MAIL_REFUSED", refused.as_ref().map(words_of).unwrap_or_default())
        }),
    }
}

/// The provider's own words, where it has said something.
fn words_of(reason: &Reason) -> String {
    reason.reply.as_ref().map_or_else(|| reason.message.clone(), SmtpReply::to_string)
}

fn of_reason(reason: Reason) -> RouteFailure {
    let Reason { code, message, remedy, reply: _ } = reason;
    let message = if remedy.is_empty() { message } else { format!("{message}; {remedy}") };
    failure(&code, message)
}

/// A route logs in with a password or not at all.
struct NoTokens;

impl NoTokens {
    fn none() -> TokenError {
        TokenError {
            kind: TokenErrorKind::Fatal,
            reason: Reason::new("NO_TOKENS", "a route of alarms logs in without tokens"),
            presented_chain: Vec::new(),
        }
    }
}

#[async_trait]
impl TokenSource for NoTokens {
    async fn token(&self, _request: TokenRequest<'_>) -> Result<Token, TokenError> {
        Err(Self::none())
    }

    async fn invalidate(&self, _request: TokenRequest<'_>, _refused: &AccessToken) {}

    async fn fetch(&self, _request: TokenRequest<'_>) -> Result<Token, TokenError> {
        Err(Self::none())
    }

    async fn cached_until(&self, _request: TokenRequest<'_>) -> Option<Timestamp> {
        None
    }
}

/// Nobody else sends a message of which this node has the claim.
struct Open;

#[async_trait]
impl BodyGate for Open {
    async fn open(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
