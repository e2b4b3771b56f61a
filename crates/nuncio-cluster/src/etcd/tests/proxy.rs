//! A network between a node and etcd that can be cut and stalled.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections end, and new ones are refused.
    Cut,
    /// Connections stay, and nothing passes.
    Stalled,
}

pub(super) struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    /// Ends with this value.
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Before `https://host:port`.
    pub(super) async fn start(endpoint: &str) -> Self {
        let target = endpoint.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = watch::Sender::new(Way::Open);
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, target, way.subscribe()));
        Self { address, way, _serving: serving }
    }

    /// The name is the one in etcd's certificate.
    pub(super) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(super) fn cut(&self) {
        self.way.send_replace(Way::Cut);
    }

    pub(super) fn stall(&self) {
        self.way.send_replace(Way::Stalled);
    }

    pub(super) fn mend(&self) {
        self.way.send_replace(Way::Open);
    }
}

async fn serve(listener: TcpListener, target: String, way: watch::Receiver<Way>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        if *way.borrow() != Way::Cut {
            connections.spawn(pass(near, target.clone(), way.clone()));
        }
    }
}

async fn pass(mut near: TcpStream, target: String, mut way: watch::Receiver<Way>) {
    let mut far = TcpStream::connect(target).await.unwrap();
    loop {
        let open = way.wait_for(|way| *way != Way::Stalled).await.map(|way| *way);
        let Ok(Way::Open) = open else { return };
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => return,
            _ = way.wait_for(|way| *way != Way::Open) => {}
        }
    }
}
