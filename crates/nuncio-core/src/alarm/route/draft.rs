//! A route as somebody gives it.

use std::net::IpAddr;
use std::time::Duration;

use crate::alarm::kind::is_type_id;
use crate::alarm::route::{
    Route, RouteTarget, SYSLOG_PORT, SYSLOG_TLS_PORT, SmtpTargetDraft, SyslogTransport, TIMEOUT,
    TIMEOUT_MAX,
};
use crate::secret::Sensitive;
use crate::violation::Violations;

/// What stands before a webhook's secret.
const SECRET_PREFIX: &str = "whsec_";
/// The longest URL, in characters.
const URL_CHARS_MAX: usize = 2000;
/// The longest host name, in characters (RFC 1035, section 2.3.4, as text).
const HOST_CHARS_MAX: usize = 253;
/// 24 to 64 bytes in Base64 (Standard Webhooks, "Signature scheme").
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 32..=88;
/// The longest text of certificates, in bytes.
const CERTIFICATES_BYTES_MAX: usize = 128 * 1024;

/// A route that is not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteDraft {
    pub id: String,
    pub enabled: bool,
    pub target: Option<TargetDraft>,
    /// None means the default.
    pub timeout: Option<Duration>,
    pub ca_certificates_pem: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetDraft {
    Webhook {
        url: String,
        /// None means the saved one.
        secret: Option<Sensitive>,
    },
    Syslog {
        host: String,
        /// None means that of the transport.
        port: Option<u32>,
        transport: SyslogTransport,
    },
    Smtp(SmtpTargetDraft),
}

impl RouteDraft {
    /// Checks everything; `saved` is the present route with this id.
    pub fn check(self, saved: Option<&Route>) -> Result<Route, Violations> {
        let mut violations = Violations::default();
        if !is_type_id(&self.id) {
            violations.add(
                "name",
                "must be `alarmRoutes/` and 1 to 64 lower-case letters, digits or `-`",
            );
        }
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        if timeout.is_zero() || TIMEOUT_MAX < timeout {
            violations.add("timeout", format_args!("must be 1 to {} s", TIMEOUT_MAX.as_secs()));
        }
        let pem = &self.ca_certificates_pem;
        if CERTIFICATES_BYTES_MAX < pem.len() {
            violations.add(
                "ca_certificates_pem",
                format_args!("must have at most {CERTIFICATES_BYTES_MAX} bytes"),
            );
        } else if pem.contains("PRIVATE KEY-----") {
            violations
                .add("ca_certificates_pem", "holds a private key; only certificates belong here");
        } else if !pem.trim().is_empty() && !pem.contains("-----BEGIN CERTIFICATE-----") {
            violations.add(
                "ca_certificates_pem",
                "must be certificates in PEM: `-----BEGIN CERTIFICATE-----`",
            );
        }
        let target = match self.target {
            None => {
                violations.add("target", "must be a webhook, syslog or SMTP");
                None
            }
            Some(TargetDraft::Webhook { url, secret }) => {
                webhook(url, secret, saved, &mut violations)
            }
            Some(TargetDraft::Syslog { host, port, transport }) => {
                syslog(host, port, transport, &mut violations)
            }
            Some(TargetDraft::Smtp(draft)) => {
                draft.check(saved, &mut violations).map(RouteTarget::Smtp)
            }
        };
        match target {
            Some(target) if violations.is_empty() => Ok(Route {
                id: self.id,
                enabled: self.enabled,
                target,
                timeout,
                ca_certificates_pem: self.ca_certificates_pem,
            }),
            Some(_) | None => Err(violations),
        }
    }
}

fn webhook(
    url: String,
    secret: Option<Sensitive>,
    saved: Option<&Route>,
    violations: &mut Violations,
) -> Option<RouteTarget> {
    if let Err(problem) = check_url(&url) {
        violations.add("webhook.url", problem);
    }
    let kept = saved.and_then(|route| match &route.target {
        // A secret is for one receiver: another URL must not get it.
        RouteTarget::Webhook { url: known, secret } if *known == url => Some(secret.clone()),
        RouteTarget::Webhook { .. } | RouteTarget::Syslog { .. } | RouteTarget::Smtp(_) => None,
    });
    let Some(secret) = secret.or(kept) else {
        let problem = "is needed with a new URL: `whsec_` and 24 to 64 random bytes in Base64";
        violations.add("webhook.secret", problem);
        return None;
    };
    if !is_secret(secret.expose()) {
        violations.add("webhook.secret", "must be `whsec_` and 24 to 64 bytes in Base64");
    }
    Some(RouteTarget::Webhook { url, secret })
}

fn check_url(url: &str) -> Result<(), &'static str> {
    const MALFORMED: &str = "must be a URL such as `https://alarms.example.com/nuncio`";
    if URL_CHARS_MAX < url.len() || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(MALFORMED);
    }
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(MALFORMED),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || url.contains('#') {
        return Err(MALFORMED);
    }
    if authority.contains('@') {
        return Err("must have no user name or password: the signature proves who sends");
    }
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_local =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if secure || is_local { Ok(()) } else { Err("must be `https`, except to this machine") }
}

fn is_secret(text: &str) -> bool {
    let Some(base64) = text.strip_prefix(SECRET_PREFIX) else { return false };
    let body = base64.trim_end_matches('=');
    SECRET_CHARS.contains(&base64.len())
        && base64.len().is_multiple_of(4)
        && base64.len() - body.len() <= 2
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

fn syslog(
    host: String,
    port: Option<u32>,
    transport: SyslogTransport,
    violations: &mut Violations,
) -> Option<RouteTarget> {
    check_host("syslog.host", &host, violations);
    let default = match transport {
        SyslogTransport::Udp | SyslogTransport::Tcp => SYSLOG_PORT,
        SyslogTransport::Tls => SYSLOG_TLS_PORT,
    };
    let port = check_port("syslog.port", port, default, violations)?;
    Some(RouteTarget::Syslog { host, port, transport })
}

pub(super) fn check_host(field: &str, host: &str, violations: &mut Violations) {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    if !(1..=HOST_CHARS_MAX).contains(&host.len()) || !host.bytes().all(allowed) {
        violations.add(field, "must be a host name or an IP address");
    }
}

pub(super) fn check_port(
    field: &str,
    port: Option<u32>,
    default: u16,
    violations: &mut Violations,
) -> Option<u16> {
    let port = match port {
        None => Some(default),
        Some(port) => u16::try_from(port).ok().filter(|port| 0 < *port),
    };
    if port.is_none() {
        violations.add(field, "must be 1 to 65535");
    }
    port
}
