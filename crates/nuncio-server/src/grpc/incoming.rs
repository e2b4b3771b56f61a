//! The connections of the gRPC listener, in the clear or by TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, unfold};
use nuncio_runtime::chain::Chain;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use super::certificates::Tls;
use super::peer::{Link, Peer};

/// How long a handshake may take. A client behind a slow line needs some round trips and no more.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many handshakes are under way at once; who comes then waits in the queue of the system.
const HANDSHAKES_MAX: usize = 1024;
/// How long nobody is let in after the system had no room for a connection, as with too many open files.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(100);

/// A connection over which calls come.
pub(super) struct Connection {
    stream: Stream,
    peer: Peer,
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Lets clients in until it is dropped. With `tls` a connection comes out when its handshake is done; one that fails
/// concerns nobody else.
pub(super) fn incoming(
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<Tls>>>,
) -> impl stream::Stream<Item = io::Result<Connection>> {
    let door = Door { listener, tls, handshakes: JoinSet::new() };
    unfold(door, async |mut door| Some((Ok(door.next().await), door)))
}

struct Door {
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<Tls>>>,
    /// They end within [`HANDSHAKE_TIMEOUT`].
    handshakes: JoinSet<Option<Connection>>,
}

impl Door {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
                accepted = self.listener.accept(), if self.handshakes.len() < HANDSHAKES_MAX => {
                    match accepted {
                        Ok((socket, address)) => {
                            if let Some(clear) = self.greet(socket, address) {
                                return clear;
                            }
                        }
                        Err(error) => {
                            warn!("a client of gRPC could not be let in: {}", Chain(&error));
                            sleep(NO_ROOM_PAUSE).await;
                        }
                    }
                }
            }
        }
    }

    /// The connection, if there is nothing to wait for.
    fn greet(&mut self, socket: TcpStream, address: SocketAddr) -> Option<Connection> {
        // Without it an answer waits for the client's delayed acknowledgement, 40 ms. It fails where the client is gone.
        drop(socket.set_nodelay(true));
        let Some(tls) = &self.tls else {
            let peer = Peer { address, link: Link::Clear };
            return Some(Connection { stream: Stream::Clear(socket), peer });
        };
        let tls = Arc::clone(&tls.borrow());
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.server));
        self.handshakes.spawn(async move {
            match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket)).await {
                Ok(Ok(stream)) => {
                    let link = Link::of(stream.get_ref().1, tls.trust_domain.as_ref());
                    let stream = Stream::Tls(Box::new(stream));
                    Some(Connection { stream, peer: Peer { address, link } })
                }
                Ok(Err(error)) => {
                    // Scanners and probes come here too, so it is no warning.
                    debug!("the TLS handshake of {address} failed: {}", Chain(&error));
                    None
                }
                Err(_elapsed) => {
                    debug!("the TLS handshake of {address} took too long");
                    None
                }
            }
        });
        None
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Clear(socket) => Pin::new(socket).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Clear(socket) => Pin::new(socket).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Clear(socket) => Pin::new(socket).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Clear(socket) => Pin::new(socket).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Clear(socket) => Pin::new(socket).poll_write_vectored(context, buffers),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Clear(socket) => socket.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests;
