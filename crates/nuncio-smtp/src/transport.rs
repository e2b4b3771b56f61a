//! Hands mails over to the provider.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::job::Reason;
use nuncio_core::outcome::SendOutcome;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::mail::{BodyGate, MailTransport, OutgoingMail};
use nuncio_core::ports::token::{TokenError, TokenErrorKind, TokenRequest, TokenSource};
use nuncio_core::ports::trust::{Authorities, NoAuthorities};
use nuncio_core::settings::trust_store::TrustUse;
use nuncio_core::settings::{Authentication, Encryption, SavedSmtpSettings, SmtpSettings};
use nuncio_net::network::{Network, Tcp};
use nuncio_runtime::chain::Chain;
use nuncio_runtime::trace;
use nuncio_tls::trust::{Trust, TrustError};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, debug, error, info_span};

use crate::auth::Login;
use crate::classify::{Class, classify};
use crate::connection::{Connection, Delivered, secure};
use crate::ehlo_name::ehlo_name;
use crate::failure::{Failure, Problem};
use crate::judge::{SenderKind, judge, lost, not_built, refused_here};
use crate::lessons::{Lessons, fewer_recipients};
use crate::message::{Message, build};
use crate::network::reach;
use crate::phase::Phase;
use crate::pool::{Link, Pool};
use crate::session::transaction::{Handover, Replies};
use crate::session::{Event, Session, SessionError};

/// How long a mail waits for a free connection. The dispatcher keeps to the limit itself, so that it
/// need not wait.
const SLOT_WAIT: Duration = Duration::from_secs(30);
/// How often idle connections are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Sends mails over kept connections, for each mailbox at most as many as the settings allow.
pub struct SmtpTransport {
    tokens: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    network: Arc<dyn Network>,
    authorities: Arc<dyn Authorities>,
    ehlo_name: String,
    pool: Pool,
    /// Of the last settings and trust store, as making it reads the system's certificates from disk.
    trust: Mutex<Option<(String, Trust)>>,
    lessons: Mutex<Lessons>,
    /// How long a server may be silent; shorter in tests.
    limits: fn(Phase) -> Duration,
}

/// What became of a mail on one connection.
enum Attempt {
    Over(SendOutcome),
    /// The kept connection was of no use any more; nothing of the mail was sent.
    Stale,
}

impl SmtpTransport {
    /// `host_name` is what this node calls itself to servers.
    pub fn new(tokens: Arc<dyn TokenSource>, clock: Arc<dyn Clock>, host_name: &str) -> Self {
        Self::over(Arc::new(Tcp), tokens, clock, host_name)
    }

    pub(crate) fn over(
        network: Arc<dyn Network>,
        tokens: Arc<dyn TokenSource>,
        clock: Arc<dyn Clock>,
        host_name: &str,
    ) -> Self {
        let ehlo_name = ehlo_name(host_name);
        let authorities = Arc::new(NoAuthorities);
        let (pool, trust, lessons) = (Pool::default(), Mutex::default(), Mutex::default());
        let limits = Phase::limit;
        Self { tokens, clock, network, authorities, ehlo_name, pool, trust, lessons, limits }
    }

    /// The same, which trusts these too, beside those of the system and of the settings.
    #[must_use]
    pub fn trusting(self, authorities: Arc<dyn Authorities>) -> Self {
        Self { authorities, ..self }
    }

    /// Closes connections that lie idle for too long, until `stop` is cancelled; then all idle ones.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Infallible> {
        while stop.run_until_cancelled(sleep(SWEEP_INTERVAL)).await.is_some() {
            quit_all(self.pool.take_outworn(self.clock.now(), false)).await;
        }
        self.close_all_idle().await;
        Ok(())
    }

    /// Closes all connections that are not in use, with QUIT.
    pub async fn close_all_idle(&self) {
        quit_all(self.pool.take_outworn(self.clock.now(), true)).await;
    }

    async fn hand_over(
        &self,
        saved: &SavedSmtpSettings,
        mailbox: &EmailAddress,
        mail: &OutgoingMail,
        gate: &dyn BodyGate,
    ) -> SendOutcome {
        if let Some(rest) = self.lessons().tenant_rest(saved.generation, Instant::now()) {
            return rest;
        }
        let message = match build(mail, &saved.settings.email_address) {
            Ok(message) => message,
            Err(fault) => {
                error!("mail not built: {}", Chain(&fault));
                return not_built(mail.recipients.len());
            }
        };
        let connections_max = saved.settings.limits.connections_max;
        let acquire = self.pool.acquire(mailbox, saved.generation, connections_max);
        let Ok((_slot, outdated)) = timeout(SLOT_WAIT, acquire).await else {
            let reason =
                Reason::new("NO_FREE_CONNECTION", "all connections of the mailbox are busy");
            return SendOutcome::Throttled { reason, retry_after: None };
        };
        quit_all(outdated).await;
        if let Some(link) = self.kept(mailbox, saved.generation).await {
            match self.attempt(link, saved, &message, gate, true).await {
                Attempt::Over(outcome) => return outcome,
                Attempt::Stale => {
                    debug!("kept connection was closed by the server; taking another");
                }
            }
        }
        match self.open(saved, mailbox).await {
            Ok(link) => {
                trace::note(&Span::current(), "smtp.connected", &[]);
                match self.attempt(link, saved, &message, gate, false).await {
                    Attempt::Over(outcome) => outcome,
                    Attempt::Stale => unreachable!("only kept connections are stale"),
                }
            }
            Err(outcome) => outcome,
        }
    }

    /// A kept connection of the mailbox that the server has not closed, as far as can be seen.
    async fn kept(&self, mailbox: &EmailAddress, generation: i64) -> Option<Link> {
        quit_all(self.pool.take_outworn(self.clock.now(), false)).await;
        while let Some(mut link) = self.pool.take_idle(mailbox) {
            if link.generation != generation {
                link.connection.quit().await;
            } else if link.connection.is_quiet().await {
                return Some(link);
            }
        }
        None
    }

    async fn attempt(
        &self,
        mut link: Link,
        saved: &SavedSmtpSettings,
        message: &Message,
        gate: &dyn BodyGate,
        is_kept: bool,
    ) -> Attempt {
        let envelope = &message.envelope;
        let is_ours =
            envelope.from == saved.settings.email_address || envelope.from == link.mailbox;
        let sender = if is_ours { SenderKind::Mailbox } else { SenderKind::Other };
        let generation = saved.generation;
        let mailbox = link.mailbox.clone();
        let delivered = self.deliver(&mut link, saved.generation, message, gate).await;
        let outcome = match delivered {
            Delivered::Ended(replies) if is_kept && is_login_lost(&replies) => {
                link.connection.quit().await;
                return Attempt::Stale;
            }
            Delivered::Ended(replies) => {
                record(&replies);
                self.keep(link).await;
                let outcome = judge(&replies, sender);
                self.lessons().learn(generation, &mailbox, &replies, outcome, Instant::now())
            }
            Delivered::RefusedHere(reply) => {
                self.keep(link).await;
                refused_here(&reply, envelope.recipients.len())
            }
            Delivered::Abandoned => SendOutcome::Abandoned,
            Delivered::Broken { failure, replies }
                if is_kept && (is_staleness(&failure) || is_login_lost(&replies)) =>
            {
                return Attempt::Stale;
            }
            Delivered::Broken { failure, replies } => {
                record(&replies);
                if replies.is_refused() {
                    judge(&replies, sender)
                } else {
                    failure.outcome(&saved.settings)
                }
            }
            Delivered::Lost { failure, replies } => {
                let cause = failure.explain(&saved.settings).cause;
                lost(&replies, Reason::new("OUTCOME_UNKNOWN", cause))
            }
        };
        Attempt::Over(outcome)
    }

    /// Hands a mail over, to fewer recipients if the server refuses it for having so many: then nobody has it yet.
    async fn deliver(
        &self,
        link: &mut Link,
        generation: i64,
        message: &Message,
        gate: &dyn BodyGate,
    ) -> Delivered {
        let mut handover = if link.is_warm() { Handover::AtOnce } else { Handover::InTurn };
        let recipients_max =
            self.lessons().recipients_max(generation, &link.mailbox, Instant::now());
        let mut envelope = Cow::Borrowed(&message.envelope);
        if recipients_max < envelope.recipients.len() {
            envelope.to_mut().recipients_max = recipients_max;
        }
        loop {
            let delivered =
                link.connection.deliver(&envelope, &message.content, handover, gate).await;
            let Delivered::Ended(replies) = &delivered else { return delivered };
            let Some(fewer) = fewer_recipients(replies) else { return delivered };
            let now = Instant::now();
            self.lessons().limit_recipients(generation, &link.mailbox, fewer, now);
            envelope.to_mut().recipients_max = fewer;
            handover = Handover::InTurn;
        }
    }

    fn lessons(&self) -> MutexGuard<'_, Lessons> {
        self.lessons.lock().expect("no holder of this lock panics")
    }

    async fn keep(&self, link: Link) {
        if let Some(outdated) = self.pool.keep(link) {
            outdated.connection.quit().await;
        }
    }

    /// Makes a connection and logs in as the mailbox. A refused token is replaced by a fresh one, once.
    async fn open(
        &self,
        saved: &SavedSmtpSettings,
        mailbox: &EmailAddress,
    ) -> Result<Link, SendOutcome> {
        let settings = &saved.settings;
        let outcome = |failure: &Failure| failure.outcome(settings);
        let trust = self.trust(&settings.ca_certificates_pem).map_err(|error| {
            outcome(&Failure { phase: Phase::Tls, problem: Problem::Trust(error) })
        })?;
        let (login, token_until) = self.login(settings, mailbox).await?;
        let link = |connection, token_until| {
            self.pool.link(connection, mailbox, saved.generation, token_until)
        };
        let failure = match self.connect(settings, &trust, &login).await {
            Ok(connection) => return Ok(link(connection, token_until)),
            Err(failure) => failure,
        };
        let (Authentication::Oauth(client), Login::Oauth { token: refused, .. }, true) =
            (&settings.authentication, &login, failure.is_login_refused())
        else {
            return Err(outcome(&failure));
        };
        self.tokens.invalidate(TokenRequest::of(settings, client), refused).await;
        let (fresh, token_until) = self.login(settings, mailbox).await?;
        if matches!(&fresh, Login::Oauth { token, .. } if token == refused) {
            return Err(outcome(&failure));
        }
        let connection = self.connect(settings, &trust, &fresh).await.map_err(|f| outcome(&f))?;
        Ok(link(connection, token_until))
    }

    async fn connect(
        &self,
        settings: &SmtpSettings,
        trust: &Trust,
        login: &Login,
    ) -> Result<Connection, Failure> {
        let until = Instant::now() + settings.connect_timeout;
        let host = &settings.host;
        let mut stream = reach(&*self.network, settings, until).await?;
        if settings.encryption == Encryption::Tls {
            (stream, _) = secure(stream, host, trust, until).await?;
        }
        let session = Session::new(&self.ehlo_name, settings.encryption);
        let mut connection = Connection::new(stream, session).limited(self.limits);
        if connection.advance(Some(until)).await? == Event::StartTls {
            (connection, _) = connection.start_tls(host, trust, until).await?;
            connection.advance(Some(until)).await?;
        }
        match connection.login(login, until).await {
            Ok(()) => Ok(connection),
            Err(failure) => {
                if matches!(failure.problem, Problem::Session(_)) {
                    connection.quit().await;
                }
                Err(failure)
            }
        }
    }

    async fn login(
        &self,
        settings: &SmtpSettings,
        mailbox: &EmailAddress,
    ) -> Result<(Login, Option<Timestamp>), SendOutcome> {
        match &settings.authentication {
            Authentication::None => Ok((Login::None, None)),
            Authentication::Password { username, password } => {
                let (username, password) = (username.clone(), password.clone());
                Ok((Login::Password { username, password }, None))
            }
            Authentication::Oauth(client) => {
                let token = self.tokens.token(TokenRequest::of(settings, client)).await;
                let token = token.map_err(without_token)?;
                let username = mailbox.to_string();
                let (host, port) = (settings.host.clone(), settings.port);
                let login = Login::Oauth { username, token: token.access_token, host, port };
                Ok((login, Some(token.expires_at)))
            }
        }
    }

    fn trust(&self, own: &str) -> Result<Trust, TrustError> {
        let pem = self.authorities.beside(own, TrustUse::Smtp);
        let mut cached = self.trust.lock().expect("no holder of this lock panics");
        if let Some((_, trust)) = cached.as_ref().filter(|(of, _)| *of == pem) {
            return Ok(trust.clone());
        }
        let trust = Trust::from_pem(&pem)?;
        *cached = Some((pem, trust.clone()));
        Ok(trust)
    }
}

#[async_trait]
impl MailTransport for SmtpTransport {
    async fn send(
        &self,
        settings: &SavedSmtpSettings,
        mailbox: &EmailAddress,
        mail: &OutgoingMail,
        gate: &dyn BodyGate,
    ) -> SendOutcome {
        let span = info_span!(
            "smtp.transaction",
            otel.kind = "client",
            server.address = settings.settings.host,
            server.port = settings.settings.port,
            smtp.recipients = mail.recipients.len(),
            smtp.reply.code = tracing::field::Empty,
        );
        let outcome = self.hand_over(settings, mailbox, mail, gate).instrument(span).await;
        if settings.settings.additional_mailboxes.is_empty() {
            return outcome;
        }
        naming(outcome, mailbox)
    }

    fn ready(&self, mailbox: &EmailAddress) -> usize {
        self.pool.ready(mailbox, self.clock.now())
    }

    fn connections(&self) -> usize {
        self.pool.open()
    }

    async fn close_idle(&self, mailbox: &EmailAddress) {
        quit_all(std::iter::from_fn(|| self.pool.take_idle(mailbox)).collect()).await;
    }
}

/// The same, with the mailbox named where it may be to blame.
fn naming(outcome: SendOutcome, mailbox: &EmailAddress) -> SendOutcome {
    let named = |reason: Reason| {
        let message = format!("{} (mailbox `{mailbox}`)", reason.message);
        Reason { message, ..reason }
    };
    match outcome {
        SendOutcome::Closed { reason } => SendOutcome::Closed { reason: named(reason) },
        SendOutcome::Throttled { reason, retry_after } => {
            SendOutcome::Throttled { reason: named(reason), retry_after }
        }
        SendOutcome::Judged(_)
        | SendOutcome::SenderRefused { .. }
        | SendOutcome::Unknown { .. }
        | SendOutcome::Unavailable { .. }
        | SendOutcome::Abandoned => outcome,
    }
}

fn without_token(error: TokenError) -> SendOutcome {
    let reason = error.reason;
    match error.kind {
        TokenErrorKind::Fatal => SendOutcome::Closed { reason },
        TokenErrorKind::Temporary { retry_after } => {
            SendOutcome::Unavailable { reason, retry_after }
        }
    }
}

/// Whether a kept connection has only shown that it is one no more. Servers close what lies idle; the mail
/// was certainly not taken.
fn is_staleness(failure: &Failure) -> bool {
    match &failure.problem {
        Problem::TimedOut(_) | Problem::Closed | Problem::Io(_) => failure.phase < Phase::Body,
        Problem::Session(SessionError::Refused { phase, reply }) => {
            reply.code == 421 && *phase < Phase::Body
        }
        Problem::Session(_) | Problem::Proxy(_) | Problem::Trust(_) => false,
    }
}

/// Whether the server has forgotten the login of this connection, and has the mail for nobody: what it has taken
/// for some must not go out to them again.
fn is_login_lost(replies: &Replies) -> bool {
    let is_lost = |(phase, reply)| classify(phase, reply).class == Class::SessionLost;
    !replies.is_any_accepted() && replies.negative().any(is_lost)
}

fn record(replies: &Replies) {
    let last = replies.end.as_ref().or(replies.data.as_ref()).or(replies.mail.as_ref());
    if let Some(reply) = last {
        Span::current().record("smtp.reply.code", reply.code);
    }
}

async fn quit_all(links: Vec<Link>) {
    join_all(links.into_iter().map(|link| link.connection.quit())).await;
}

#[cfg(test)]
mod tests;
