//! How a server is reached.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::Instant;

use crate::connection::within;
use crate::failure::{Failure, Problem};
use crate::phase::{ONE_OF_MANY_ADDRESSES, Phase};

/// The most addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;

/// A stream of bytes to a server and back.
pub trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Io for T {}

/// The name service and the sockets; tests bring their own.
#[async_trait]
pub trait Network: Send + Sync {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Io>>;
}

/// The network of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Tcp;

#[async_trait]
impl Network for Tcp {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Io>> {
        let stream = TcpStream::connect(address).await?;
        // Else the last portion of a mail waits for the acknowledgement of the one before it.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// The addresses of the host, in the order in which they are tried.
pub async fn resolve(
    network: &dyn Network,
    host: &str,
    port: u16,
    until: Instant,
) -> Result<Vec<SocketAddr>, Failure> {
    let mut addresses = within(Phase::Dns, Some(until), network.resolve(host, port)).await?;
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() {
        let error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        return Err(Failure { phase: Phase::Dns, problem: Problem::Io(error) });
    }
    Ok(addresses)
}

/// Connects to the first address that answers. The last one gets all the time that is left.
pub async fn connect(
    network: &dyn Network,
    addresses: &[SocketAddr],
    until: Instant,
) -> Result<(Box<dyn Io>, SocketAddr), Failure> {
    let (last, others) = addresses.split_last().expect("`resolve` gives at least one");
    for address in others {
        let limit = until.min(Instant::now() + ONE_OF_MANY_ADDRESSES);
        if let Ok(stream) = within(Phase::Connect, Some(limit), network.connect(*address)).await {
            return Ok((stream, *address));
        }
    }
    let stream = within(Phase::Connect, Some(until), network.connect(*last)).await?;
    Ok((stream, *last))
}
