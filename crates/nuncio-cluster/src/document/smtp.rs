//! The SMTP settings as they are kept: version 4 is written, older ones are read too.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use nuncio_core::settings::document::DocumentChange;
use nuncio_core::settings::proxy::{Proxy, ProxyCredentials};
use nuncio_core::settings::{
    Authentication, ClientCredential, Encryption, MailboxLimits, NextSecret, OauthClient, Provider,
    SavedSmtpSettings, SmtpSettings,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::change::ChangeV1;
use super::{DocumentError, check_version};

/// The version of the format that is written. Version 1 knew one mailbox, no limit of
/// recipients and no proxy; version 2 knew one client secret; version 3 kept no changes.
const VERSION: u32 = 4;

/// The document as JSON. It holds the secrets in clear text: it belongs into an envelope at once.
pub fn encode(saved: &SavedSmtpSettings) -> Zeroizing<Vec<u8>> {
    let document = SmtpDocument::from(saved);
    Zeroizing::new(serde_json::to_vec(&document).expect("texts and numbers always become JSON"))
}

/// Reads what [`encode`] wrote. The generation is that of the envelope.
pub fn decode(text: &[u8], generation: i64) -> Result<SavedSmtpSettings, DocumentError> {
    check_version(text, 1..=VERSION)?;
    let document: SmtpDocument<'_> = serde_json::from_slice(text).map_err(|error| {
        // The error's own text may quote a value, and values may be secrets.
        let (line, column) = (error.line(), error.column());
        DocumentError::Malformed(format!("unexpected value at line {line}, column {column}"))
    })?;
    document.into_saved(generation)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SmtpDocument<'a> {
    version: u32,
    saved_at: Timestamp,
    provider: ProviderV1,
    host: Cow<'a, str>,
    port: u16,
    connect_timeout_ms: u64,
    encryption: EncryptionV1,
    email_address: Cow<'a, str>,
    #[serde(default)]
    additional_mailboxes: Vec<Cow<'a, str>>,
    authentication: AuthenticationV1<'a>,
    ca_certificates_pem: Cow<'a, str>,
    connections_max: u32,
    messages_per_minute_max: Option<u32>,
    recipients_per_day_max: Option<u32>,
    proxy: Option<ProxyV2<'a>>,
    #[serde(default)]
    history: Vec<ChangeV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProxyV2<'a> {
    url: Cow<'a, str>,
    credentials: Option<ProxyCredentialsV2<'a>>,
    bypass: Vec<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProxyCredentialsV2<'a> {
    username: Cow<'a, str>,
    password: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProviderV1 {
    Generic,
    ExchangeOnline,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EncryptionV1 {
    None,
    StartTls,
    Tls,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum AuthenticationV1<'a> {
    None,
    Password {
        username: Cow<'a, str>,
        password: Cow<'a, str>,
    },
    Oauth {
        client_id: Cow<'a, str>,
        tenant_id: Option<Cow<'a, str>>,
        credential: CredentialV1<'a>,
        client_secret_expire_date: Option<Date>,
        #[serde(default)]
        next_secret: Option<NextSecretV3<'a>>,
        token_endpoint: Cow<'a, str>,
        scope: Cow<'a, str>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NextSecretV3<'a> {
    client_secret: Cow<'a, str>,
    expire_date: Option<Date>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum CredentialV1<'a> {
    SecretPost { client_secret: Cow<'a, str> },
    SecretBasic { client_secret: Cow<'a, str> },
    Certificate { certificate_pem: Cow<'a, str>, private_key_pem: Cow<'a, str> },
}

impl<'a> From<&'a SavedSmtpSettings> for SmtpDocument<'a> {
    fn from(saved: &'a SavedSmtpSettings) -> Self {
        let settings = &saved.settings;
        Self {
            version: VERSION,
            saved_at: saved.saved_at,
            provider: match settings.provider {
                Provider::Generic => ProviderV1::Generic,
                Provider::ExchangeOnline => ProviderV1::ExchangeOnline,
            },
            host: Cow::from(&settings.host),
            port: settings.port,
            connect_timeout_ms: u64::try_from(settings.connect_timeout.as_millis())
                .unwrap_or(u64::MAX),
            encryption: match settings.encryption {
                Encryption::None => EncryptionV1::None,
                Encryption::StartTls => EncryptionV1::StartTls,
                Encryption::Tls => EncryptionV1::Tls,
            },
            email_address: Cow::from(settings.email_address.as_str()),
            additional_mailboxes: settings
                .additional_mailboxes
                .iter()
                .map(|one| Cow::from(one.as_str()))
                .collect(),
            authentication: AuthenticationV1::from(&settings.authentication),
            ca_certificates_pem: Cow::from(&settings.ca_certificates_pem),
            connections_max: settings.limits.connections_max,
            messages_per_minute_max: settings.limits.messages_per_minute_max,
            recipients_per_day_max: settings.limits.recipients_per_day_max,
            proxy: settings.proxy.as_ref().map(ProxyV2::from),
            history: saved.history.iter().map(ChangeV1::from).collect(),
        }
    }
}

impl<'a> From<&'a Proxy> for ProxyV2<'a> {
    fn from(proxy: &'a Proxy) -> Self {
        Self {
            url: Cow::from(proxy.address.to_string()),
            credentials: proxy.credentials.as_ref().map(|one| ProxyCredentialsV2 {
                username: Cow::from(&one.username),
                password: Cow::from(one.password.expose()),
            }),
            bypass: proxy.bypass.iter().map(|one| Cow::from(one.to_string())).collect(),
        }
    }
}

impl<'a> From<&'a Authentication> for AuthenticationV1<'a> {
    fn from(authentication: &'a Authentication) -> Self {
        match authentication {
            Authentication::None => Self::None,
            Authentication::Password { username, password } => Self::Password {
                username: Cow::from(username),
                password: Cow::from(password.expose()),
            },
            Authentication::Oauth(client) => Self::Oauth {
                client_id: Cow::from(&client.client_id),
                tenant_id: client.tenant_id.as_deref().map(Cow::from),
                credential: CredentialV1::from(&client.credential),
                client_secret_expire_date: client.client_secret_expire_date,
                next_secret: client.next_secret.as_ref().map(|next| NextSecretV3 {
                    client_secret: Cow::from(next.secret.expose()),
                    expire_date: next.expire_date,
                }),
                token_endpoint: Cow::from(&client.token_endpoint),
                scope: Cow::from(&client.scope),
            },
        }
    }
}

impl<'a> From<&'a ClientCredential> for CredentialV1<'a> {
    fn from(credential: &'a ClientCredential) -> Self {
        match credential {
            ClientCredential::SecretPost(secret) => {
                Self::SecretPost { client_secret: Cow::from(secret.expose()) }
            }
            ClientCredential::SecretBasic(secret) => {
                Self::SecretBasic { client_secret: Cow::from(secret.expose()) }
            }
            ClientCredential::Certificate { certificate_pem, private_key } => Self::Certificate {
                certificate_pem: Cow::from(certificate_pem),
                private_key_pem: Cow::from(private_key.expose()),
            },
        }
    }
}

impl SmtpDocument<'_> {
    fn into_saved(self, generation: i64) -> Result<SavedSmtpSettings, DocumentError> {
        let no_address = |field: &str| DocumentError::Malformed(format!("`{field}` is no address"));
        let provider = match self.provider {
            ProviderV1::Generic => Provider::Generic,
            ProviderV1::ExchangeOnline => Provider::ExchangeOnline,
        };
        let preset = provider.preset().map(|preset| preset.limits);
        let additional = self.additional_mailboxes.iter().map(|text| text.parse());
        let settings = SmtpSettings {
            provider,
            host: self.host.into_owned(),
            port: self.port,
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            encryption: match self.encryption {
                EncryptionV1::None => Encryption::None,
                EncryptionV1::StartTls => Encryption::StartTls,
                EncryptionV1::Tls => Encryption::Tls,
            },
            email_address: self.email_address.parse().map_err(|_| no_address("email_address"))?,
            additional_mailboxes: additional
                .collect::<Result<_, _>>()
                .map_err(|_| no_address("additional_mailboxes"))?,
            authentication: self.authentication.into(),
            ca_certificates_pem: self.ca_certificates_pem.into_owned(),
            limits: MailboxLimits {
                connections_max: self.connections_max,
                messages_per_minute_max: self.messages_per_minute_max,
                recipients_per_day_max: match self.version {
                    1 => preset.and_then(|preset| preset.recipients_per_day_max),
                    _ => self.recipients_per_day_max,
                },
            },
            proxy: self.proxy.map(Proxy::try_from).transpose()?,
        };
        let history = self.history.into_iter().map(DocumentChange::from).collect();
        Ok(SavedSmtpSettings { settings, generation, saved_at: self.saved_at, history })
    }
}

impl TryFrom<ProxyV2<'_>> for Proxy {
    type Error = DocumentError;

    fn try_from(proxy: ProxyV2<'_>) -> Result<Self, DocumentError> {
        let wrong =
            |field: &str| DocumentError::Malformed(format!("`proxy.{field}` cannot be read"));
        Ok(Self {
            address: proxy.url.parse().map_err(|_| wrong("url"))?,
            credentials: proxy.credentials.map(|one| ProxyCredentials {
                username: one.username.into_owned(),
                password: one.password.into_owned().into(),
            }),
            bypass: proxy
                .bypass
                .iter()
                .map(|one| one.parse())
                .collect::<Result<_, _>>()
                .map_err(|_| wrong("bypass"))?,
        })
    }
}

impl From<AuthenticationV1<'_>> for Authentication {
    fn from(authentication: AuthenticationV1<'_>) -> Self {
        match authentication {
            AuthenticationV1::None => Self::None,
            AuthenticationV1::Password { username, password } => Self::Password {
                username: username.into_owned(),
                password: password.into_owned().into(),
            },
            AuthenticationV1::Oauth {
                client_id,
                tenant_id,
                credential,
                client_secret_expire_date,
                next_secret,
                token_endpoint,
                scope,
            } => Self::Oauth(OauthClient {
                client_id: client_id.into_owned(),
                tenant_id: tenant_id.map(Cow::into_owned),
                credential: credential.into(),
                client_secret_expire_date,
                next_secret: next_secret.map(|next| NextSecret {
                    secret: next.client_secret.into_owned().into(),
                    expire_date: next.expire_date,
                }),
                token_endpoint: token_endpoint.into_owned(),
                scope: scope.into_owned(),
            }),
        }
    }
}

impl From<CredentialV1<'_>> for ClientCredential {
    fn from(credential: CredentialV1<'_>) -> Self {
        match credential {
            CredentialV1::SecretPost { client_secret } => {
                Self::SecretPost(client_secret.into_owned().into())
            }
            CredentialV1::SecretBasic { client_secret } => {
                Self::SecretBasic(client_secret.into_owned().into())
            }
            CredentialV1::Certificate { certificate_pem, private_key_pem } => Self::Certificate {
                certificate_pem: certificate_pem.into_owned(),
                private_key: private_key_pem.into_owned().into(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
