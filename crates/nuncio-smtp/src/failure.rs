//! Why a connection could not be made or broke, and what to do about it.

use std::io;
use std::time::Duration;

use nuncio_core::job::Reason;
use nuncio_core::outcome::SendOutcome;
use nuncio_core::reply::SmtpReply;
use nuncio_core::settings::SmtpSettings;
use nuncio_core::smtp_test::StageError;
use nuncio_net::proxy::ProxyError;
use nuncio_runtime::chain::Chain;
use nuncio_tls::diagnosis::{Server, diagnose};
use nuncio_tls::trust::TrustError;

use crate::auth::{Challenge, Mechanism};
use crate::classify::{Class, Finding, classify};
use crate::phase::Phase;
use crate::session::SessionError;

const UNREACHABLE: &str =
    "check host and port, that a firewall lets this node out to it, and the connection time-out";
/// A server that waits for TLS says nothing until then.
const SILENT: &str = "check port and encryption: at a port for TLS from the first byte (mostly 465) choose TLS; \
    if both are right, look for a firewall, and at the connection time-out";

/// What went wrong between nuncio and the server, and when.
#[derive(Debug, thiserror::Error)]
#[error("{problem} while {}", phase.doing())]
pub struct Failure {
    pub phase: Phase,
    #[source]
    pub problem: Problem,
}

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("no answer within {:.0} s", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("the server closed the connection")]
    Closed,
    #[error("the connection broke")]
    Io(#[source] io::Error),
    #[error("there is no way through the proxy")]
    Proxy(#[source] ProxyError),
    #[error("the authorities to trust could not be read")]
    Trust(#[source] TrustError),
    #[error("the server did not keep to the protocol, or refused")]
    Session(#[source] SessionError),
}

impl Failure {
    pub fn io(phase: Phase, error: io::Error) -> Self {
        let closed = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        );
        let keep = phase == Phase::Tls || !closed;
        let problem = if keep { Problem::Io(error) } else { Problem::Closed };
        Self { phase, problem }
    }

    /// What it means to an operator.
    pub fn explain(&self, settings: &SmtpSettings) -> StageError {
        let server = Server { role: "the SMTP server", host: &settings.host, port: settings.port };
        let way = way(settings);
        let doing = self.phase.doing();
        match &self.problem {
            Problem::TimedOut(waited) => stage_error(
                "CONNECTION_TIMED_OUT",
                format!(
                    "{server} did not answer within {:.0} s while {doing} ({way})",
                    waited.as_secs_f64()
                ),
                if self.phase == Phase::Greeting { SILENT } else { UNREACHABLE },
            ),
            Problem::Closed => stage_error(
                "CONNECTION_CLOSED",
                format!("{server} closed the connection while {doing}"),
                "check port and encryption; if both are right, ask the server's operator",
            ),
            Problem::Io(error) => explain_io(self.phase, error, server, &way),
            Problem::Proxy(error) => match settings.smtp_proxy() {
                Some(proxy) => error.explain(proxy, &server),
                None => unreachable!("only settings with a proxy lead there"),
            },
            Problem::Trust(error) => stage_error(
                "INVALID_CA_CERTIFICATES",
                format!("`ca_certificates_pem`: {}", Chain(error)),
                "give certificates in PEM, beginning with `-----BEGIN CERTIFICATE-----`",
            ),
            Problem::Session(error) => explain_session(error, server),
        }
    }

    /// What it means to a mail that has certainly not been taken.
    pub fn outcome(&self, settings: &SmtpSettings) -> SendOutcome {
        if let Problem::Session(SessionError::Refused { phase, reply }) = &self.problem {
            let finding = classify(*phase, reply);
            return of_the_way(&finding, finding.reason(reply));
        }
        let StageError { code, cause, remedy, .. } = self.explain(settings);
        let mut reason = Reason::new(&code, cause).remedy(remedy);
        if let Problem::Session(SessionError::LoginRefused { mechanism, reply, challenge }) =
            &self.problem
        {
            reason = reason.reply(reply.clone());
            return of_the_way(&login_finding(*mechanism, reply, challenge.as_ref()), reason);
        }
        if self.needs_a_person(&code) {
            SendOutcome::Closed { reason }
        } else {
            SendOutcome::Unavailable { reason, retry_after: None }
        }
    }

    /// Whether the server said no, and went.
    pub fn is_refusal(&self) -> bool {
        matches!(self.problem, Problem::Session(SessionError::Refused { .. }))
    }

    /// Whether a fresh token may help.
    pub fn is_login_refused(&self) -> bool {
        match &self.problem {
            Problem::Session(SessionError::LoginRefused { mechanism, reply, challenge }) => {
                login_finding(*mechanism, reply, challenge.as_ref()).class == Class::Login
            }
            Problem::Session(_)
            | Problem::TimedOut(_)
            | Problem::Closed
            | Problem::Io(_)
            | Problem::Proxy(_)
            | Problem::Trust(_) => false,
        }
    }

    fn needs_a_person(&self, code: &str) -> bool {
        match &self.problem {
            Problem::TimedOut(_) | Problem::Closed => false,
            // A handshake may break by chance; a certificate that is not trusted stays so.
            Problem::Io(_) => self.phase == Phase::Tls && code != nuncio_tls::diagnosis::TLS_FAILED,
            Problem::Proxy(error) => error.needs_a_person(),
            Problem::Trust(_) => true,
            Problem::Session(error) => match error {
                SessionError::StartTlsNotOffered
                | SessionError::StartTlsInjection
                | SessionError::NoMechanism { .. }
                | SessionError::LoginWithoutTls => true,
                SessionError::Refused { .. }
                | SessionError::LoginRefused { .. }
                | SessionError::Unexpected { .. }
                | SessionError::Unreadable(_) => false,
            },
        }
    }
}

fn of_the_way(finding: &Finding, reason: Reason) -> SendOutcome {
    match finding.class {
        Class::Throttled(retry_after) => SendOutcome::Throttled { reason, retry_after },
        Class::TenantThrottled(time) | Class::TooManyThrottled(time) => {
            SendOutcome::Throttled { reason, retry_after: Some(time) }
        }
        Class::Deferred(retry_after) => SendOutcome::Unavailable { reason, retry_after },
        Class::Unavailable | Class::TooMany => {
            SendOutcome::Unavailable { reason, retry_after: None }
        }
        Class::Login
        | Class::Logon
        | Class::Closed
        | Class::Sender
        | Class::SessionLost
        | Class::Refused => SendOutcome::Closed { reason },
    }
}

/// What a refused login means: the error challenge may know better than the reply behind it.
pub fn login_finding(
    mechanism: Mechanism,
    reply: &SmtpReply,
    challenge: Option<&Challenge>,
) -> Finding {
    let finding = classify(Phase::Auth, reply);
    let status = challenge.and_then(|challenge| challenge.status.as_deref()).unwrap_or_default();
    if finding.class != Class::Login {
        return finding;
    }
    if !mechanism.takes_token() {
        return Finding {
            class: Class::Closed,
            code: "INVALID_PASSWORD",
            cause: "the SMTP server refused user name or password",
            remedy: "check user name and password, and whether the server takes passwords at all",
        };
    }
    if status.len() == 3 && status.starts_with('5') {
        return Finding {
            class: Class::Unavailable,
            code: "LOGIN_UNAVAILABLE",
            cause: "the SMTP server could not check the token",
            remedy: "wait; if it lasts, ask the provider",
        };
    }
    // RFC 6750, section 3.1, has the name.
    if status == "403" || status == "insufficient_scope" {
        return Finding { class: Class::Closed, ..finding };
    }
    finding
}

/// How the server is reached, for messages.
pub(crate) fn way(settings: &SmtpSettings) -> String {
    match (&settings.proxy, settings.smtp_proxy()) {
        (None, _) => "direct, no proxy configured".to_owned(),
        (Some(proxy), None) => format!("direct, past the proxy `{}`", proxy.address),
        (Some(_), Some(proxy)) => format!("through the proxy `{}`", proxy.address),
    }
}

fn explain_io(phase: Phase, error: &io::Error, server: Server<'_>, way: &str) -> StageError {
    match phase {
        Phase::Tls => diagnose(server, error),
        Phase::Dns => stage_error(
            "HOST_NOT_FOUND",
            format!("the host `{}` of the SMTP server could not be found: {error}", server.host),
            "check the host name, and the name servers of this node",
        ),
        Phase::Connect if error.kind() == io::ErrorKind::ConnectionRefused => stage_error(
            "CONNECTION_REFUSED",
            format!("{server} refused the connection: nothing listens there ({way})"),
            "check host and port (587 for STARTTLS, 465 for TLS), and that the server runs",
        ),
        Phase::Connect
        | Phase::Proxy
        | Phase::Greeting
        | Phase::Ehlo
        | Phase::StartTls
        | Phase::Auth
        | Phase::Reset
        | Phase::Mail
        | Phase::Rcpt
        | Phase::Data
        | Phase::Body
        | Phase::EndOfData
        | Phase::Quit => stage_error(
            "CONNECTION_FAILED",
            format!("the connection to {server} failed while {}: {error}", phase.doing()),
            "check the network between this node and the server",
        ),
    }
}

fn explain_session(error: &SessionError, server: Server<'_>) -> StageError {
    let (code, remedy) = match error {
        SessionError::Refused { phase, reply } => {
            let finding = classify(*phase, reply);
            (finding.code, finding.remedy)
        }
        SessionError::LoginRefused { mechanism, reply, challenge } => {
            return explain_login(*mechanism, reply, challenge.as_ref(), server);
        }
        SessionError::StartTlsNotOffered => (
            "STARTTLS_NOT_OFFERED",
            "check host and port; if they are right, something between the node and the server may \
             strip STARTTLS to read the mail (some firewalls inspect SMTP)",
        ),
        SessionError::StartTlsInjection => (
            "STARTTLS_INJECTED",
            "somebody between the node and the server may be tampering with the connection; look into it",
        ),
        SessionError::NoMechanism { .. } => (
            "MECHANISM_NOT_OFFERED",
            "choose another authentication method; if the server should offer it, check host, port and \
             encryption",
        ),
        SessionError::LoginWithoutTls => {
            ("LOGIN_WITHOUT_TLS", "choose the encryption STARTTLS or TLS, or no authentication")
        }
        SessionError::Unexpected { .. } | SessionError::Unreadable(_) => (
            "NOT_SMTP",
            "check host, port and encryption: this does not look like an SMTP server of this kind",
        ),
    };
    stage_error(code, format!("{server}: {}", Chain(error)), remedy)
}

fn explain_login(
    mechanism: Mechanism,
    reply: &SmtpReply,
    challenge: Option<&Challenge>,
    server: Server<'_>,
) -> StageError {
    let finding = login_finding(mechanism, reply, challenge);
    let details = challenge.map(|one| format!("; its reason: {}", one.text)).unwrap_or_default();
    let cause = format!("{}: {server} answered `{reply}`{details}", finding.cause);
    stage_error(finding.code, cause, finding.remedy)
}

fn stage_error(code: &str, cause: String, remedy: &str) -> StageError {
    StageError {
        code: code.to_owned(),
        cause,
        remedy: remedy.to_owned(),
        presented_chain: Vec::new(),
    }
}
