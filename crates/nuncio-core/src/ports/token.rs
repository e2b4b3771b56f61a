//! Tokens of the OAuth provider.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::job::Reason;
use crate::secret::AccessToken;
use crate::settings::proxy::Proxy;
use crate::settings::{OauthClient, SmtpSettings};
use crate::smtp_test::PresentedCertificate;

/// Gives access tokens.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token that is good for a new connection: from the cache, or fetched once for all who wait.
    async fn token(&self, request: TokenRequest<'_>) -> Result<Token, TokenError>;

    /// Forgets a token that the provider has refused, unless a newer one has taken its place.
    async fn invalidate(&self, request: TokenRequest<'_>, refused: &AccessToken);

    /// Asks the token endpoint, whatever is cached, and caches nothing. If it gives a token, a pause after earlier
    /// failures is over.
    async fn fetch(&self, request: TokenRequest<'_>) -> Result<Token, TokenError>;

    /// When the cached token of this client ends, if there is one.
    async fn cached_until(&self, request: TokenRequest<'_>) -> Option<Timestamp>;
}

/// For whom a token is wanted, and how the token endpoint is reached.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    pub client: &'a OauthClient,
    /// Trusted beside the system's certificate authorities.
    pub ca_certificates_pem: &'a str,
    /// Between this node and the token endpoint, unless that is reached past it.
    pub proxy: Option<&'a Proxy>,
    /// For the whole request.
    pub timeout: Duration,
}

impl<'a> TokenRequest<'a> {
    /// For the client of the settings.
    pub fn of(settings: &'a SmtpSettings, client: &'a OauthClient) -> Self {
        Self {
            client,
            ca_certificates_pem: &settings.ca_certificates_pem,
            proxy: settings.proxy.as_ref(),
            timeout: settings.connect_timeout,
        }
    }
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "the name of RFC 6749")]
pub struct Token {
    pub access_token: AccessToken,
    pub expires_at: Timestamp,
    /// Why the client secret was not taken, if the next one was used in its place.
    pub passed_over: Option<Reason>,
}

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no token: {}", reason.message)]
pub struct TokenError {
    pub kind: TokenErrorKind,
    /// Its code is one of those that a settings test shows, for example `INVALID_CLIENT_SECRET`.
    pub reason: Reason,
    /// The certificates that the token endpoint presented, if their chain could not be checked.
    pub presented_chain: Vec<PresentedCertificate>,
}

/// The code of a token endpoint that says that the client secret has expired.
pub const CLIENT_SECRET_EXPIRED: &str = "CLIENT_SECRET_EXPIRED";
/// The code of a token endpoint that says that the client secret is wrong.
pub const INVALID_CLIENT_SECRET: &str = "INVALID_CLIENT_SECRET";

impl TokenError {
    /// Whether another client secret may help.
    pub fn is_about_secret(&self) -> bool {
        [CLIENT_SECRET_EXPIRED, INVALID_CLIENT_SECRET].contains(&self.reason.code.as_str())
    }

    /// The same, if it passes, with when to ask again.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let kind = match self.kind {
            TokenErrorKind::Fatal => TokenErrorKind::Fatal,
            TokenErrorKind::Temporary { retry_after: _ } => {
                TokenErrorKind::Temporary { retry_after: Some(wait) }
            }
        };
        Self { kind, ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenErrorKind {
    /// The settings or the provider's side are wrong; a person must act.
    Fatal,
    /// The endpoint is in trouble, cannot be reached or asks to wait.
    Temporary { retry_after: Option<Duration> },
}
