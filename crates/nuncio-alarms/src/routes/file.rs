//! The document of routes, version 1.

use std::time::Duration;

use nuncio_core::alarm::route::{Route, RouteTarget, SmtpLogin, SmtpTarget, SyslogTransport};
use nuncio_core::secret::{Password, Sensitive};
use nuncio_core::settings::Encryption;
use serde::{Deserialize, Serialize};

/// The version of the format that this nuncio writes and reads.
const VERSION: u32 = 1;

#[derive(Deserialize, Serialize)]
struct File {
    version: u32,
    routes: Vec<StoredRoute>,
}

#[derive(Deserialize, Serialize)]
struct StoredRoute {
    id: String,
    enabled: bool,
    timeout_ms: u64,
    ca_certificates_pem: String,
    target: StoredTarget,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum StoredTarget {
    Webhook { url: String, secret: String },
    Syslog { host: String, port: u16, transport: StoredTransport },
    Smtp(StoredSmtp),
}

#[derive(Deserialize, Serialize)]
struct StoredSmtp {
    host: String,
    port: u16,
    encryption: StoredEncryption,
    login: Option<StoredLogin>,
    from: String,
    recipients: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct StoredLogin {
    username: String,
    password: String,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum StoredEncryption {
    None,
    StartTls,
    Tls,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum StoredTransport {
    Udp,
    Tcp,
    Tls,
}

/// Why a document is not understood. It shows nothing of it.
#[derive(Debug, thiserror::Error)]
#[error("the document is not of version {VERSION}")]
pub(super) struct NotUnderstood;

pub(super) fn write(routes: &[Route]) -> String {
    let file = File { version: VERSION, routes: routes.iter().map(stored).collect() };
    serde_json::to_string(&file).expect("texts and numbers are always JSON")
}

pub(super) fn read(text: &str) -> Result<Vec<Route>, NotUnderstood> {
    let file: File = serde_json::from_str(text).map_err(|_shows_content| NotUnderstood)?;
    if file.version != VERSION {
        return Err(NotUnderstood);
    }
    file.routes.into_iter().map(route).collect()
}

fn stored(route: &Route) -> StoredRoute {
    let target = match &route.target {
        RouteTarget::Webhook { url, secret } => {
            StoredTarget::Webhook { url: url.clone(), secret: secret.expose().to_owned() }
        }
        RouteTarget::Syslog { host, port, transport } => StoredTarget::Syslog {
            host: host.clone(),
            port: *port,
            transport: match transport {
                SyslogTransport::Udp => StoredTransport::Udp,
                SyslogTransport::Tcp => StoredTransport::Tcp,
                SyslogTransport::Tls => StoredTransport::Tls,
            },
        },
        RouteTarget::Smtp(target) => StoredTarget::Smtp(stored_smtp(target)),
    };
    StoredRoute {
        id: route.id.clone(),
        enabled: route.enabled,
        timeout_ms: u64::try_from(route.timeout.as_millis()).unwrap_or(u64::MAX),
        ca_certificates_pem: route.ca_certificates_pem.clone(),
        target,
    }
}

fn stored_smtp(target: &SmtpTarget) -> StoredSmtp {
    let login = target.login.as_ref().map(|login| StoredLogin {
        username: login.username.clone(),
        password: login.password.expose().to_owned(),
    });
    StoredSmtp {
        host: target.host.clone(),
        port: target.port,
        encryption: match target.encryption {
            Encryption::None => StoredEncryption::None,
            Encryption::StartTls => StoredEncryption::StartTls,
            Encryption::Tls => StoredEncryption::Tls,
        },
        login,
        from: target.from.to_string(),
        recipients: target.recipients.iter().map(ToString::to_string).collect(),
    }
}

fn smtp(stored: StoredSmtp) -> Result<SmtpTarget, NotUnderstood> {
    let login = stored.login.map(|login| SmtpLogin {
        username: login.username,
        password: Password::from(login.password),
    });
    let address = |text: String| text.parse().map_err(|_no_address| NotUnderstood);
    Ok(SmtpTarget {
        host: stored.host,
        port: stored.port,
        encryption: match stored.encryption {
            StoredEncryption::None => Encryption::None,
            StoredEncryption::StartTls => Encryption::StartTls,
            StoredEncryption::Tls => Encryption::Tls,
        },
        login,
        from: address(stored.from)?,
        recipients: stored.recipients.into_iter().map(address).collect::<Result<_, _>>()?,
    })
}

fn route(stored: StoredRoute) -> Result<Route, NotUnderstood> {
    let target = match stored.target {
        StoredTarget::Webhook { url, secret } => {
            RouteTarget::Webhook { url, secret: Sensitive::from(secret) }
        }
        StoredTarget::Syslog { host, port, transport } => RouteTarget::Syslog {
            host,
            port,
            transport: match transport {
                StoredTransport::Udp => SyslogTransport::Udp,
                StoredTransport::Tcp => SyslogTransport::Tcp,
                StoredTransport::Tls => SyslogTransport::Tls,
            },
        },
        StoredTarget::Smtp(stored) => RouteTarget::Smtp(smtp(stored)?),
    };
    Ok(Route {
        id: stored.id,
        enabled: stored.enabled,
        target,
        timeout: Duration::from_millis(stored.timeout_ms),
        ca_certificates_pem: stored.ca_certificates_pem,
    })
}

#[cfg(test)]
mod tests;
