//! The name service and the sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// The most addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;
/// So long an address may take until the next one is tried beside it (RFC 8305, section 8).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// How long a connected machine may acknowledge nothing (`TCP_USER_TIMEOUT`, `man 7 tcp`; RFC 5482): longer than what a
/// change of routes takes, and shorter than RFC 5321, section 4.5.3.2, lets a server be silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// While it is waited for an answer, empty segments ask whether the machine is still there (RFC 9293, section 3.8.4).
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBE_EVERY: Duration = Duration::from_secs(5);

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
        notice_silence(&stream)?;
        Ok(Box::new(stream))
    }
}

/// A server may think for minutes, but its machine acknowledges what it is sent. If nothing of that comes back, the way is
/// cut, and the connection ends.
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(SILENCE_MAX))
}

/// The addresses of the host, at least one, in the order in which they are tried: both families by turns.
pub async fn resolve(network: &dyn Network, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = by_turns(network.resolve(host, port).await?);
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// Connects to the address that answers first. Each is tried when the one before it has failed, or has not
/// answered for a moment (RFC 8305, section 5); it has no dead line but the caller's.
pub async fn connect(
    network: &dyn Network,
    addresses: &[SocketAddr],
) -> io::Result<(Box<dyn Io>, SocketAddr)> {
    let attempt = |address: SocketAddr| async move { (network.connect(address).await, address) };
    let mut waiting = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    attempts.extend(waiting.next().map(attempt));
    loop {
        let ended = if waiting.len() == 0 {
            attempts.next().await
        } else {
            match timeout(NEXT_ADDRESS_AFTER, attempts.next()).await {
                Ok(ended) => ended,
                Err(_elapsed) => {
                    attempts.extend(waiting.next().map(attempt));
                    continue;
                }
            }
        };
        match ended.expect("one is under way") {
            (Ok(stream), address) => return Ok((stream, address)),
            (Err(error), _) if waiting.len() == 0 && attempts.is_empty() => return Err(error),
            (Err(_), _) => attempts.extend(waiting.next().map(attempt)),
        }
    }
}

/// In the order of the name service, but IPv4 and IPv6 by turns (RFC 8305, section 4): where one of them leads
/// nowhere, the other is near.
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_ipv4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_ipv4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut sorted = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return sorted;
        }
        sorted.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests;
