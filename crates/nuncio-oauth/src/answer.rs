//! What a token endpoint answers, and what that means.

use std::fmt;
use std::time::Duration;

use nuncio_core::job::Reason;
use nuncio_core::ports::token::{
    CLIENT_SECRET_EXPIRED, INVALID_CLIENT_SECRET, TokenError, TokenErrorKind,
};
use nuncio_core::settings::{ClientCredential, OauthClient};
use nuncio_tls::diagnosis::Server;
use oauth2::url::form_urlencoded::byte_serialize;
use oauth2::{AccessToken, RefreshToken, Scope};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::aadsts::{
    self, INVALID_CERTIFICATE, INVALID_TENANT_OR_ENDPOINT, Kind, Known, TOKEN_ENDPOINT_THROTTLED,
    TOKEN_ENDPOINT_UNAVAILABLE,
};
use nuncio_http::exchange::Seen;

pub(crate) const NOT_A_TOKEN_RESPONSE: &str = "NOT_A_TOKEN_RESPONSE";
/// The endpoint refused for a reason that is not in the tables.
pub(crate) const TOKEN_REFUSED: &str = "TOKEN_REFUSED";

/// The life of a token whose answer names none.
const LIFE_DEFAULT: Duration = Duration::from_hours(1);
/// The longest life that is believed: that of a CAE token of Entra ID ("configurable token lifetimes").
const LIFE_MAX: Duration = Duration::from_hours(28);
/// The longest token, in characters; it must go on one line of SMTP.
const TOKEN_CHARS_MAX: usize = 16 * 1024;
/// The longest description that is shown, in characters.
const DESCRIPTION_CHARS_MAX: usize = 300;

const TOO_MANY_REQUESTS: u16 = 429;

/// Of what stands between this node and the token endpoint: it comes and goes.
const PASSING: TokenErrorKind = TokenErrorKind::Temporary { retry_after: None };

/// Who was asked, and by whom.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) server: Server<'a>,
    pub(crate) client: &'a OauthClient,
}

/// A granted token (RFC 6749, section 5.1), read leniently.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Grant {
    access_token: AccessToken,
    #[serde(default)]
    token_type: TokenKind,
    #[serde(default, deserialize_with = "lenient_seconds")]
    expires_in: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct TokenKind(Option<String>);

/// A refusal (RFC 6749, section 5.2) with the additions of Entra ID.
#[derive(Deserialize, Serialize)]
pub(crate) struct Refusal {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
    #[serde(default, deserialize_with = "lenient_codes")]
    error_codes: Vec<u32>,
    #[serde(default)]
    trace_id: Option<String>,
    #[serde(default)]
    correlation_id: Option<String>,
}

impl oauth2::TokenType for TokenKind {}

impl oauth2::TokenResponse for Grant {
    type TokenType = TokenKind;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &TokenKind {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl Grant {
    pub(crate) fn life(&self) -> Duration {
        self.expires_in.map_or(LIFE_DEFAULT, Duration::from_secs).min(LIFE_MAX)
    }

    /// The token, if it is one that can be used: a bearer token (RFC 6750) of visible characters.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let token = self.access_token.secret().as_str();
        let kind = self.token_type.0.as_deref().unwrap_or("Bearer");
        let fits = (1..=TOKEN_CHARS_MAX).contains(&token.len());
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        (kind.eq_ignore_ascii_case("Bearer") && fits && visible).then_some(token)
    }
}

impl oauth2::ErrorResponse for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token endpoint refused")
    }
}

/// The description may repeat what was sent, so it does not show.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal").field("codes", &self.error_codes).finish_non_exhaustive()
    }
}

/// What a refusal means.
pub(crate) fn refused(asked: Asked<'_>, seen: &Seen, refusal: &Refusal) -> TokenError {
    let code = refusal.code();
    let known = code.and_then(aadsts::by_code);
    let is_entra = known.is_some(); // Then its own words say nothing more.
    let known = known.or_else(|| generic(asked, refusal));
    let kind = kind(seen, &refusal.error, known.map(|known| known.kind));
    // Whatever the words, this status means one thing (RFC 6585, section 4).
    let known =
        if seen.status == TOO_MANY_REQUESTS { aadsts::by_error("slow_down") } else { known };
    let Some(known) = known else {
        let cause = format!("{} refused: {}", asked.server, refusal.words(asked));
        let remedy = "see the provider's documentation of this error";
        return error(kind, reason_by_status(seen, TOKEN_REFUSED), cause, remedy);
    };

    let words = if is_entra { refusal.ids() } else { refusal.words(asked) };
    let cause = format!("{} ({}: {words})", known.cause, asked.server);
    let remedy = if known.reason == INVALID_CLIENT_SECRET && secret_is_an_id(asked.client) {
        "the secret that was entered has the form of an ID: enter the secret's VALUE, which is shown \
         only once, right after it was made; if it is lost, make a new secret"
    } else {
        known.remedy
    };
    error(kind, reason_by_status(seen, known.reason), cause, remedy)
}

/// What an answer means that is neither a token nor a refusal.
pub(crate) fn not_a_token(asked: Asked<'_>, seen: &Seen) -> TokenError {
    let (server, status) = (asked.server, seen.status);
    let kind = kind(seen, "", None);
    let titled = match &seen.title {
        Some(title) if !shows_secret(asked.client, title) => {
            format!("status {status}, web page \"{title}\"")
        }
        Some(_) | None => format!("status {status}"),
    };
    match status {
        TOO_MANY_REQUESTS => error(
            kind,
            TOKEN_ENDPOINT_THROTTLED,
            format!("{server} asks for fewer requests ({titled})"),
            "wait; look for other programs that use the same client id or tenant",
        ),
        408 | 500.. => error(
            kind,
            TOKEN_ENDPOINT_UNAVAILABLE,
            format!("{server} is in trouble ({titled})"),
            "wait; see the provider's service health",
        ),
        // A portal redirects for as long as nobody has logged in there.
        300..400 => {
            let to = seen.redirect_host.as_ref().map(|host| format!(" to `{host}`"));
            let to = to.unwrap_or_default();
            error(
                PASSING,
                NOT_A_TOKEN_RESPONSE,
                format!(
                    "not a token response from {server}: it redirects{to} ({titled}), which is not \
                     followed, so that the credential stays here; is there a proxy or captive portal?"
                ),
                "enter the final token endpoint; allow this node direct HTTPS to it",
            )
        }
        404 | 405 | 410 => error(
            kind,
            INVALID_TENANT_OR_ENDPOINT,
            format!("{server} has no token endpoint at this path ({titled})"),
            "correct path and tenant of the token endpoint",
        ),
        _ if seen.is_web_page => error(
            PASSING,
            NOT_A_TOKEN_RESPONSE,
            format!(
                "not a token response from {server} but a web page ({titled}): something between it and this \
                 node answers in its place, such as a proxy or captive portal"
            ),
            "allow this node direct HTTPS to the token endpoint; check its URL",
        ),
        _ => error(
            kind,
            NOT_A_TOKEN_RESPONSE,
            format!(
                "not a token response from {server} ({titled}); is there a proxy or captive portal?"
            ),
            "check the token endpoint's URL; allow this node direct HTTPS to it",
        ),
    }
}

impl Refusal {
    /// The code of Entra ID: as a number, or from the text.
    fn code(&self) -> Option<u32> {
        let described = || {
            let (_, rest) = self.error_description.as_deref()?.split_once("AADSTS")?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        };
        self.error_codes.first().copied().or_else(described)
    }

    /// What the provider's support asks for.
    fn ids(&self) -> String {
        let code = self.code().map(|code| format!("AADSTS{code}"));
        let named = |name: &str, id: &Option<String>| {
            let id = id.as_deref().filter(|id| is_guid(id))?;
            Some(format!("{name} {id}"))
        };
        let ids =
            [code, named("trace", &self.trace_id), named("correlation", &self.correlation_id)];
        ids.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The provider's own words, without anything secret in them.
    fn words(&self, asked: Asked<'_>) -> String {
        let description = self.error_description.as_deref().unwrap_or_default();
        let description = description.lines().next().unwrap_or_default();
        let words = match description {
            "" => self.error.clone(),
            _ => format!("{}: {description}", self.error),
        };
        if shows_secret(asked.client, &words) {
            return "its words repeat the credential".to_owned();
        }
        words.chars().filter(|c| !c.is_control()).take(DESCRIPTION_CHARS_MAX).collect()
    }
}

fn generic(asked: Asked<'_>, refusal: &Refusal) -> Option<Known> {
    let mut known = aadsts::by_error(&refusal.error)?;
    if refusal.error != "invalid_client" {
        return Some(known);
    }
    let words = refusal.error_description.as_deref().unwrap_or_default().to_ascii_lowercase();
    match asked.client.credential {
        ClientCredential::Certificate { .. } => {
            known.reason = INVALID_CERTIFICATE;
            known.cause = "the client id is wrong, or the client assertion is not accepted";
            known.remedy = "check client id, that the certificate is registered for the client, and \
                            this node's clock";
        }
        // As oidc-provider says it.
        ClientCredential::SecretPost(_) | ClientCredential::SecretBasic(_)
            if words.contains("secret is expired") || words.contains("secret has expired") =>
        {
            known.kind = Kind::Expired;
            known.reason = CLIENT_SECRET_EXPIRED;
            known.cause = "the client secret has expired";
            known.remedy = "make a new client secret at the provider and enter its value";
        }
        ClientCredential::SecretPost(_) | ClientCredential::SecretBasic(_) => {}
    }
    Some(known)
}

/// Status and `error` decide. A code can only make a refusal milder.
fn kind(seen: &Seen, error: &str, known: Option<Kind>) -> TokenErrorKind {
    let temporary = TokenErrorKind::Temporary { retry_after: seen.retry_after };
    let by_status = matches!(seen.status, 408 | TOO_MANY_REQUESTS | 500..);
    let by_error = matches!(error, "temporarily_unavailable" | "server_error" | "slow_down");
    match known {
        _ if by_status || by_error => temporary,
        Some(Kind::Temporary | Kind::Throttled) => temporary,
        Some(Kind::Fatal | Kind::Expired) | None => TokenErrorKind::Fatal,
    }
}

fn reason_by_status(seen: &Seen, otherwise: &'static str) -> &'static str {
    match seen.status {
        TOO_MANY_REQUESTS => TOKEN_ENDPOINT_THROTTLED,
        408 | 500.. => TOKEN_ENDPOINT_UNAVAILABLE,
        _ => otherwise,
    }
}

pub(crate) fn error(
    kind: TokenErrorKind,
    code: &str,
    cause: impl Into<String>,
    remedy: &str,
) -> TokenError {
    let reason = Reason::new(code, cause).remedy(remedy);
    TokenError { kind, reason, presented_chain: Vec::new() }
}

fn secret_is_an_id(client: &OauthClient) -> bool {
    match &client.credential {
        ClientCredential::SecretPost(secret) | ClientCredential::SecretBasic(secret) => {
            is_guid(secret.expose())
        }
        ClientCredential::Certificate { .. } => false,
    }
}

/// Whether a stranger's text repeats the credential or an assertion made with it.
fn shows_secret(client: &OauthClient, text: &str) -> bool {
    match &client.credential {
        ClientCredential::SecretPost(secret) | ClientCredential::SecretBasic(secret) => {
            let encoded: String = byte_serialize(secret.expose().as_bytes()).collect();
            text.contains(secret.expose()) || text.contains(&encoded)
        }
        // A JWT begins like this: `{"` in Base64.
        ClientCredential::Certificate { .. } => text.contains("eyJ"),
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

/// A number, a number as text (some providers), or anything else for none.
fn lenient_seconds<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(value)?;
    let text = match value.as_str() {
        Some(text) => text.trim().to_owned(),
        None => value.to_string(),
    };
    let whole = text.split_once('.').map_or(text.as_str(), |(whole, _fraction)| whole);
    Ok(whole.parse().ok())
}

fn lenient_codes<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<u32>, D::Error> {
    let value = Value::deserialize(value)?;
    let codes = value.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(codes.iter().filter_map(|code| u32::try_from(code.as_u64()?).ok()).collect())
}

#[cfg(test)]
mod tests;
