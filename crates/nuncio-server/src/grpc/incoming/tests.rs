use std::pin::pin;

use futures::StreamExt as _;
use nuncio_tls::identity::Identity;
use nuncio_tls::server::http2_server;
use nuncio_tls::trust::Trust;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsConnector;

use super::*;
use crate::grpc::testing::Authority;

/// Longer than anything takes here, shorter than a handshake may take.
const PATIENCE: Duration = Duration::from_secs(8);

#[tokio::test]
async fn who_says_nothing_or_nonsense_keeps_nobody_out() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(2100);
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    let server = http2_server(&identity, Some(&authority.pem())).unwrap();
    let (_tell, tls) = watch::channel(Arc::new(Tls {
        server,
        trust_domain: None,
        not_after: identity.facts().not_after,
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut incoming = pin!(incoming(listener, Some(tls)));

    let _silent = TcpStream::connect(address).await.unwrap();
    let mut nonsense = TcpStream::connect(address).await.unwrap();
    nonsense.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let honest = async {
        let client = Trust::only_pem(&authority.pem()).unwrap().http2_client(None);
        let socket = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(client).connect("localhost".try_into().unwrap(), socket).await.unwrap()
    };
    let met = async { tokio::join!(incoming.next(), honest) };
    let (connection, client) = timeout(PATIENCE, met).await.expect("nobody is kept out");

    assert!(matches!(connection.unwrap().unwrap().peer.link, Link::Tls(None)));
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}
