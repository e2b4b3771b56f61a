//! The way through a proxy.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nuncio_core::settings::proxy::{Proxy, ProxyKind};
use tokio::time::{Instant, timeout_at};

use crate::network::{Io, Network, connect, resolve};

pub mod diagnosis;
mod http;
mod socks;

/// A connection through a proxy.
pub struct Tunnel {
    /// From here on it is the server that speaks.
    pub stream: Box<dyn Io>,
    /// Of the proxy.
    pub proxy_address: SocketAddr,
}

/// Why there is no way through the proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("the proxy's name could not be found")]
    NotFound(#[source] io::Error),
    #[error("the proxy could not be connected to")]
    Unreachable(#[source] io::Error),
    #[error("the proxy gave no answer within {:.0} s while {doing}", waited.as_secs_f64())]
    TimedOut { doing: Doing, waited: Duration },
    #[error("the connection to the proxy broke")]
    Broken(#[source] io::Error),
    /// It wants to know who asks, and was not told.
    #[error("the proxy wants a user name and a password: {answer}")]
    CredentialsWanted { answer: String },
    #[error("the proxy refused user name and password: {answer}")]
    CredentialsRefused { answer: String },
    /// By a rule of its own.
    #[error("the proxy refused: {answer}")]
    Refused { answer: String },
    /// It tried in vain to reach the server.
    #[error("the proxy could not reach the server: {answer}")]
    InVain { answer: String },
    #[error("the answer is not that of such a proxy: {answer}")]
    NotAProxy { answer: String },
}

/// What is done with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    LookingUp,
    Connecting,
    Asking,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LookingUp => "its name was looked up",
            Self::Connecting => "nuncio connected to it",
            Self::Asking => "it was asked for the server",
        })
    }
}

/// Reaches a server through the proxy, which looks up the server's name by itself. It ends by `until`.
pub async fn reach(
    network: &dyn Network,
    proxy: &Proxy,
    host: &str,
    port: u16,
    until: Instant,
) -> Result<Tunnel, ProxyError> {
    let at = &proxy.address;
    let addresses = within(Doing::LookingUp, until, resolve(network, &at.host, at.port)).await?;
    let addresses = addresses.map_err(ProxyError::NotFound)?;
    let connected = within(Doing::Connecting, until, connect(network, &addresses)).await?;
    let (stream, proxy_address) = connected.map_err(ProxyError::Unreachable)?;
    let credentials = proxy.credentials.as_ref();
    let stream = match at.kind {
        ProxyKind::Http => {
            within(Doing::Asking, until, http::ask(stream, credentials, host, port)).await??
        }
        ProxyKind::Socks5 => {
            within(Doing::Asking, until, socks::ask(stream, credentials, host, port)).await??
        }
    };
    Ok(Tunnel { stream, proxy_address })
}

async fn within<T>(
    doing: Doing,
    until: Instant,
    work: impl Future<Output = T>,
) -> Result<T, ProxyError> {
    let started = Instant::now();
    timeout_at(until, work).await.map_err(|_elapsed| {
        let waited = until.saturating_duration_since(started);
        ProxyError::TimedOut { doing, waited }
    })
}

#[cfg(test)]
mod tests;
