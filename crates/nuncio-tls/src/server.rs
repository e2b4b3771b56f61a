//! TLS as a server.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};

use crate::identity::{Identity, provider};
use crate::trust::{TrustError, authorities_only};

/// The one protocol inside (RFC 9113, section 3.2).
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";

/// The settings of a server that speaks HTTP/2 over TLS 1.2 or 1.3.
///
/// With `client_ca_pem` clients may show a certificate, which must be of one of these authorities. Who shows none is let in
/// too, as calls may prove by other means who makes them: whether that is enough is decided for each call.
pub fn http2_server(
    identity: &Identity,
    client_ca_pem: Option<&str>,
) -> Result<Arc<ServerConfig>, TrustError> {
    let verifier = match client_ca_pem {
        None => Arc::new(NoClientAuth) as _,
        Some(pem) => {
            let roots = Arc::new(authorities_only(pem)?);
            WebPkiClientVerifier::builder_with_provider(roots, provider())
                .allow_unauthenticated()
                .build()
                .map_err(|error| TrustError::NoAuthority(Box::new(error)))?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has ciphers for TLS 1.2 and 1.3")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(identity.resolver());
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    Ok(Arc::new(config))
}
