//! A mail server of a route as somebody gives it.

use crate::address::EmailAddress;
use crate::alarm::route::draft::{check_host, check_port};
use crate::alarm::route::{RECIPIENTS_MAX, Route, RouteTarget, SmtpLogin, SmtpTarget};
use crate::secret::Password;
use crate::settings::Encryption;
use crate::violation::Violations;

/// Ports of submission (RFC 6409), of submission over TLS (RFC 8314, section 7.3) and of relays (RFC 5321).
const STARTTLS_PORT: u16 = 587;
const TLS_PORT: u16 = 465;
const PLAIN_PORT: u16 = 25;
/// The longest user name, in characters.
const USERNAME_CHARS_MAX: usize = 255;

/// A mail server that is not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpTargetDraft {
    pub host: String,
    /// None means that of the encryption.
    pub port: Option<u32>,
    /// None means STARTTLS.
    pub encryption: Option<Encryption>,
    pub login: Option<SmtpLoginDraft>,
    pub from: String,
    pub recipients: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpLoginDraft {
    /// Empty means the sender's address.
    pub username: String,
    /// None means the saved one.
    pub password: Option<Password>,
}

impl SmtpTargetDraft {
    /// The target, if everything about it is valid; `saved` is the present route.
    pub(super) fn check(
        self,
        saved: Option<&Route>,
        violations: &mut Violations,
    ) -> Option<SmtpTarget> {
        let Self { host, port, encryption, login, from, recipients } = self;
        check_host("smtp.host", &host, violations);
        let encryption = encryption.unwrap_or(Encryption::StartTls);
        let default = match encryption {
            Encryption::StartTls => STARTTLS_PORT,
            Encryption::Tls => TLS_PORT,
            Encryption::None => PLAIN_PORT,
        };
        let port = check_port("smtp.port", port, default, violations);
        if login.is_some() && encryption == Encryption::None {
            let problem =
                "a password must not cross the network in clear text; use STARTTLS or TLS";
            violations.add("smtp.encryption", problem);
        }
        let from = violations.check("smtp.from_address", from.parse::<EmailAddress>());
        let recipients = check_recipients(&recipients, violations);
        let kept = saved.and_then(|saved| kept(saved, &host, port?));
        let login = match login {
            None => None,
            Some(draft) => Some(check_login(draft, kept, from.as_ref(), violations)?),
        };
        Some(SmtpTarget { host, port: port?, encryption, login, from: from?, recipients })
    }
}

/// The saved password: it is for one server, and another must not get it.
fn kept(saved: &Route, host: &str, port: u16) -> Option<Password> {
    match &saved.target {
        RouteTarget::Smtp(known) if known.host == host && known.port == port => {
            known.login.as_ref().map(|login| login.password.clone())
        }
        RouteTarget::Smtp(_) | RouteTarget::Webhook { .. } | RouteTarget::Syslog { .. } => None,
    }
}

fn check_login(
    draft: SmtpLoginDraft,
    kept: Option<Password>,
    from: Option<&EmailAddress>,
    violations: &mut Violations,
) -> Option<SmtpLogin> {
    let SmtpLoginDraft { username, password } = draft;
    let is_odd = |c: char| c.is_control() || c.is_whitespace();
    if USERNAME_CHARS_MAX < username.chars().count() || username.chars().any(is_odd) {
        violations.add("smtp.password.username", "must be a user name without blanks");
    }
    let Some(password) = password.or(kept) else {
        let problem = "is needed with a new server; the saved one is for one host and port";
        violations.add("smtp.password.password", problem);
        return None;
    };
    let username = if username.is_empty() { from?.to_string() } else { username };
    Some(SmtpLogin { username, password })
}

fn check_recipients(texts: &[String], violations: &mut Violations) -> Vec<EmailAddress> {
    if !(1..=RECIPIENTS_MAX).contains(&texts.len()) {
        let problem = format_args!("must be 1 to {RECIPIENTS_MAX} addresses");
        violations.add("smtp.recipients", problem);
    }
    let texts = texts.iter().take(RECIPIENTS_MAX).enumerate();
    let mut recipients: Vec<EmailAddress> = Vec::new();
    for (index, text) in texts {
        let address = violations.check(format!("smtp.recipients[{index}]"), text.parse());
        recipients.extend(address.filter(|address| !recipients.contains(address)));
    }
    recipients
}
