//! Routes of alarms.

use nuncio_core::alarm::route::{
    Route, RouteDraft, RouteTarget, SmtpLoginDraft, SmtpTarget, SmtpTargetDraft, SyslogTransport,
    TargetDraft,
};
use nuncio_core::secret::{Password, Sensitive};
use nuncio_core::settings::Encryption;
use nuncio_core::violation::Violations;

use crate::convert::enums::known;
use crate::convert::time::{duration, duration_from};
use crate::v1;
use crate::v1::alarm_route::Target;

/// What stands before the id of a route in its name.
pub const ROUTE_NAME_PREFIX: &str = "alarmRoutes/";

/// A route without its secret.
pub fn route(route: &Route) -> v1::AlarmRoute {
    let target = match &route.target {
        RouteTarget::Webhook { url, secret: _ } => {
            Target::Webhook(v1::WebhookTarget { url: url.clone(), secret: String::new() })
        }
        RouteTarget::Syslog { host, port, transport } => Target::Syslog(v1::SyslogTarget {
            host: host.clone(),
            port: i32::from(*port),
            transport: transport_out(*transport).into(),
        }),
        RouteTarget::Smtp(target) => Target::Smtp(smtp_out(target)),
    };
    v1::AlarmRoute {
        name: format!("{ROUTE_NAME_PREFIX}{}", route.id),
        disabled: !route.enabled,
        target: Some(target),
        timeout: Some(duration(route.timeout)),
        ca_certificates_pem: route.ca_certificates_pem.clone(),
        etag: String::new(),
        waiting_messages: 0,
        last_attempt: None,
    }
}

/// A route as a caller gives it.
pub fn route_draft(given: v1::AlarmRoute, violations: &mut Violations) -> RouteDraft {
    let target = given.target.map(|target| match target {
        Target::Webhook(v1::WebhookTarget { url, secret }) => {
            let secret = Some(secret).filter(|secret| !secret.is_empty()).map(Sensitive::from);
            TargetDraft::Webhook { url, secret }
        }
        Target::Syslog(syslog) => {
            let transport = match syslog.transport() {
                v1::SyslogTransport::Unspecified | v1::SyslogTransport::Tls => SyslogTransport::Tls,
                v1::SyslogTransport::Tcp => SyslogTransport::Tcp,
                v1::SyslogTransport::Udp => SyslogTransport::Udp,
            };
            TargetDraft::Syslog { host: syslog.host, port: port(syslog.port), transport }
        }
        Target::Smtp(smtp) => TargetDraft::Smtp(smtp_draft(smtp, violations)),
    });
    RouteDraft {
        id: given.name.strip_prefix(ROUTE_NAME_PREFIX).unwrap_or_default().to_owned(),
        enabled: !given.disabled,
        target,
        timeout: duration_from(violations, "timeout", given.timeout),
        ca_certificates_pem: given.ca_certificates_pem,
    }
}

fn smtp_out(target: &SmtpTarget) -> v1::SmtpTarget {
    let password = target.login.as_ref().map(|login| v1::PasswordAuthentication {
        username: login.username.clone(),
        password: String::new(),
        password_set: true,
    });
    v1::SmtpTarget {
        host: target.host.clone(),
        port: target.port.into(),
        encryption: v1::SmtpEncryption::from(target.encryption).into(),
        password,
        from_address: target.from.to_string(),
        recipients: target.recipients.iter().map(ToString::to_string).collect(),
    }
}

fn smtp_draft(given: v1::SmtpTarget, violations: &mut Violations) -> SmtpTargetDraft {
    let login = given.password.map(|login| {
        let password = Some(login.password).filter(|password| !password.is_empty());
        SmtpLoginDraft { username: login.username, password: password.map(Password::from) }
    });
    SmtpTargetDraft {
        host: given.host,
        port: port(given.port),
        encryption: known::<v1::SmtpEncryption, Encryption>(
            violations,
            "smtp.encryption",
            given.encryption,
        ),
        login,
        from: given.from_address,
        recipients: given.recipients,
    }
}

/// None for the default. A negative one is as wrong as one that is too great.
fn port(given: i32) -> Option<u32> {
    let given = Some(given).filter(|port| *port != 0)?;
    Some(u32::try_from(given).unwrap_or(u32::MAX))
}

fn transport_out(transport: SyslogTransport) -> v1::SyslogTransport {
    match transport {
        SyslogTransport::Udp => v1::SyslogTransport::Udp,
        SyslogTransport::Tcp => v1::SyslogTransport::Tcp,
        SyslogTransport::Tls => v1::SyslogTransport::Tls,
    }
}
