//! SMTP settings: drafts in, settings without their secrets out.

use jiff::civil::Date;
use nuncio_core::secret::{ClientSecret, Password, PrivateKeyPem};
use nuncio_core::secret_expiry::{SecretStatus, SecretUse};
use nuncio_core::settings::draft::proxy::ProxyDraft;
use nuncio_core::settings::draft::{
    AuthenticationDraft, NextSecretDraft, OauthDraft, SmtpSettingsDraft,
};
use nuncio_core::settings::proxy::Proxy;
use nuncio_core::settings::{
    Authentication, ClientCredential, Encryption, MailboxLimits, OauthClient, Provider,
    SavedSmtpSettings, SmtpSettings,
};
use nuncio_core::violation::Violations;

use crate::convert::enums::known;
use crate::convert::time::{duration, duration_from, timestamp};
use crate::v1;
use crate::v1::smtp_settings::Authentication as Wire;

pub mod secrets;

/// Takes settings of a request apart. What cannot be read is noted in `violations` and left out; fields
/// that are output only are ignored (AIP-203).
pub fn smtp_settings_draft(
    violations: &mut Violations,
    settings: v1::SmtpSettings,
) -> SmtpSettingsDraft {
    let limits = settings.limits.unwrap_or_default();
    let connect_timeout = settings.connect_timeout;
    SmtpSettingsDraft {
        provider: known::<v1::SmtpProvider, Provider>(violations, "provider", settings.provider),
        host: settings.host,
        port: settings.port.into(),
        connect_timeout: duration_from(violations, "connect_timeout", connect_timeout),
        encryption: known::<v1::SmtpEncryption, Encryption>(
            violations,
            "encryption",
            settings.encryption,
        ),
        email_address: settings.email_address,
        additional_mailboxes: settings.additional_mailboxes,
        authentication: settings.authentication.map(authentication_draft).unwrap_or_default(),
        ca_certificates_pem: settings.ca_certificates_pem,
        connections_max: limits.max_connections.into(),
        messages_per_minute_max: limits.max_messages_per_minute.into(),
        recipients_per_day_max: limits.max_recipients_per_day.into(),
        proxy: settings.proxy.map(proxy_draft),
    }
}

/// The etag of the settings that an update replaces; none means whichever.
pub fn expected_etag(settings: &v1::SmtpSettings) -> Option<&str> {
    Some(settings.etag.as_str()).filter(|etag| !etag.is_empty())
}

fn authentication_draft(authentication: Wire) -> AuthenticationDraft {
    match authentication {
        Wire::Password(v1::PasswordAuthentication { username, password, password_set: _ }) => {
            AuthenticationDraft::Password {
                username,
                password: given(password).map(Password::from),
            }
        }
        Wire::Oauth(oauth) => AuthenticationDraft::Oauth(Box::new(OauthDraft {
            client_id: oauth.client_id,
            tenant_id: oauth.tenant_id,
            client_secret: given(oauth.client_secret).map(ClientSecret::from),
            client_secret_basic: oauth.client_secret_basic,
            client_secret_expire_date: oauth.client_secret_expire_date,
            token_endpoint: oauth.token_endpoint,
            scope: oauth.scope,
            certificate_pem: oauth.certificate_pem,
            private_key: given(oauth.private_key_pem).map(PrivateKeyPem::from),
            next_secret: oauth.next_client_secret.map(|next| NextSecretDraft {
                secret: given(next.value).map(ClientSecret::from),
                expire_date: next.expire_date,
            }),
            promote_next_secret: oauth.promote_next_client_secret,
        })),
    }
}

fn proxy_draft(proxy: v1::Proxy) -> ProxyDraft {
    let v1::Proxy { url, username, password, password_set: _, bypass } = proxy;
    ProxyDraft { url, username, password: given(password).map(Password::from), bypass }
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl From<&SavedSmtpSettings> for v1::SmtpSettings {
    fn from(saved: &SavedSmtpSettings) -> Self {
        Self {
            etag: saved.etag(),
            generation: saved.generation,
            update_time: Some(timestamp(saved.saved_at)),
            ..Self::from(&saved.settings)
        }
    }
}

/// Secrets stay behind: only whether they are there is told.
impl From<&SmtpSettings> for v1::SmtpSettings {
    fn from(settings: &SmtpSettings) -> Self {
        Self {
            provider: v1::SmtpProvider::from(settings.provider).into(),
            host: settings.host.clone(),
            port: settings.port.into(),
            connect_timeout: Some(duration(settings.connect_timeout)),
            encryption: v1::SmtpEncryption::from(settings.encryption).into(),
            email_address: settings.email_address.to_string(),
            additional_mailboxes: settings
                .additional_mailboxes
                .iter()
                .map(ToString::to_string)
                .collect(),
            authentication: authentication(&settings.authentication),
            ca_certificates_pem: settings.ca_certificates_pem.clone(),
            limits: Some(limits(settings.limits)),
            proxy: settings.proxy.as_ref().map(proxy),
            etag: String::new(),
            generation: 0,
            update_time: None,
        }
    }
}

impl From<SecretStatus> for v1::ClientSecretStatus {
    fn from(status: SecretStatus) -> Self {
        Self {
            check_time: Some(timestamp(status.checked_at)),
            r#use: v1::ClientSecretUse::from(status.usage).into(),
            refusal: status.refusal.unwrap_or_default(),
            disagreement: status.disagreement.unwrap_or_default(),
        }
    }
}

impl From<SecretUse> for v1::ClientSecretUse {
    fn from(usage: SecretUse) -> Self {
        match usage {
            SecretUse::Unknown => Self::Unspecified,
            SecretUse::First => Self::First,
            SecretUse::Next => Self::Next,
            SecretUse::None => Self::None,
        }
    }
}

fn proxy(proxy: &Proxy) -> v1::Proxy {
    let credentials = proxy.credentials.as_ref();
    v1::Proxy {
        url: proxy.address.to_string(),
        username: credentials.map(|one| one.username.clone()).unwrap_or_default(),
        password: String::new(),
        password_set: credentials.is_some(),
        bypass: proxy.bypass.iter().map(ToString::to_string).collect(),
    }
}

fn limits(limits: MailboxLimits) -> v1::MailboxLimits {
    let number = |limit: u32| i32::try_from(limit).unwrap_or(i32::MAX);
    v1::MailboxLimits {
        max_connections: number(limits.connections_max),
        max_messages_per_minute: limits.messages_per_minute_max.map(number).unwrap_or_default(),
        max_recipients_per_day: limits.recipients_per_day_max.map(number).unwrap_or_default(),
    }
}

fn authentication(authentication: &Authentication) -> Option<Wire> {
    match authentication {
        Authentication::None => None,
        Authentication::Password { username, password } => {
            Some(Wire::Password(v1::PasswordAuthentication {
                username: username.clone(),
                password: String::new(),
                password_set: !password.expose().is_empty(),
            }))
        }
        Authentication::Oauth(client) => Some(Wire::Oauth(oauth(client))),
    }
}

fn oauth(client: &OauthClient) -> v1::OauthAuthentication {
    let date = |date: Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
    let without_credential = v1::OauthAuthentication {
        client_id: client.client_id.clone(),
        tenant_id: client.tenant_id.clone().unwrap_or_default(),
        client_secret_expire_date: date(client.client_secret_expire_date),
        next_client_secret: client.next_secret.as_ref().map(|next| v1::NextClientSecret {
            value: String::new(),
            value_set: true,
            expire_date: date(next.expire_date),
        }),
        token_endpoint: client.token_endpoint.clone(),
        scope: client.scope.clone(),
        ..v1::OauthAuthentication::default()
    };
    match &client.credential {
        ClientCredential::SecretPost(_) => {
            v1::OauthAuthentication { client_secret_set: true, ..without_credential }
        }
        ClientCredential::SecretBasic(_) => v1::OauthAuthentication {
            client_secret_set: true,
            client_secret_basic: true,
            ..without_credential
        },
        ClientCredential::Certificate { certificate_pem, private_key: _ } => {
            v1::OauthAuthentication {
                certificate_pem: certificate_pem.clone(),
                private_key_set: true,
                ..without_credential
            }
        }
    }
}

#[cfg(test)]
mod tests;
