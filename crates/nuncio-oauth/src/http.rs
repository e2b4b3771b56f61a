//! HTTP to a token endpoint: no redirects, no cookies, no proxies, small answers, one dead line.

use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use nuncio_core::smtp_test::StageError;
use nuncio_tls::diagnosis::{Server, diagnose, tls_error};
use nuncio_tls::trust::{Trust, TrustError};
use oauth2::http::header::{AUTHORIZATION, HeaderMap, LOCATION, RETRY_AFTER};
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::redirect;
use reqwest::{Client, Request, Response, Url};

/// The largest answer that is read, in bytes. Tokens of Entra ID have up to some 4,000 characters.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
/// The longest `Retry-After` that is honoured, as in MSAL Python.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// How many clients are kept, one for each set of authorities.
const CLIENTS_MAX: usize = 8;
/// How long a connection is kept: a token lives for an hour, so only retries find it.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// The longest title of a web page that is shown, in characters.
const TITLE_CHARS_MAX: usize = 80;
/// How many sources of an error are searched.
const SOURCES_MAX: usize = 16;

const USER_AGENT: &str = concat!("nuncio/", env!("CARGO_PKG_VERSION"));

/// Clients by the authorities that they trust beside the system's, the last used at the end.
///
/// The system's store is read when a client is made, that is, once for each set of authorities.
#[derive(Default)]
pub(crate) struct HttpClients {
    kept: Mutex<Vec<([u8; 32], Client)>>,
}

/// One request, and what `oauth2` does not keep of its answer.
pub(crate) struct Exchange<'a> {
    pub(crate) client: &'a Client,
    pub(crate) server: Server<'a>,
    pub(crate) timeout: Duration,
    pub(crate) now: Timestamp,
    seen: Mutex<Option<Seen>>,
}

/// An answer without its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// The host to which a redirect points.
    pub(crate) redirect_host: Option<String>,
    /// The title, if it is a web page.
    pub(crate) title: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("no answer in time")]
    TimedOut,
    #[error("the name does not resolve")]
    NotResolved,
    #[error("the connection was refused")]
    Refused,
    #[error("the connection was cut")]
    Cut,
    #[error("TLS failed")]
    Tls(StageError),
    #[error("the answer has more than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the added certificate authorities are not usable")]
    Trust(#[source] TrustError),
    #[error("the HTTP exchange failed")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

impl HttpClients {
    pub(crate) async fn client(&self, ca_certificates_pem: &str) -> Result<Client, HttpError> {
        let key = digest(&SHA256, ca_certificates_pem.as_bytes());
        let key: [u8; 32] = key.as_ref().try_into().expect("SHA-256 has 32 bytes");
        if let Some(client) = self.kept(key) {
            return Ok(client);
        }
        let pem = ca_certificates_pem.to_owned();
        let client = tokio::task::spawn_blocking(move || build(&pem))
            .await
            .map_err(|gone| HttpError::Other(gone.into()))??;
        self.keep(key, client.clone());
        Ok(client)
    }

    fn kept(&self, key: [u8; 32]) -> Option<Client> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(known, _)| *known == key)?;
        let found = kept.remove(place);
        let client = found.1.clone();
        kept.push(found);
        Some(client)
    }

    fn keep(&self, key: [u8; 32], client: Client) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != key);
        if CLIENTS_MAX <= kept.len() {
            kept.remove(0);
        }
        kept.push((key, client));
    }
}

fn build(ca_certificates_pem: &str) -> Result<Client, HttpError> {
    let trust = Trust::from_pem(ca_certificates_pem).map_err(HttpError::Trust)?;
    let tls: rustls::ClientConfig = (*trust.client()).clone();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .http1_only()
        .redirect(redirect::Policy::none()) // A redirect would carry the secret elsewhere.
        .no_proxy()
        .referer(false)
        .dns_resolver(SystemResolver)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(IDLE_MAX)
        .user_agent(USER_AGENT)
        .build()
        .map_err(|error| HttpError::Other(error.into()))
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        client: &'a Client,
        server: Server<'a>,
        timeout: Duration,
        now: Timestamp,
    ) -> Self {
        Self { client, server, timeout, now, seen: Mutex::default() }
    }

    /// What was seen of the answer, if one came.
    pub(crate) fn seen(self) -> Option<Seen> {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut request =
            Request::try_from(request).map_err(|error| HttpError::Other(error.into()))?;
        if let Some(authorization) = request.headers_mut().get_mut(AUTHORIZATION) {
            authorization.set_sensitive(true);
        }
        tokio::time::timeout(self.timeout, self.exchange(request))
            .await
            .map_err(|_elapsed| HttpError::TimedOut)?
    }

    async fn exchange(&self, request: Request) -> Result<HttpResponse, HttpError> {
        let response = self.client.execute(request).await.map_err(|error| self.fault(error))?;
        let mut seen = Seen {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers(), self.now),
            redirect_host: redirect_host(&response),
            title: None,
        };
        let status = response.status();
        let body = self.body(response).await;
        seen.title = body.as_deref().ok().and_then(title);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        // Without its headers: whether it is JSON shows in the body, whatever the content type says.
        let mut bare = HttpResponse::new(body?);
        *bare.status_mut() = status;
        Ok(bare)
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.fault(error))? {
            if BODY_BYTES_MAX < body.len() + chunk.len() {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn fault(&self, error: reqwest::Error) -> HttpError {
        let error = error.without_url(); // The operator knows it, and a URL may hold anything.
        if tls_error(&error).is_some() {
            return HttpError::Tls(diagnose(self.server, &error));
        }
        if find::<NotResolved>(&error).is_some() {
            return HttpError::NotResolved;
        }
        let io = find::<std::io::Error>(&error).map(std::io::Error::kind);
        match io {
            Some(ErrorKind::ConnectionRefused) => HttpError::Refused,
            Some(ErrorKind::TimedOut) => HttpError::TimedOut,
            Some(
                ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe,
            ) => HttpError::Cut,
            _ => HttpError::Other(error.into()),
        }
    }
}

impl<'c> AsyncHttpClient<'c> for Exchange<'_> {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// The system's resolver, with an error that can be told from others.
struct SystemResolver;

#[derive(Debug, thiserror::Error)]
#[error("the name does not resolve")]
struct NotResolved(#[source] std::io::Error);

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(NotResolved)?;
            let found: Vec<SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        })
    }
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    for _ in 0..SOURCES_MAX {
        let error = next?;
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_not_seconds) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            Duration::try_from(at.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

fn redirect_host(response: &Response) -> Option<String> {
    if !response.status().is_redirection() {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let location = Url::options().base_url(Some(response.url())).parse(location).ok()?;
    location.host_str().map(str::to_owned)
}

/// The title of a web page, if it can be shown: short words, no markup.
fn title(body: &[u8]) -> Option<String> {
    const WORD_CHARS_MAX: usize = 30;
    let text = String::from_utf8_lossy(body);
    let lower = text.to_ascii_lowercase(); // As many bytes as `text`.
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower[start..].find("</title>")?;
    let title = text[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
    let harmless = |c: char| c.is_alphanumeric() || " -_.,:()'!?|/".contains(c);
    let shown: String = title.chars().take(TITLE_CHARS_MAX).collect();
    let short_words = shown.split(' ').all(|word| word.chars().count() <= WORD_CHARS_MAX);
    (!shown.is_empty() && short_words && shown.chars().all(harmless)).then_some(shown)
}

#[cfg(test)]
mod tests;
