//! The name service and the sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// The most addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;
/// To wait for a connection to one address, if there are more to try.
const ONE_OF_MANY_ADDRESSES: Duration = Duration::from_secs(10);

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

/// The addresses of the host, at least one, in the order in which they are tried.
pub async fn resolve(network: &dyn Network, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = network.resolve(host, port).await?;
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// Connects to the first address that answers. The last one has no dead line but the caller's.
pub async fn connect(
    network: &dyn Network,
    addresses: &[SocketAddr],
) -> io::Result<(Box<dyn Io>, SocketAddr)> {
    let (last, others) = addresses.split_last().expect("`resolve` gives at least one");
    for address in others {
        if let Ok(Ok(stream)) = timeout(ONE_OF_MANY_ADDRESSES, network.connect(*address)).await {
            return Ok((stream, *address));
        }
    }
    Ok((network.connect(*last).await?, *last))
}
