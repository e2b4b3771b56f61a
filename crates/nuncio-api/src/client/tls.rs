//! TLS of a client: whom it trusts, who it is, and what a failed handshake means.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use nuncio_tls::diagnosis::{self, Server, diagnose, tls_error};
use nuncio_tls::identity::{Identity, IdentityError};
use nuncio_tls::pinned::http2_client_of;
use nuncio_tls::trust::{Trust, TrustError};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, AlertDescription, ClientConfig};
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

/// How long the first bytes behind a handshake are waited for; without them the first call tells what is wrong, if anything.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(2);

/// The node does not take the client's certificate.
pub const CLIENT_CERTIFICATE_REFUSED: &str = "CLIENT_CERTIFICATE_REFUSED";

/// Whom a client trusts, and the certificate that it shows.
///
/// Clones belong together: what [`replace`](Self::replace) puts into one, all of them use for their next connection.
#[derive(Clone)]
pub struct ClientTls(Arc<RwLock<Arc<ClientConfig>>>);

/// The texts of a client's TLS, all in PEM.
#[derive(Clone, Copy, Default)]
pub struct ClientPem<'a> {
    /// The authorities that sign the certificates of nodes, and no others; none means those of the system.
    pub authorities: Option<&'a str>,
    /// The client's certificates, its own first, and its private key.
    pub identity: Option<(&'a [u8], &'a [u8])>,
}

/// Why there is no TLS to be had.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    #[error("the certificate authorities cannot be used")]
    Authorities(#[from] TrustError),
    #[error("the client certificate cannot be used")]
    Identity(#[from] IdentityError),
}

/// Why TLS with a node failed, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFailure {
    /// A stable name, such as `CERTIFICATE_EXPIRED`.
    pub code: String,
    pub cause: String,
    pub remedy: String,
}

impl ClientTls {
    pub fn from_pem(pem: ClientPem<'_>) -> Result<Self, ClientTlsError> {
        let trust = match pem.authorities {
            Some(authorities) => Trust::only_pem(authorities)?,
            None => Trust::from_pem("")?,
        };
        let identity = match pem.identity {
            Some((certificates, key)) => Some(Identity::from_pem(certificates, key)?),
            None => None,
        };
        Ok(Self(Arc::new(RwLock::new(trust.http2_client(identity.as_ref())))))
    }

    /// Trusts the node that has this certificate and its key, under whatever address, and shows none itself: for a node that
    /// calls itself.
    pub fn of_own_node((certificates, key): (&[u8], &[u8])) -> Result<Self, ClientTlsError> {
        let identity = Identity::from_pem(certificates, key)?;
        Ok(Self(Arc::new(RwLock::new(http2_client_of(&identity)))))
    }

    /// Has every clone make its next connection as `newer` would.
    pub fn replace(&self, newer: &Self) {
        let newer = newer.current();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = newer;
    }

    fn current(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.remedy)
    }
}

impl Error for TlsFailure {}

/// The failure of TLS inside another error.
pub fn tls_failure(error: &(dyn Error + 'static)) -> Option<TlsFailure> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref::<TlsFailure>() {
            return Some(failure.clone());
        }
        // The source of an `io::Error` is not what it wraps but the source of that.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(refused) = wrapped.and_then(|wrapped| refused_in(&wrapped.to_string())) {
            return Some(refused);
        }
        next = wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped));
    }
    None
}

/// What a node says of a client certificate that it does not take.
const REFUSED: &str = " refused the client certificate: ";

/// HTTP/2 passes on only the text of what happened below it.
fn refused_in(text: &str) -> Option<TlsFailure> {
    let (cause, remedy) = text.split_once("; ").filter(|(cause, _)| cause.contains(REFUSED))?;
    Some(TlsFailure {
        code: CLIENT_CERTIFICATE_REFUSED.to_owned(),
        cause: cause.to_owned(),
        remedy: remedy.to_owned(),
    })
}

/// Makes the connections to one node.
pub(super) struct Connector {
    tls: ClientTls,
    place: Place,
}

/// Where a node is.
#[derive(Clone, Debug)]
struct Place {
    host: String,
    port: u16,
}

/// A connection whose errors say what they mean.
pub(super) struct Stream {
    inner: TlsStream<TcpStream>,
    place: Place,
}

impl Connector {
    /// None if the address has no host that a certificate could be for.
    pub(super) fn new(address: &Uri, tls: ClientTls) -> Option<Self> {
        let host = address.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        ServerName::try_from(host.as_str()).ok()?;
        let port = address.port_u16().unwrap_or(443);
        Some(Self { tls, place: Place { host, port } })
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _address: Uri) -> Self::Future {
        let (config, place) = (self.tls.current(), self.place.clone());
        Box::pin(async move {
            let socket = TcpStream::connect((place.host.as_str(), place.port)).await?;
            socket.set_nodelay(true)?;
            let name = ServerName::try_from(place.host.clone())?;
            let connected = TlsConnector::from(config).connect(name, socket).await;
            let mut inner = connected.map_err(|error| place.failure(&error))?;
            // In TLS 1.3 a server judges the client's certificate when the handshake is over for the client. Its first bytes
            // tell: an alert, or the settings with which a server of HTTP/2 begins unasked (RFC 9113, section 3.4).
            if let Ok(Err(error)) = timeout(FIRST_BYTES_TIMEOUT, inner.fill_buf()).await {
                let refused = place.refused(&error);
                return Err(refused.map_or_else(|| error.into(), Into::into));
            }
            Ok(TokioIo::new(Stream { inner, place }))
        })
    }
}

impl Place {
    fn server(&self) -> Server<'_> {
        Server { role: "the node", host: &self.host, port: self.port }
    }

    /// What a failed handshake means for whoever calls a node.
    fn failure(&self, error: &(dyn Error + 'static)) -> TlsFailure {
        if let Some(refused) = self.refused(error) {
            return refused;
        }
        let told = diagnose(self.server(), error);
        let remedy = match told.code.as_str() {
            diagnosis::NO_VALID_CERTIFICATION_PATH => {
                "give the certificate of the authority that signs the nodes' certificates (`--server-ca-file`)"
            }
            diagnosis::TLS_FAILED => {
                "check host and port; if this node has no certificate, give `http://…`"
            }
            _ => &told.remedy,
        };
        TlsFailure { remedy: remedy.to_owned(), code: told.code, cause: told.cause }
    }

    /// The node's no to the client's certificate. With TLS 1.3 it comes after the handshake.
    #[expect(clippy::wildcard_enum_match_arm, reason = "an enum of rustls, which may grow")]
    fn refused(&self, error: &(dyn Error + 'static)) -> Option<TlsFailure> {
        let Some(rustls::Error::AlertReceived(alert)) = tls_error(error) else { return None };
        let (why, remedy) = match alert {
            AlertDescription::CertificateRequired => {
                ("there is none", "give one with its key (`--cert-file`, `--key-file`)")
            }
            AlertDescription::CertificateExpired => ("it has expired", "renew it"),
            // The latter, where an authority of the same name has another key.
            AlertDescription::UnknownCA | AlertDescription::DecryptError => (
                "its authority is not one of those in `grpc.tls.client_ca_file`",
                "give one that is signed by the authority of this installation",
            ),
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied => (
                "it is not one for clients",
                "give one that is signed by the authority of this installation and is for clients",
            ),
            _ => return None,
        };
        Some(TlsFailure {
            code: CLIENT_CERTIFICATE_REFUSED.to_owned(),
            cause: format!("{}{REFUSED}{why}", self.server()),
            remedy: remedy.to_owned(),
        })
    }

    fn explained(&self, error: io::Error) -> io::Error {
        match self.refused(&error) {
            Some(refused) => io::Error::new(error.kind(), refused),
            None => error,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { inner, place } = self.get_mut();
        let read = Pin::new(inner).poll_read(context, buffer);
        read.map_err(|error| place.explained(error))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
