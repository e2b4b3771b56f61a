//! Who is at the other end of a connection.

use std::net::SocketAddr;

use nuncio_core::caller::certificate_name::{CertificateName, NoCertificateName, TrustDomain};
use nuncio_tls::chain::uris;
use tokio_rustls::rustls::ServerConnection;

/// The other end, as far as the connection tells.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) link: Link,
}

/// What a connection proves.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    /// Nothing. It is served only where whoever connects is trusted.
    Clear,
    /// Whose certificate was shown, if one was.
    Tls(Option<Result<CertificateName, NoCertificateName>>),
}

impl Link {
    /// Reads the certificate that was verified in the handshake. With `home` only names of this trust domain count.
    pub(super) fn of(connection: &ServerConnection, home: Option<&TrustDomain>) -> Self {
        let shown = connection.peer_certificates().and_then(|chain| chain.first());
        Self::Tls(shown.map(|certificate| CertificateName::of(&uris(certificate), home)))
    }
}
