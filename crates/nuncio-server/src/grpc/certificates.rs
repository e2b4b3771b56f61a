//! The files of TLS: read at the start, and looked at again while the node runs.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nuncio_api::client::Credentials;
use nuncio_api::client::tls::{ClientPem, ClientTls, ClientTlsError};
use nuncio_api::client::token::ApiToken;
use nuncio_core::caller::certificate_name::{CertificateName, TrustDomain};
use nuncio_core::ports::clock::Clock;
use nuncio_runtime::chain::Chain;
use nuncio_tls::chain::uris;
use nuncio_tls::identity::{Identity, IdentityError};
use nuncio_tls::server::http2_server;
use nuncio_tls::trust::TrustError;
use rustls::ServerConfig;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::GrpcTls;

/// How often the files are looked at. They are compared by content, as a mounted secret keeps its times.
const LOOK_PERIOD: Duration = Duration::from_secs(10);
/// The largest file that is read, in bytes; a chain of ten certificates has some 20 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A certificate that ends so soon is told of, in hours: two weeks, time enough for whoever renews by hand.
const WARN_HOURS: i64 = 14 * 24;
/// How often it is told of.
const WARN_PERIOD_HOURS: i64 = 24;

/// What new connections are made with.
pub(crate) struct Tls {
    pub(crate) server: Arc<ServerConfig>,
    /// That of the node's own certificate; none if its name is not one of nuncio's.
    pub(crate) trust_domain: Option<TrustDomain>,
    /// The last moment of the certificate.
    pub(crate) not_after: Timestamp,
}

/// How a node proves who it is when it calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    /// Itself.
    pub(crate) own: Credentials,
    /// Other nodes.
    pub(crate) peers: Credentials,
}

/// Keeps [`Tls`] as the files are.
pub(crate) struct Certificates {
    files: GrpcTls,
    clock: Arc<dyn Clock>,
    /// What was there at the last look, good or not.
    seen: Result<Contents, String>,
    warned_at: Option<Timestamp>,
    current: watch::Sender<Arc<Tls>>,
    own: ClientTls,
    peers: ClientTls,
}

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("`{path}` (`{key}`) cannot be read; check path and rights")]
    Unreadable { key: &'static str, path: String, source: io::Error },
    #[error("`{path}` (`{key}`) is larger than {FILE_BYTES_MAX} bytes; name a file in PEM")]
    TooLarge { key: &'static str, path: String },
    #[error("the certificate of gRPC cannot be used (`grpc.tls.cert_file`, `grpc.tls.key_file`)")]
    Identity(#[from] IdentityError),
    #[error("the certificate authorities of clients cannot be used (`grpc.tls.client_ca_file`)")]
    ClientCa(#[from] TrustError),
    #[error("other nodes cannot be called by TLS")]
    Peers(#[from] ClientTlsError),
}

/// The files as they were read. The key is among them: it has no `Debug`.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Certificates {
    /// Reads the files, and refuses what no client would accept.
    pub(crate) async fn open(
        files: GrpcTls,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CertificateError> {
        let contents = read(&files).await?;
        let Made { tls, own, peers } = make(&contents, clock.now())?;
        let current = watch::Sender::new(Arc::new(tls));
        Ok(Self { files, clock, seen: Ok(contents), warned_at: None, current, own, peers })
    }

    /// How this node calls, as it is from now on: to others it shows its certificate, and it trusts those of the same
    /// authorities. Itself it shows a token, as its certificate need not be one for clients.
    pub(crate) fn calls(&self, own_token: &str) -> Calls {
        let token = ApiToken::new(own_token).ok();
        Calls {
            own: Credentials { tls: Some(self.own.clone()), token },
            peers: Credentials { tls: Some(self.peers.clone()), token: None },
        }
    }

    /// What to make new connections with, as it is from now on.
    pub(crate) fn current(&self) -> watch::Receiver<Arc<Tls>> {
        self.current.subscribe()
    }

    /// Looks at the files until `stop` is cancelled. What cannot be used changes nothing, and is told once.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), io::Error> {
        loop {
            self.warn_of_end();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(LOOK_PERIOD) => {}
            }
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let read = read(&self.files).await;
        match read {
            Err(error) => {
                let told = Chain(&error).to_string();
                if self.seen.as_ref().err() != Some(&told) {
                    error!("the certificate of gRPC stays as it is: {told}");
                    self.seen = Err(told);
                }
            }
            Ok(contents) if self.seen.as_ref().ok() == Some(&contents) => {}
            Ok(contents) => {
                match make(&contents, self.clock.now()) {
                    Ok(Made { tls, own, peers }) => {
                        let until = tls.not_after;
                        info!(
                            "new connections of gRPC use a certificate that is valid until {until}"
                        );
                        self.warned_at = None;
                        self.current.send_replace(Arc::new(tls));
                        self.own.replace(&own);
                        self.peers.replace(&peers);
                    }
                    Err(error) => {
                        error!("the certificate of gRPC stays as it is: {}", Chain(&error));
                    }
                }
                self.seen = Ok(contents);
            }
        }
    }

    fn warn_of_end(&mut self) {
        let (now, not_after) = (self.clock.now(), self.current.borrow().not_after);
        let hours = |from: Timestamp, to: Timestamp| to.duration_since(from).as_hours();
        let is_told = |at: Timestamp| hours(at, now) < WARN_PERIOD_HOURS;
        if WARN_HOURS < hours(now, not_after) || self.warned_at.is_some_and(is_told) {
            return;
        }
        self.warned_at = Some(now);
        if now.duration_since(not_after) < SignedDuration::ZERO {
            warn!(
                "the certificate of gRPC ends at {not_after}; renew it, it is read without a restart"
            );
        } else {
            error!("the certificate of gRPC ended at {not_after}; clients refuse it, renew it");
        }
    }
}

/// What follows from the files.
struct Made {
    tls: Tls,
    own: ClientTls,
    peers: ClientTls,
}

fn make(contents: &Contents, now: Timestamp) -> Result<Made, CertificateError> {
    let pair = (contents.certificate.as_slice(), contents.key.as_slice());
    let identity = Identity::from_pem(pair.0, pair.1)?;
    identity.check_validity(now)?;
    identity.check_for_servers()?;
    let client_ca = contents.client_ca.as_deref().map(String::from_utf8_lossy);
    let authorities = client_ca.as_deref();
    let server = http2_server(&identity, authorities)?;
    let name = CertificateName::of(&uris(identity.certificate()), None).ok();
    let trust_domain = name.map(|name| name.trust_domain);
    // Without authorities of clients no node asks for a certificate.
    let shown = authorities.and(Some(pair));
    Ok(Made {
        tls: Tls { server, trust_domain, not_after: identity.facts().not_after },
        own: ClientTls::of_own_node(pair)?,
        peers: ClientTls::from_pem(ClientPem { authorities, identity: shown })?,
    })
}

async fn read(files: &GrpcTls) -> Result<Contents, CertificateError> {
    Ok(Contents {
        certificate: read_file("grpc.tls.cert_file", &files.cert).await?,
        key: read_file("grpc.tls.key_file", &files.key).await?,
        client_ca: match &files.client_ca {
            Some(path) => Some(read_file("grpc.tls.client_ca_file", path).await?),
            None => None,
        },
    })
}

async fn read_file(key: &'static str, path: &Path) -> Result<Vec<u8>, CertificateError> {
    let shown = || path.display().to_string();
    let read = async {
        let mut content = Vec::new();
        let file = File::open(path).await?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).await?;
        Ok(content)
    };
    let content: io::Result<_> = read.await;
    let content =
        content.map_err(|source| CertificateError::Unreadable { key, path: shown(), source })?;
    if FILE_BYTES_MAX < content.len() as u64 {
        return Err(CertificateError::TooLarge { key, path: shown() });
    }
    Ok(content)
}

#[cfg(test)]
mod tests;
