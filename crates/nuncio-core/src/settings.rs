//! The SMTP settings: how nuncio reaches the mail provider.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::address::EmailAddress;
use crate::secret::{ClientSecret, Password, PrivateKeyPem};
use crate::settings::document::DocumentChange;
use proxy::Proxy;

pub mod changes;
pub mod document;
pub mod draft;
pub mod guest_mail;
pub mod log_levels;
pub mod preset;
pub mod proxy;
pub mod trust_store;

/// How long a connection may take until it is ready to send, where the operator says nothing (as in ISE).
pub const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);
/// Connections at once, where neither provider nor operator says anything.
pub const CONNECTIONS: u32 = 3;
/// The most connections that an operator may allow.
pub const CONNECTIONS_MAX: u32 = 100;
/// The most messages per minute that an operator may allow.
pub const MESSAGES_PER_MINUTE_MAX: u32 = 100_000;
/// The most recipients per day that an operator may allow.
pub const RECIPIENTS_PER_DAY_MAX: u32 = 10_000_000;
/// The most mailboxes beside the first: a test logs in as each of them.
pub const ADDITIONAL_MAILBOXES_MAX: usize = 20;

/// The SMTP settings. Every value of this type is complete and valid in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpSettings {
    pub provider: Provider,
    pub host: String,
    pub port: u16,
    pub connect_timeout: Duration,
    pub encryption: Encryption,
    /// The default sender, and the first mailbox that sends: the user name of XOAUTH2.
    pub email_address: EmailAddress,
    /// Mailboxes that share the load with the first one. The sender stays the same, so each of them needs the
    /// right to send as it. Only with OAuth: a password belongs to one mailbox.
    pub additional_mailboxes: Vec<EmailAddress>,
    pub authentication: Authentication,
    /// Certificate authorities in PEM that are trusted beside the system's, for both servers.
    pub ca_certificates_pem: String,
    /// Of each mailbox.
    pub limits: MailboxLimits,
    /// Between nuncio and both servers.
    pub proxy: Option<Proxy>,
}

/// A provider whose values are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    Generic,
    ExchangeOnline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// Not at all. Only without authentication.
    None,
    /// By STARTTLS, which is then required (RFC 3207).
    StartTls,
    /// From the first byte (RFC 8314).
    Tls,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    None,
    Password { username: String, password: Password },
    Oauth(OauthClient),
}

/// OAuth 2.0 client credentials (RFC 6749, section 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthClient {
    pub client_id: String,
    pub tenant_id: Option<String>,
    pub credential: ClientCredential,
    /// The last day of the client secret, as typed by the operator.
    pub client_secret_expire_date: Option<Date>,
    /// Takes over when the token endpoint refuses the client secret. Only beside a client secret.
    pub next_secret: Option<NextSecret>,
    /// An absolute URL with the scheme `https`.
    pub token_endpoint: String,
    pub scope: String,
}

/// A second client secret, so that the first can end without a stop (providers allow two at a time).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextSecret {
    pub secret: ClientSecret,
    /// Its last day, as typed by the operator.
    pub expire_date: Option<Date>,
}

/// How the client proves itself at the token endpoint (OpenID Connect Core, section 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCredential {
    /// `client_secret_post`
    SecretPost(ClientSecret),
    /// `client_secret_basic`
    SecretBasic(ClientSecret),
    /// `private_key_jwt` with PS256 and `x5t#S256`
    Certificate { certificate_pem: String, private_key: PrivateKeyPem },
}

/// The limits of one sending mailbox.
#[expect(clippy::struct_field_names, reason = "the name of every limit ends in `max`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Connections at once.
    pub connections_max: u32,
    /// Messages in any minute; none means no limit.
    pub messages_per_minute_max: Option<u32>,
    /// Recipients in any 24 hours; none means no limit.
    pub recipients_per_day_max: Option<u32>,
}

impl OauthClient {
    /// The same client with its first credential alone.
    #[must_use]
    pub fn first_alone(&self) -> Self {
        Self { next_secret: None, ..self.clone() }
    }

    /// The same client with its next secret alone, if it has one.
    pub fn next_alone(&self) -> Option<Self> {
        let NextSecret { secret, expire_date } = self.next_secret.clone()?;
        let credential = match self.credential {
            ClientCredential::SecretPost(_) => ClientCredential::SecretPost(secret),
            ClientCredential::SecretBasic(_) => ClientCredential::SecretBasic(secret),
            ClientCredential::Certificate { .. } => return None,
        };
        let client_secret_expire_date = expire_date;
        Some(Self { credential, client_secret_expire_date, next_secret: None, ..self.clone() })
    }

    /// The last day on which one of its secrets is good; none if it is not known of each of them.
    pub fn secrets_last_day(&self) -> Option<Date> {
        let first = self.client_secret_expire_date;
        match &self.next_secret {
            None => first,
            Some(next) => Some(first?.max(next.expire_date?)),
        }
    }
}

impl SmtpSettings {
    /// Every mailbox that sends, the first one first.
    pub fn mailboxes(&self) -> impl Iterator<Item = &EmailAddress> {
        std::iter::once(&self.email_address).chain(&self.additional_mailboxes)
    }

    /// The proxy through which the SMTP server is reached.
    pub fn smtp_proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|proxy| proxy.is_for(&self.host))
    }
}

/// Settings as they were saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSmtpSettings {
    pub settings: SmtpSettings,
    /// Counts the saves, from 1.
    pub generation: i64,
    pub saved_at: Timestamp,
    /// The last [`HISTORY_MAX`](document::HISTORY_MAX) changes, the newest first. Settings that were saved before
    /// changes were kept have none.
    pub history: Vec<DocumentChange>,
}

impl SavedSmtpSettings {
    /// Changes with each save (AIP-154).
    pub fn etag(&self) -> String {
        format!("g{}", self.generation)
    }
}
