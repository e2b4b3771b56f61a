//! The way to people past the mail.

use async_trait::async_trait;

use crate::alarm::route::{Route, RouteFailure, RouteMessage};

/// Delivers messages by the second route.
#[async_trait]
pub trait RouteSender: Send + Sync {
    /// Delivers one message, within the timeout of the route. Returns what the receiver said, for a log: never a
    /// secret.
    async fn send(&self, route: &Route, message: &RouteMessage) -> Result<String, RouteFailure>;
}
