//! Delivers a message by whatever route it is.

use std::sync::Arc;

use async_trait::async_trait;
use nuncio_core::alarm::route::{Route, RouteFailure, RouteMessage, RouteTarget};
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::routes::RouteSender;
use nuncio_http::exchange::Trusts;

use crate::{smtp, syslog, webhook};

/// Webhooks, syslog and mail over the network of the machine. Each message has a connection of its own: they are few, and
/// hours apart.
pub struct Sender {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) trusts: Trusts,
    /// The name of this node: syslog's HOSTNAME, and what it calls itself to mail servers.
    pub(crate) node: String,
}

impl Sender {
    pub fn new(clock: Arc<dyn Clock>, node: impl Into<String>) -> Self {
        Self { clock, trusts: Trusts::default(), node: node.into() }
    }
}

#[async_trait]
impl RouteSender for Sender {
    async fn send(&self, route: &Route, message: &RouteMessage) -> Result<String, RouteFailure> {
        match &route.target {
            RouteTarget::Webhook { url, secret } => {
                webhook::send(self, route, url, secret, message).await
            }
            RouteTarget::Syslog { host, port, transport } => {
                syslog::send(self, route, (host, *port), *transport, message).await
            }
            RouteTarget::Smtp(target) => smtp::send(self, route, target, message).await,
        }
    }
}

/// A failure that another try may heal.
pub(crate) fn failure(code: &str, message: impl Into<String>) -> RouteFailure {
    let (code, message) = (code.to_owned(), message.into());
    RouteFailure { code, message, retry_after: None, not_understood: false }
}
