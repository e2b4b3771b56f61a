//! The connections of the gRPC listener, in the clear or by TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
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

/// How long a handshake may take. A client behind a slow line needs some round trips and no more.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many handshakes are under way at once; who comes then waits in the queue of the system.
const HANDSHAKES_MAX: usize = 1024;
/// How long nobody is let in after the system had no room for a connection, as with too many open files.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(100);

/// A connection over which calls come.
pub(super) enum Connection {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Lets clients in until it is dropped. With `tls` a connection comes out when its handshake is done; one that fails
/// concerns nobody else.
pub(super) fn incoming(
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<Tls>>>,
) -> impl Stream<Item = io::Result<Connection>> {
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
        let Some(tls) = &self.tls else { return Some(Connection::Clear(socket)) };
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow().server));
        self.handshakes.spawn(async move {
            match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket)).await {
                Ok(Ok(stream)) => Some(Connection::Tls(Box::new(stream))),
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
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(socket) => Pin::new(socket).poll_write_vectored(context, buffers),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Clear(socket) => socket.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests;
