//! How the SMTP server is reached, with the dead lines of its phases.

use std::net::SocketAddr;

use nuncio_core::settings::SmtpSettings;
use nuncio_core::settings::proxy::Proxy;
use nuncio_net::network::{self, Io, Network};
use nuncio_net::proxy::{self, Tunnel};
use tokio::time::Instant;

use crate::connection::within;
use crate::failure::{Failure, Problem};
use crate::phase::Phase;

/// A connection to the server: direct, or through the proxy where one is to be used.
pub async fn reach(
    network: &dyn Network,
    settings: &SmtpSettings,
    until: Instant,
) -> Result<Box<dyn Io>, Failure> {
    if let Some(proxy) = settings.smtp_proxy() {
        return Ok(tunnel(network, proxy, settings, until).await?.stream);
    }
    let addresses = resolve(network, settings, until).await?;
    Ok(connect(network, &addresses, until).await?.0)
}

/// The addresses of the server, in the order in which they are tried.
pub async fn resolve(
    network: &dyn Network,
    settings: &SmtpSettings,
    until: Instant,
) -> Result<Vec<SocketAddr>, Failure> {
    let looking_up = network::resolve(network, &settings.host, settings.port);
    within(Phase::Dns, Some(until), looking_up).await
}

/// Connects to the first address that answers. The last one gets all the time that is left.
pub async fn connect(
    network: &dyn Network,
    addresses: &[SocketAddr],
    until: Instant,
) -> Result<(Box<dyn Io>, SocketAddr), Failure> {
    within(Phase::Connect, Some(until), network::connect(network, addresses)).await
}

/// A way to the server through the proxy.
pub async fn tunnel(
    network: &dyn Network,
    proxy: &Proxy,
    settings: &SmtpSettings,
    until: Instant,
) -> Result<Tunnel, Failure> {
    let reached = proxy::reach(network, proxy, &settings.host, settings.port, until).await;
    reached.map_err(|error| Failure { phase: Phase::Proxy, problem: Problem::Proxy(error) })
}
