//! What the cache needs of a token endpoint.

use std::time::Duration;

use async_trait::async_trait;
use nuncio_core::job::Reason;
use nuncio_core::ports::token::{TokenError, TokenRequest};
use nuncio_core::secret::AccessToken;
use nuncio_core::settings::OauthClient;
use nuncio_core::settings::proxy::Proxy;

/// Asks a token endpoint.
#[async_trait]
pub trait TokenEndpoint: Send + Sync {
    /// Makes one request. It ends within `wanted.timeout`.
    async fn request(&self, wanted: &WantedToken) -> Result<Granted, TokenError>;
}

/// A [`TokenRequest`] that can outlive its caller.
#[derive(Clone, Debug)]
pub struct WantedToken {
    pub client: OauthClient,
    pub ca_certificates_pem: String,
    /// Between this node and the token endpoint, unless that is reached past it.
    pub proxy: Option<Proxy>,
    pub timeout: Duration,
}

impl From<TokenRequest<'_>> for WantedToken {
    fn from(request: TokenRequest<'_>) -> Self {
        Self {
            client: request.client.clone(),
            ca_certificates_pem: request.ca_certificates_pem.to_owned(),
            proxy: request.proxy.cloned(),
            timeout: request.timeout,
        }
    }
}

/// A token as the endpoint gave it.
#[derive(Clone, Debug)]
pub struct Granted {
    pub access_token: AccessToken,
    /// How long it lives from the moment of the request.
    pub life: Duration,
    /// Why the client secret was not taken, if the next one was used in its place.
    pub passed_over: Option<Reason>,
}
