//! Whom a client trusts.

use std::sync::Arc;

use nuncio_core::settings::trust_store::CERTIFICATES_MAX;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use crate::chain::{self, RefusedChain};
use crate::identity::{Identity, provider};
use crate::server::ALPN_HTTP2;

/// The most certificate authorities that an operator may add: as many of settings as the trust store holds.
pub const OWN_AUTHORITIES_MAX: usize = 2 * CERTIFICATES_MAX;

/// The certificate authorities of the system and those that the operator added.
///
/// Making one reads the system's store from disk: keep it for as long as the settings stay the same.
/// All connections of one `Trust` share their TLS sessions, so a second handshake with a server is short.
#[derive(Clone, Debug)]
pub struct Trust {
    config: Arc<ClientConfig>,
}

/// Why there is no trust to be had.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("no PEM certificate in the text; it begins with `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    #[error("certificate {number} is not readable PEM")]
    NotPem { number: usize, source: rustls::pki_types::pem::Error },
    #[error("certificate {number} is not an X.509 certificate")]
    NotACertificate { number: usize, source: Error },
    #[error("the text holds a private key; only certificates belong here")]
    PrivateKey,
    #[error("more than {OWN_AUTHORITIES_MAX} certificates")]
    TooMany,
    #[error("neither the system nor the settings name a certificate authority")]
    NoAuthority(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Trust {
    /// Trusts the system's authorities and those in `ca_certificates_pem`, which may be empty.
    pub fn from_pem(ca_certificates_pem: &str) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        // A single bad file in the system's store is the system's matter; a store without any
        // authority shows below.
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        add_own(&mut roots, ca_certificates_pem)?;
        Self::of(roots)
    }

    /// Trusts the authorities in `ca_certificates_pem` and no others: those of a closed group.
    pub fn only_pem(ca_certificates_pem: &str) -> Result<Self, TrustError> {
        Self::of(authorities_only(ca_certificates_pem)?)
    }

    /// The settings of a client: TLS 1.2 or 1.3, no client certificate, no ALPN.
    ///
    /// When a chain is refused, the error holds it; see [`diagnose`](crate::diagnosis::diagnose).
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The settings of a client of HTTP/2 that may show who it is.
    pub fn http2_client(&self, identity: Option<&Identity>) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
        if let Some(identity) = identity {
            config.client_auth_cert_resolver = identity.resolver();
            // A session belongs to whoever began it.
            config.resumption = Resumption::default();
        }
        Arc::new(config)
    }

    fn of(roots: RootCertStore) -> Result<Self, TrustError> {
        let provider = provider();
        let roots = Arc::new(roots);
        let verifier = ChainKeeper::new(roots, Arc::clone(&provider))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers for TLS 1.2 and 1.3")
            .dangerous() // It verifies as rustls would; it only keeps what it refuses.
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config) })
    }
}

/// The authorities in a text that must have at least one.
pub(crate) fn authorities_only(ca_certificates_pem: &str) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    add_own(&mut roots, ca_certificates_pem)?;
    if roots.is_empty() { Err(TrustError::NoCertificate) } else { Ok(roots) }
}

fn add_own(roots: &mut RootCertStore, ca_certificates_pem: &str) -> Result<(), TrustError> {
    for (number, certificate) in (1..).zip(own_authorities(ca_certificates_pem)?) {
        let added = roots.add(certificate);
        added.map_err(|source| TrustError::NotACertificate { number, source })?;
    }
    Ok(())
}

fn own_authorities(pem: &str) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(TrustError::PrivateKey);
    }
    let mut certificates = Vec::new();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem.as_bytes())) {
        if OWN_AUTHORITIES_MAX < number {
            return Err(TrustError::TooMany);
        }
        certificates.push(certificate.map_err(|source| TrustError::NotPem { number, source })?);
    }
    if certificates.is_empty() && !pem.trim().is_empty() {
        return Err(TrustError::NoCertificate);
    }
    Ok(certificates)
}

/// Verifies as rustls does, and puts a refused chain into the error.
///
/// The chain travels in the error and not beside it, because rustls resumes a session only under the
/// very verifier that began it: a verifier for each connection would make every handshake a full one.
#[derive(Debug)]
struct ChainKeeper {
    inner: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
}

impl ChainKeeper {
    fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Result<Self, TrustError> {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider)
            .build()
            .map_err(|error| TrustError::NoAuthority(Box::new(error)))?;
        Ok(Self { inner, roots })
    }

    fn refuse(&self, problem: CertificateError, chain: Vec<CertificateDer<'static>>) -> Error {
        let same_name_trusted = chain::missing_issuer(&chain).is_some_and(|issuer| {
            self.roots.roots.iter().any(|root| chain::is_name(&issuer.der, &root.subject))
        });
        let refused = RefusedChain { problem, chain, same_name_trusted };
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
    }
}

impl ServerCertVerifier for ChainKeeper {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        verified.map_err(|error| {
            let Error::InvalidCertificate(problem) = error else { return error };
            let chain = std::iter::once(end_entity).chain(intermediates);
            let chain = chain.take(chain::PRESENTED_MAX).map(|c| c.clone().into_owned()).collect();
            self.refuse(problem, chain)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
