//! The way to the other nodes of a store.

use std::net::IpAddr;
use std::time::Duration;

use nuncio_api::client::{Clients, ConnectError, Credentials, connect_lazy};

/// How long connecting to a node may take, and then the begin of its answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// The one place that reaches other nodes.
#[derive(Clone)]
pub(crate) struct Peers {
    /// Whether what is said to them may leave this machine without encryption.
    pub(crate) is_insecure_allowed: bool,
    /// How this node proves itself to the others; none if they are called without TLS.
    pub(crate) credentials: Option<Credentials>,
}

/// Why a node could not be called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    #[error("it runs another version, which does not say where it is")]
    NoAddress,
    #[error(
        "secrets would go to {address} without encryption, which this node may not do (`grpc.insecure`)"
    )]
    NotProtected { address: String },
    #[error(transparent)]
    Address(#[from] ConnectError),
}

impl Peers {
    /// Connects with the first call. `address` is what the node says of itself: `host:port`.
    pub(crate) fn connect(&self, address: &str) -> Result<Clients, ReachError> {
        if address.is_empty() {
            return Err(ReachError::NoAddress);
        }
        if let Some(credentials) = &self.credentials {
            return Ok(connect_lazy(&format!("https://{address}"), DEADLINE, credentials)?);
        }
        if !self.is_insecure_allowed && !is_this_machine(address) {
            return Err(ReachError::NotProtected { address: address.to_owned() });
        }
        Ok(connect_lazy(&format!("http://{address}"), DEADLINE, &Credentials::default())?)
    }
}

fn is_this_machine(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _port)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_this_machine() {
        for own in ["127.0.0.1:7587", "[::1]:7587", "localhost:1"] {
            assert!(is_this_machine(own), "{own}");
        }
        for other in ["10.0.0.7:7587", "psn-2:7587", "[fd00::1]:7587", "localhost.example.com:1"] {
            assert!(!is_this_machine(other), "{other}");
        }
    }
}
