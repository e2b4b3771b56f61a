//! Tests settings stage by stage.

use std::sync::Arc;

use async_trait::async_trait;
use nuncio_core::ports::mail::SmtpTester;
use nuncio_core::ports::token::{Token, TokenError, TokenRequest, TokenSource};
use nuncio_core::ports::trust::{Authorities, NoAuthorities};
use nuncio_core::reply::SmtpReply;
use nuncio_core::settings::proxy::Proxy;
use nuncio_core::settings::trust_store::TrustUse;
use nuncio_core::settings::{Authentication, Encryption, OauthClient, SmtpSettings};
use nuncio_core::smtp_test::{NodeTest, StageError, StageKind, StageResult};
use nuncio_net::network::{Io, Network, Tcp};
use nuncio_net::proxy::Tunnel;
use nuncio_tls::trust::Trust;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::auth::Login;
use crate::claims::Claims;
use crate::classify::{Class, PROVIDER_DEFERRED, PROVIDER_REFUSED, classify};
use crate::connection::{Connection, TlsDetail, secure};
use crate::ehlo_name::ehlo_name;
use crate::failure::{Failure, Problem, way};
use crate::network::{connect, reach, resolve, tunnel};
use crate::phase::Phase;
use crate::probe::report::Report;
use crate::session::transaction::Replies;
use crate::session::{Event, Session};

mod report;

/// Tests settings from this node, over connections and with a token of its own.
pub struct SmtpProbe {
    tokens: Arc<dyn TokenSource>,
    network: Arc<dyn Network>,
    authorities: Arc<dyn Authorities>,
    ehlo_name: String,
    node: String,
}

impl SmtpProbe {
    /// `host_name` is what this node calls itself to servers, `node` what it is called by operators.
    pub fn new(tokens: Arc<dyn TokenSource>, host_name: &str, node: &str) -> Self {
        Self::over(Arc::new(Tcp), tokens, host_name, node)
    }

    pub(crate) fn over(
        network: Arc<dyn Network>,
        tokens: Arc<dyn TokenSource>,
        host_name: &str,
        node: &str,
    ) -> Self {
        let (ehlo_name, node) = (ehlo_name(host_name), node.to_owned());
        Self { tokens, network, authorities: Arc::new(NoAuthorities), ehlo_name, node }
    }

    /// The same, which trusts these too, beside those of the system and of the settings.
    #[must_use]
    pub fn trusting(self, authorities: Arc<dyn Authorities>) -> Self {
        Self { authorities, ..self }
    }

    /// PROXY, DNS, TCP and TLS: nothing if one of them failed.
    async fn reach(
        &self,
        settings: &SmtpSettings,
        until: Instant,
        report: &mut Report,
    ) -> Option<Connection> {
        let stream = match settings.smtp_proxy() {
            Some(proxy) => self.reach_through(proxy, settings, until, report).await?,
            None => self.reach_directly(settings, until, report).await?,
        };
        let secured = self.encrypt(stream, settings, until).await;
        let (connection, tls) = report.failure(StageKind::Tls, settings, secured).await?;
        match tls {
            Some(TlsDetail { version, cipher }) => {
                let detail = format!("{version} with {cipher}; the certificate is trusted");
                report.passed(StageKind::Tls, detail).await;
            }
            None => report.skipped(StageKind::Tls, "the settings use no encryption").await,
        }
        Some(connection)
    }

    async fn reach_directly(
        &self,
        settings: &SmtpSettings,
        until: Instant,
        report: &mut Report,
    ) -> Option<Box<dyn Io>> {
        if settings.proxy.is_some() {
            let why = format!("`{}` is reached past the proxy", settings.host);
            report.skipped(StageKind::Proxy, &why).await;
        }
        let addresses = resolve(&*self.network, settings, until).await;
        let addresses = report.failure(StageKind::Dns, settings, addresses).await?;
        let list: Vec<String> = addresses.iter().map(|one| one.ip().to_string()).collect();
        let detail = format!("{} is {}", settings.host, list.join(", "));
        report.passed(StageKind::Dns, detail).await;

        let connected = connect(&*self.network, &addresses, until).await;
        let (stream, address) = report.failure(StageKind::Tcp, settings, connected).await?;
        let detail = format!("connected to {address} ({})", way(settings));
        report.passed(StageKind::Tcp, detail).await;
        Some(stream)
    }

    async fn reach_through(
        &self,
        proxy: &Proxy,
        settings: &SmtpSettings,
        until: Instant,
        report: &mut Report,
    ) -> Option<Box<dyn Io>> {
        let reached = tunnel(&*self.network, proxy, settings, until).await;
        let Tunnel { stream, proxy_address } =
            report.failure(StageKind::Proxy, settings, reached).await?;
        let SmtpSettings { host, port, .. } = settings;
        let detail = format!("connected to {host}:{port} through the proxy at {proxy_address}");
        report.passed(StageKind::Proxy, detail).await;
        report.skipped(StageKind::Dns, "the proxy looks the name up").await;
        report.skipped(StageKind::Tcp, "the proxy makes the connection").await;
        Some(stream)
    }

    async fn encrypt(
        &self,
        stream: Box<dyn Io>,
        settings: &SmtpSettings,
        until: Instant,
    ) -> Result<(Connection, Option<TlsDetail>), Failure> {
        let host = &settings.host;
        let session = Session::new(&self.ehlo_name, settings.encryption);
        if settings.encryption == Encryption::None {
            return Ok((Connection::new(stream, session), None));
        }
        let pem = self.authorities.beside(&settings.ca_certificates_pem, TrustUse::Smtp);
        let trust = Trust::from_pem(&pem)
            .map_err(|error| Failure { phase: Phase::Tls, problem: Problem::Trust(error) })?;
        if settings.encryption == Encryption::Tls {
            let (stream, tls) = secure(stream, host, &trust, until).await?;
            return Ok((Connection::new(stream, session), Some(tls)));
        }
        let mut connection = Connection::new(stream, session);
        let event = connection.advance(Some(until)).await?;
        debug_assert_eq!(event, Event::StartTls, "a session with STARTTLS asks for it first");
        let (connection, tls) = connection.start_tls(host, &trust, until).await?;
        Ok((connection, Some(tls)))
    }

    /// The login for the AUTH stage: nothing if the token could not be had.
    async fn token(&self, settings: &SmtpSettings, report: &mut Report) -> Option<Login> {
        match &settings.authentication {
            Authentication::None => {
                report.skipped(StageKind::Token, "the settings use no authentication").await;
                Some(Login::None)
            }
            Authentication::Password { username, password } => {
                report.skipped(StageKind::Token, "the settings use a password").await;
                let (username, password) = (username.clone(), password.clone());
                Some(Login::Password { username, password })
            }
            Authentication::Oauth(client) => {
                let (token, secrets) = match self.fetch(settings, client).await {
                    Ok(fetched) => fetched,
                    Err(error) => {
                        let error = StageError {
                            code: error.reason.code,
                            cause: error.reason.message,
                            remedy: error.reason.remedy,
                            presented_chain: error.presented_chain,
                        };
                        report.failed(StageKind::Token, error).await;
                        return None;
                    }
                };
                let Token { access_token, expires_at, passed_over: _ } = token;
                let claims = Claims::read(&access_token).map_or_else(
                    || "not a JWT, so its claims cannot be read".to_owned(),
                    |claims| format!("claims, for diagnosis only: {}", claims.list()),
                );
                let detail = format!("token until {expires_at:.0}; {secrets}{claims}");
                report.passed(StageKind::Token, detail).await;
                let username = settings.email_address.to_string();
                let (host, port) = (settings.host.clone(), settings.port);
                Some(Login::Oauth { username, token: access_token, host, port })
            }
        }
    }

    /// A token, and what there is to say of the secrets of a client that has two: each of them is asked with.
    async fn fetch(
        &self,
        settings: &SmtpSettings,
        client: &OauthClient,
    ) -> Result<(Token, String), TokenError> {
        let token = self.tokens.fetch(TokenRequest::of(settings, client)).await?;
        let secrets = match (client.next_alone(), &token.passed_over) {
            (None, _) => String::new(),
            (Some(_next), Some(refusal)) => format!(
                "the client secret is refused, the next one is good: let it take the place of the first ({}); ",
                refusal.message
            ),
            (Some(next), None) => {
                let fetched = self.tokens.fetch(TokenRequest::of(settings, &next)).await;
                fetched.map_err(|mut error| {
                    let message = &error.reason.message;
                    error.reason.message = format!("with the next client secret: {message}");
                    error
                })?;
                "both client secrets are good; ".to_owned()
            }
        };
        Ok((token, secrets))
    }

    /// EHLO, and AUTH and MAIL for each mailbox, whichever of them fail.
    async fn talk(
        &self,
        mut connection: Connection,
        login: Option<Login>,
        settings: &SmtpSettings,
        until: Instant,
        report: &mut Report,
    ) -> Option<()> {
        let greeted = connection.advance(Some(until)).await;
        report.failure(StageKind::Ehlo, settings, greeted).await?;
        let offered = connection.session().extensions().list();
        report.passed(StageKind::Ehlo, format!("the server offers: {offered}")).await;

        let Some(login) = login else {
            report.skipped(StageKind::Auth, "there is no token").await;
            connection.quit().await;
            return None;
        };
        report.about(&settings.email_address);
        self.prove(connection, &login, settings, until, report).await;
        for mailbox in &settings.additional_mailboxes {
            report.about(mailbox);
            let until = Instant::now() + settings.connect_timeout;
            let greeted = self.greet(settings, until).await;
            if let Some(connection) = report.failure(StageKind::Auth, settings, greeted).await {
                let login = login.clone().of(mailbox);
                self.prove(connection, &login, settings, until, report).await;
            } else {
                report.skip_rest().await;
            }
        }
        Some(())
    }

    /// Makes another connection, up to the answer to EHLO.
    async fn greet(&self, settings: &SmtpSettings, until: Instant) -> Result<Connection, Failure> {
        let stream = reach(&*self.network, settings, until).await?;
        let (mut connection, _tls) = self.encrypt(stream, settings, until).await?;
        connection.advance(Some(until)).await?;
        Ok(connection)
    }

    /// AUTH and MAIL as the mailbox that the report is about.
    async fn prove(
        &self,
        mut connection: Connection,
        login: &Login,
        settings: &SmtpSettings,
        until: Instant,
        report: &mut Report,
    ) {
        if self.log_in(&mut connection, login, settings, until, report).await.is_some() {
            let tried = connection.try_sender(&settings.email_address, until).await;
            if let Some(replies) = report.failure(StageKind::Mail, settings, tried).await {
                match sender_verdict(settings, &replies) {
                    Ok(detail) => report.passed(StageKind::Mail, detail).await,
                    Err(error) => report.failed(StageKind::Mail, error).await,
                }
                connection.quit().await;
            }
        }
        report.skip_rest().await;
    }

    async fn log_in(
        &self,
        connection: &mut Connection,
        login: &Login,
        settings: &SmtpSettings,
        until: Instant,
        report: &mut Report,
    ) -> Option<()> {
        let logged_in = connection.login(login, until).await;
        if let Err(failure) = logged_in {
            let error = failure.explain(settings);
            report.failed(StageKind::Auth, with_claims(error, login)).await;
            return None;
        }
        match login {
            Login::None => {
                report.skipped(StageKind::Auth, "the settings use no authentication").await;
            }
            Login::Oauth { username, .. } | Login::Password { username, .. } => {
                report.passed(StageKind::Auth, format!("logged in as {username}")).await;
            }
        }
        Some(())
    }
}

#[async_trait]
impl SmtpTester for SmtpProbe {
    async fn test(&self, settings: &SmtpSettings, stages: mpsc::Sender<StageResult>) -> NodeTest {
        let mut report = Report::new(stages, settings.proxy.is_some());
        let timeout = settings.connect_timeout;
        let until = Instant::now() + timeout;
        let connection = self.reach(settings, until, &mut report).await;
        if connection.is_none() {
            report.skip_until(StageKind::Token).await;
        }
        // The token is independent of the server: whoever has two faults learns of both at once.
        let before_token = Instant::now();
        let login = self.token(settings, &mut report).await;
        let until = until + before_token.elapsed();
        let talked = match connection {
            Some(connection) => self.talk(connection, login, settings, until, &mut report).await,
            None => None,
        };
        if talked.is_none() {
            report.skip_rest().await;
        }
        NodeTest { node: self.node.clone(), stages: report.into_stages() }
    }
}

/// What was seen if the mailbox may send, or why it may not.
fn sender_verdict(settings: &SmtpSettings, replies: &Replies) -> Result<String, StageError> {
    let mail = replies.mail.as_ref().expect("a trial ends only after the reply to MAIL");
    let rcpt = replies.recipients.first().and_then(Option::as_ref);
    if 400 <= mail.code {
        return Err(sender_refused(settings, Phase::Mail, mail));
    }
    match rcpt.filter(|reply| 400 <= reply.code) {
        Some(reply) if is_about_sender(reply) => Err(sender_refused(settings, Phase::Rcpt, reply)),
        // A mailbox that only sends need not take mail.
        Some(reply) => Ok(format!(
            "the sender is accepted: {mail}; a mail to itself would be answered with `{reply}`"
        )),
        None => Ok(format!("the sender is accepted: {mail}")),
    }
}

/// Whether an answer to RCPT with the sender's own address is about sending at all: the login, the sender
/// or, by RFC 3463, section 3.8, what is allowed.
fn is_about_sender(reply: &SmtpReply) -> bool {
    match classify(Phase::Rcpt, reply).class {
        Class::Sender | Class::Closed | Class::Login | Class::Logon | Class::SessionLost => true,
        Class::Refused => match reply.enhanced {
            Some(enhanced) => enhanced.subject == 7,
            None => matches!(reply.code, 553 | 554),
        },
        Class::Unavailable
        | Class::Throttled(_)
        | Class::TenantThrottled(_)
        | Class::TooManyThrottled(_)
        | Class::TooMany
        | Class::Deferred(_) => false,
    }
}

fn sender_refused(settings: &SmtpSettings, phase: Phase, reply: &SmtpReply) -> StageError {
    let finding = classify(phase, reply);
    // What no row knows better is about the mail there, and about the settings here.
    let remedy = match (finding.code, &settings.authentication) {
        (PROVIDER_REFUSED | PROVIDER_DEFERRED, Authentication::None) => {
            "choose an authentication method, or let the server admit this node's address"
        }
        (
            PROVIDER_REFUSED | PROVIDER_DEFERRED,
            Authentication::Password { .. } | Authentication::Oauth(_),
        ) => "check the e-mail address, and that this mailbox may send through this server",
        (_, _) => finding.remedy,
    };
    StageError {
        code: "SENDER_REFUSED".to_owned(),
        cause: format!("the server refused the sender `{}`: {reply}", settings.email_address),
        remedy: remedy.to_owned(),
        presented_chain: Vec::new(),
    }
}

/// Adds what the token says of itself, if that is the likely cause.
fn with_claims(error: StageError, login: &Login) -> StageError {
    let Login::Oauth { token, .. } = login else { return error };
    match Claims::read(token) {
        Some(claims) if claims.is_for_graph() => StageError {
            cause: format!(
                "{}; the token is for Microsoft Graph ({}), which Exchange refuses at SMTP",
                error.cause,
                claims.list()
            ),
            remedy: format!(
                "set the scope to `https://outlook.office365.com/.default` first; then {}",
                error.remedy
            ),
            ..error
        },
        Some(claims) => {
            StageError { cause: format!("{} (token: {})", error.cause, claims.list()), ..error }
        }
        None => error,
    }
}

#[cfg(test)]
mod tests;
