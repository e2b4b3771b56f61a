//! An address that stays while the server behind it dies and comes back elsewhere.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Passes connections on to wherever the server is. It ends when it is dropped.
#[derive(Debug)]
pub struct Relay {
    pub address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    passing: Arc<Mutex<JoinSet<()>>>,
    _running: JoinSet<()>,
}

impl Relay {
    /// Nobody is behind it yet.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let target: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let passing: Arc<Mutex<JoinSet<()>>> = Arc::default();
        let (mut running, known, connections) =
            (JoinSet::new(), Arc::clone(&target), Arc::clone(&passing));
        running.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let to = *known.lock().expect("no holder of this lock panics");
                // With nobody behind it the connection ends at once.
                let Some(to) = to else { continue };
                let mut connections = connections.lock().expect("no holder of this lock panics");
                connections.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(to).await {
                        drop(copy_bidirectional(&mut client, &mut server).await);
                    }
                });
            }
        });
        Self { address, target, passing, _running: running }
    }

    /// From now on new connections go there, or nowhere.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        *self.target.lock().expect("no holder of this lock panics") = target;
    }

    /// Cuts all connections, and lets nobody through until it leads somewhere again.
    pub fn cut(&self) {
        self.lead_to(None);
        self.passing.lock().expect("no holder of this lock panics").abort_all();
    }
}
