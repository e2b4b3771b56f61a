//! One request and its answer: no redirects, no cookies, small answers, one dead line.

use std::error::Error;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures::future::{Either, select};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
};
use hyper::http;
use hyper::http::uri::{Authority, PathAndQuery};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use nuncio_core::settings::proxy::Proxy;
use nuncio_core::smtp_test::StageError;
use nuncio_net::network::{self, Io, Network};
use nuncio_net::proxy::{self, ProxyError};
use nuncio_tls::diagnosis::{Server, diagnose, tls_error};
use nuncio_tls::trust::{Trust, TrustError};
use rustls::pki_types::ServerName;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// The largest answer that is read, in bytes. Tokens of Entra ID have up to some 4,000 characters.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// The longest `Retry-After` that is honoured, as in MSAL Python.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How many trusts are kept, one for each set of authorities.
const TRUSTS_MAX: usize = 8;
/// The longest title of a web page that is shown, in characters.
const TITLE_CHARS_MAX: usize = 80;
/// How many sources of an error are searched.
const SOURCES_MAX: usize = 16;

const PRODUCT: &str = concat!("nuncio/", env!("CARGO_PKG_VERSION"));

/// Whom to trust, by the authorities beside the system's, the last used at the end.
///
/// The system's store is read when a trust is made, that is, once for each set of authorities.
#[derive(Default)]
pub struct Trusts {
    kept: Mutex<Vec<([u8; 32], Trust)>>,
}

/// One request, and what `oauth2` does not keep of its answer.
pub struct Exchange<'a> {
    pub network: &'a dyn Network,
    /// Whom to trust; none means without TLS, which only this machine may be asked.
    pub trust: Option<&'a Trust>,
    pub server: Server<'a>,
    /// The one through which the server is reached, if any.
    pub proxy: Option<&'a Proxy>,
    pub timeout: Duration,
    pub now: Timestamp,
    pub seen: Mutex<Option<Seen>>,
}

/// An answer without its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// The host to which a redirect points.
    pub redirect_host: Option<String>,
    /// Whether it is for people: then it is hardly the token endpoint that answers.
    pub is_web_page: bool,
    /// The title, if it is a web page.
    pub title: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("no answer in time")]
    TimedOut,
    #[error("the name does not resolve")]
    NotResolved,
    #[error("there is no way through the proxy")]
    Proxy(#[source] ProxyError),
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

impl Trusts {
    pub async fn trust(&self, ca_certificates_pem: &str) -> Result<Trust, HttpError> {
        let key = digest(&SHA256, ca_certificates_pem.as_bytes());
        let key: [u8; 32] = key.as_ref().try_into().expect("SHA-256 has 32 bytes");
        if let Some(trust) = self.kept(key) {
            return Ok(trust);
        }
        let pem = ca_certificates_pem.to_owned();
        let trust = tokio::task::spawn_blocking(move || Trust::from_pem(&pem))
            .await
            .map_err(|gone| HttpError::Other(gone.into()))?
            .map_err(HttpError::Trust)?;
        self.keep(key, trust.clone());
        Ok(trust)
    }

    fn kept(&self, key: [u8; 32]) -> Option<Trust> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(known, _)| *known == key)?;
        let found = kept.remove(place);
        let trust = found.1.clone();
        kept.push(found);
        Some(trust)
    }

    fn keep(&self, key: [u8; 32], trust: Trust) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != key);
        if TRUSTS_MAX <= kept.len() {
            kept.remove(0);
        }
        kept.push((key, trust));
    }
}

impl Exchange<'_> {
    /// What was seen of the answer, if one came.
    pub fn seen(self) -> Option<Seen> {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the request and reads the answer, within the timeout.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        let until = Instant::now() + self.timeout;
        tokio::time::timeout_at(until, self.exchange(request, until))
            .await
            .map_err(|_elapsed| HttpError::TimedOut)?
    }

    async fn exchange(
        &self,
        request: Request<Vec<u8>>,
        until: Instant,
    ) -> Result<Response<Vec<u8>>, HttpError> {
        let stream = self.reach(until).await?;
        let stream = self.secure(stream).await?;
        let handshake = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|error| self.fault(error))?;
        let answer = pin!(self.ask(sender, request));
        match select(answer, pin!(connection)).await {
            Either::Left((answer, _connection)) => answer,
            // The answer may be there although the connection has ended.
            Either::Right((_ended, answer)) => answer.await,
        }
    }

    async fn secure(&self, stream: Box<dyn Io>) -> Result<Box<dyn Io>, HttpError> {
        let Some(trust) = self.trust else { return Ok(stream) };
        let name = ServerName::try_from(self.server.host.to_owned())
            .map_err(|error| HttpError::Other(error.into()))?;
        let connecting = TlsConnector::from(trust.client()).connect(name, stream);
        Ok(Box::new(connecting.await.map_err(|error| self.fault(error))?))
    }

    async fn reach(&self, until: Instant) -> Result<Box<dyn Io>, HttpError> {
        let Server { host, port, .. } = self.server;
        if let Some(proxy) = self.proxy {
            let tunnel = proxy::reach(self.network, proxy, host, port, until).await;
            return Ok(tunnel.map_err(HttpError::Proxy)?.stream);
        }
        let addresses = network::resolve(self.network, host, port).await;
        let addresses = addresses.map_err(|_error| HttpError::NotResolved)?;
        let connected = network::connect(self.network, &addresses).await;
        Ok(connected.map_err(|error| self.fault(error))?.0)
    }

    async fn ask(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, HttpError> {
        let request = self.request(request)?;
        let response = sender.send_request(request).await.map_err(|error| self.fault(error))?;
        let mut seen = Seen {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers(), self.now),
            redirect_host: self.redirect_host(&response),
            is_web_page: is_web_page(response.headers()),
            title: None,
        };
        let status = response.status();
        let body = self.body(response.into_body()).await;
        seen.title = body.as_deref().ok().and_then(title);
        seen.is_web_page |= seen.title.is_some();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        // Without its headers: whether it is JSON shows in the body, whatever the content type says.
        let mut bare = Response::new(body?);
        *bare.status_mut() = status;
        Ok(bare)
    }

    /// The request as HTTP/1.1 sends it to the server itself.
    fn request(&self, request: Request<Vec<u8>>) -> Result<Request<Full<Bytes>>, HttpError> {
        let (mut parts, body) = request.into_parts();
        let other = |error: http::Error| HttpError::Other(error.into());
        let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let authority = parts.uri.authority().map_or(self.server.host, Authority::as_str);
        let host = HeaderValue::from_str(authority).map_err(|error| other(error.into()))?;
        parts.uri = Uri::try_from(path).map_err(|error| other(error.into()))?;
        parts.headers.insert(HOST, host);
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(PRODUCT));
        if let Some(authorization) = parts.headers.get_mut(AUTHORIZATION) {
            authorization.set_sensitive(true);
        }
        Ok(Request::from_parts(parts, Full::from(body)))
    }

    async fn body(&self, body: Incoming) -> Result<Vec<u8>, HttpError> {
        match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => Ok(body.to_bytes().into()),
            Err(error) if error.is::<LengthLimitError>() => Err(HttpError::TooLarge),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => Err(self.fault(*error)),
                Err(error) => Err(HttpError::Other(error)),
            },
        }
    }

    fn fault(&self, error: impl Error + Send + Sync + 'static) -> HttpError {
        if tls_error(&error).is_some() {
            return HttpError::Tls(diagnose(self.server, &error));
        }
        let hyper = find::<hyper::Error>(&error);
        if hyper.is_some_and(|error| error.is_incomplete_message() || error.is_canceled()) {
            return HttpError::Cut;
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

    fn redirect_host(&self, response: &Response<Incoming>) -> Option<String> {
        if !response.status().is_redirection() {
            return None;
        }
        let location = response.headers().get(LOCATION)?.to_str().ok()?;
        // One without a host stays on this server.
        let target = location.parse::<Uri>().ok()?;
        Some(target.host().unwrap_or(self.server.host).to_owned())
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

fn is_web_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    ["text/html", "application/xhtml+xml"].contains(&kind.as_str())
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
