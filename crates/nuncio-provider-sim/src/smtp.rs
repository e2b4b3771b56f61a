//! The submission server: listeners, and what stands between an accepted connection and the SMTP dialogue.

pub(crate) mod limits;
pub(crate) mod recipients;

mod auth;
mod command;
mod message;
mod session;
mod transaction;
mod wire;

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::http::ACCEPT_PAUSE;
use crate::smtp::session::Session;
use crate::world::World;

/// Connections open at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 4096;

/// When TLS begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TlsStart {
    /// With the command STARTTLS, as on port 587.
    OnCommand,
    /// With the first byte, as on port 465.
    AtOnce,
}

/// Serves until `stop` is cancelled; then all connections end at once.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    start: TlsStart,
    world: Arc<World>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok(_) if CONNECTIONS_MAX <= connections.len() => {}
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, tls.clone(), start, Arc::clone(&world)));
                }
                Err(error) => {
                    warn!("no connection could be accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, start: TlsStart, world: Arc<World>) {
    // A socket that is gone already is found out by the first read.
    let _best_effort = stream.set_nodelay(true);
    let counted = Counted::new(world);
    let ended =
        Session::new(stream, tls, Arc::clone(&counted.world), counted.number).run(start).await;
    debug!(connection = counted.number, "connection ended: {ended:?}");
}

/// A connection in the statistics, from its beginning until it is dropped.
struct Counted {
    world: Arc<World>,
    number: u64,
}

impl Counted {
    fn new(world: Arc<World>) -> Self {
        let number = world.ledger.connected();
        Self { world, number }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.world.ledger.disconnected();
    }
}
