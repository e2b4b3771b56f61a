//! Lets the adapters of a node trust what is in the trust store.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::alarm::route::{Route, RouteFailure, RouteMessage};
use nuncio_core::ports::routes::RouteSender;
use nuncio_core::ports::token::{Token, TokenError, TokenRequest, TokenSource};
use nuncio_core::ports::trust::Authorities;
use nuncio_core::secret::AccessToken;
use nuncio_core::settings::document::SavedDocument;
use nuncio_core::settings::trust_store::{CertificateDraft, TrustUse};
use nuncio_pan::trust_store::document;
use tokio::sync::watch;
use tracing::error;

/// The trust store as this node knows it now.
pub(crate) struct StoredAuthorities {
    document: watch::Receiver<Option<Arc<SavedDocument>>>,
    /// The certificates of a generation, so that not every connection reads the document.
    read: Mutex<(i64, Arc<[CertificateDraft]>)>,
}

/// A source of tokens whose endpoint may be one that the trust store vouches for.
///
/// The certificates become part of the request, so that a change ends the pause after a refused handshake.
pub(crate) struct TrustingTokens<T> {
    pub(crate) inner: T,
    pub(crate) authorities: Arc<dyn Authorities>,
}

/// Routes of alarms to receivers for which the trust store may vouch.
pub(crate) struct TrustingRoutes<T> {
    pub(crate) inner: T,
    pub(crate) authorities: Arc<dyn Authorities>,
}

impl StoredAuthorities {
    pub(crate) fn new(document: watch::Receiver<Option<Arc<SavedDocument>>>) -> Self {
        Self { document, read: Mutex::new((0, Arc::new([]))) }
    }

    fn certificates(&self) -> Arc<[CertificateDraft]> {
        let Some(saved) = self.document.borrow().clone() else { return Arc::new([]) };
        // Nothing that holds this lock can leave its value half changed.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != saved.generation {
            let decoded = document::decode(&saved.content).unwrap_or_else(|problem| {
                error!("{problem}; nothing of it is trusted");
                Vec::new()
            });
            *read = (saved.generation, decoded.into());
        }
        Arc::clone(&read.1)
    }
}

impl Authorities for StoredAuthorities {
    fn beside(&self, own: &str, usage: TrustUse) -> String {
        let mut pem = own.to_owned();
        for one in self.certificates().iter().filter(|one| one.trusted_for.contains(&usage)) {
            if !pem.is_empty() && !pem.ends_with('\n') {
                pem.push('\n');
            }
            pem.push_str(&one.pem);
        }
        pem
    }
}

impl<T> TrustingTokens<T> {
    fn authorities(&self, request: TokenRequest<'_>) -> String {
        self.authorities.beside(request.ca_certificates_pem, TrustUse::TokenEndpoint)
    }
}

#[async_trait]
impl<T: TokenSource> TokenSource for TrustingTokens<T> {
    async fn token(&self, request: TokenRequest<'_>) -> Result<Token, TokenError> {
        let ca_certificates_pem = &self.authorities(request);
        self.inner.token(TokenRequest { ca_certificates_pem, ..request }).await
    }

    async fn invalidate(&self, request: TokenRequest<'_>, refused: &AccessToken) {
        let ca_certificates_pem = &self.authorities(request);
        self.inner.invalidate(TokenRequest { ca_certificates_pem, ..request }, refused).await;
    }

    async fn fetch(&self, request: TokenRequest<'_>) -> Result<Token, TokenError> {
        let ca_certificates_pem = &self.authorities(request);
        self.inner.fetch(TokenRequest { ca_certificates_pem, ..request }).await
    }

    async fn cached_until(&self, request: TokenRequest<'_>) -> Option<Timestamp> {
        let ca_certificates_pem = &self.authorities(request);
        self.inner.cached_until(TokenRequest { ca_certificates_pem, ..request }).await
    }
}

#[async_trait]
impl<T: RouteSender> RouteSender for TrustingRoutes<T> {
    async fn send(&self, route: &Route, message: &RouteMessage) -> Result<String, RouteFailure> {
        let own = &route.ca_certificates_pem;
        let ca_certificates_pem = self.authorities.beside(own, TrustUse::AlarmRoutes);
        self.inner.send(&Route { ca_certificates_pem, ..route.clone() }, message).await
    }
}
