use std::time::Duration;

use nuncio_tls::server::http2_server;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::client::{Clients, ConnectError, Credentials, connect};
use crate::v1::ListNodesRequest;

/// Long enough for a machine under load.
const DEADLINE: Duration = Duration::from_secs(10);

struct Authority(CertifiedIssuer<'static, KeyPair>);

struct Pair(String, String);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Test CA");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, host: &str, end_year: i32) -> Pair {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.not_after = date_time_ymd(end_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        Pair(params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

impl Pair {
    fn bytes(&self) -> (&[u8], &[u8]) {
        (self.0.as_bytes(), self.1.as_bytes())
    }
}

/// Connects with `client` to a server that has `server` and asks for certificates of `authority`, and calls it.
async fn call(authority: &Authority, server: &Pair, client: ClientTls) -> Result<(), TlsFailure> {
    let identity = Identity::from_pem(server.0.as_bytes(), server.1.as_bytes()).unwrap();
    let config = http2_server(&identity, Some(&authority.0.pem())).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let serve = async {
        let (socket, _) = listener.accept().await.unwrap();
        let shaken = TlsAcceptor::from(config).accept(socket).await;
        // Dropped at once: a call over it cannot succeed, but for another reason.
        drop(shaken);
        std::future::pending::<()>().await;
    };
    let credentials = Credentials { tls: Some(client), token: None };
    let called = async {
        let clients: Clients = match connect(&address, DEADLINE, &credentials).await {
            Ok(clients) => clients,
            Err(ConnectError::Refused { source, .. }) => return Err(source),
            Err(ConnectError::Unreachable { .. }) => return Ok(()),
            Err(other) => panic!("{other:?}"),
        };
        let status = clients.nodes.clone().list_nodes(ListNodesRequest {}).await.unwrap_err();
        tls_failure(&status).map_or(Ok(()), Err)
    };
    tokio::select! {
        called = called => called,
        () = serve => unreachable!("it is pending"),
    }
}

fn trusting(authority: &Authority, identity: Option<&Pair>) -> ClientTls {
    let authorities = Some(authority.0.pem());
    let identity = identity.map(Pair::bytes);
    ClientTls::from_pem(ClientPem { authorities: authorities.as_deref(), identity }).unwrap()
}

async fn check(ours: &Authority, server: &Pair, client: ClientTls, code: &str, told: &str) {
    let failure = call(ours, server, client).await.unwrap_err();
    assert_eq!(failure.code, code, "{failure}");
    assert!(failure.to_string().contains(told), "{failure}");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_told_with_what_to_do() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let good = ours.issue("localhost", 2100);

    let wrong_authority = trusting(&theirs, None);
    let code = "NO_VALID_CERTIFICATION_PATH";
    check(&ours, &good, wrong_authority, code, "give the certificate of the authority").await;
    let expired = ours.issue("localhost", 2020);
    check(&ours, &expired, trusting(&ours, None), "CERTIFICATE_EXPIRED", "expired at 2020").await;
    let other_name = ours.issue("node-2.example.com", 2100);
    let code = "CERTIFICATE_NAME_MISMATCH";
    let told = "valid for node-2.example.com, not for `localhost`";
    check(&ours, &other_name, trusting(&ours, None), code, told).await;
}

#[tokio::test]
async fn a_client_certificate_that_the_server_does_not_take_is_told_as_such() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = ours.issue("localhost", 2100);
    let told = "refused the client certificate: its authority is not one of those";
    let foreign = theirs.issue("portal-app", 2100);
    let client = trusting(&ours, Some(&foreign));
    check(&ours, &server, client, CLIENT_CERTIFICATE_REFUSED, told).await;
    let expired = ours.issue("portal-app", 2020);
    let client = trusting(&ours, Some(&expired));
    check(&ours, &server, client, CLIENT_CERTIFICATE_REFUSED, "it has expired; renew it").await;

    let own = ours.issue("portal-app", 2100);
    assert_eq!(call(&ours, &server, trusting(&ours, Some(&own))).await, Ok(()));
}

#[tokio::test]
async fn a_certificate_that_takes_the_place_of_another_counts_for_the_next_connection() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = ours.issue("localhost", 2100);
    let client = trusting(&theirs, None);
    let clone = client.clone();

    client.replace(&trusting(&ours, None));

    assert_eq!(call(&ours, &server, clone).await, Ok(()));
}

#[tokio::test]
async fn a_node_knows_itself_under_any_name_and_nobody_else() {
    let ours = Authority::new();
    let (own, other) = (ours.issue("node-1", 2100), ours.issue("node-1", 2100));
    let client = ClientTls::of_own_node(own.bytes()).unwrap();

    assert_eq!(call(&ours, &own, client.clone()).await, Ok(()));
    assert!(call(&ours, &other, client).await.is_err());
}

#[tokio::test]
async fn a_server_without_tls_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let plain = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        // As an HTTP/2 server begins: an empty SETTINGS frame.
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        tokio::io::AsyncWriteExt::write_all(&mut socket, &settings).await.unwrap();
        std::future::pending::<()>().await;
    };
    let tls = trusting(&Authority::new(), None);
    let credentials = Credentials { tls: Some(tls), token: None };
    let error = tokio::select! {
        connected = connect(&address, DEADLINE, &credentials) => connected.unwrap_err(),
        () = plain => unreachable!("it is pending"),
    };

    let ConnectError::Refused { source, .. } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("did not answer in TLS; check host and port"), "{source}");
}
