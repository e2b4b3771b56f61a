//! A small HTTP/1.1 server: every task belongs to it, and a handler may reset or stall the connection.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Connections open at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 4096;

/// Bytes of a request body; a longer one counts as empty.
const BODY_MAX: usize = 1024 * 1024;

/// Wait after a failed `accept`, which fails while the process has no file descriptors left.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A request, as far as handlers care.
#[derive(Debug)]
pub(crate) struct HttpRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) host: String,
    pub(crate) authorization: String,
    pub(crate) body: Bytes,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Respond(Response<Full<Bytes>>),
    /// The TCP connection is reset.
    Reset,
    /// Nothing ever comes.
    Stall,
}

/// Answers requests.
pub(crate) trait Handler: Send + Sync + 'static {
    fn answer(&self, request: HttpRequest) -> impl Future<Output = Answer> + Send;
}

/// A response with this body.
pub(crate) fn respond(
    status: u16,
    content_type: &str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .body(Full::new(body.into()));
    response.unwrap_or_else(|error| {
        warn!("a scripted response is not HTTP: {error}");
        let mut fallback = Response::new(Full::new(Bytes::new()));
        *fallback.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        fallback
    })
}

/// Serves until `stop` is cancelled; then all connections end at once.
pub(crate) async fn serve<H: Handler>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handler: Arc<H>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok(_) if CONNECTIONS_MAX <= connections.len() => {}
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, tls.clone(), Arc::clone(&handler)));
                }
                Err(error) => {
                    warn!("no connection could be accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn connection<H: Handler>(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Arc<H>) {
    // A socket that is gone already is found out by the first read.
    let _best_effort = stream.set_nodelay(true);
    match tls {
        None => {
            if let Some(stream) = drive(stream, handler).await {
                let _best_effort = stream.set_zero_linger();
            }
        }
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => {
                if let Some(stream) = drive(stream, handler).await {
                    let _best_effort = stream.get_ref().0.set_zero_linger();
                }
            }
            Err(error) => debug!("TLS handshake failed: {error}"),
        },
    }
}

/// Serves a connection to its end, or gives it back to be reset.
async fn drive<H, S>(stream: S, handler: Arc<H>) -> Option<S>
where
    H: Handler,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let reset = CancellationToken::new();
    let service = service_fn(|request: Request<Incoming>| {
        let (handler, reset) = (Arc::clone(&handler), reset.clone());
        async move {
            match handler.answer(read(request).await).await {
                Answer::Respond(response) => Ok::<_, Infallible>(response),
                Answer::Reset => {
                    reset.cancel();
                    pending().await
                }
                Answer::Stall => pending().await,
            }
        }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        end = &mut connection => {
            if let Err(error) = end {
                debug!("connection ended: {error}");
            }
            None
        }
        () = reset.cancelled() => Some(connection.into_parts().io.into_inner()),
    }
}

async fn read(request: Request<Incoming>) -> HttpRequest {
    let (parts, body) = request.into_parts();
    let header = |name| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (host, authorization) = (header(HOST), header(AUTHORIZATION));
    let body = Limited::new(body, BODY_MAX)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    HttpRequest {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        host,
        authorization,
        body,
    }
}
