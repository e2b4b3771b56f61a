//! `nuncio settings trust`

use std::sync::{Arc, Mutex};

use nuncio_api::v1::trust_store_service_server::{TrustStoreService, TrustStoreServiceServer};
use nuncio_api::v1::*;
use nuncio_cli::exit::Exit;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::nuncio;

/// A node that keeps a trust store, and takes everything.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<TrustStore>>);

#[tonic::async_trait]
impl TrustStoreService for Store {
    async fn get_trust_store(
        &self,
        _request: Request<GetTrustStoreRequest>,
    ) -> Result<Response<GetTrustStoreResponse>, Status> {
        let changes = vec![TrustStoreChange {
            caller: "local".to_owned(),
            change_time: Some(prost_types::Timestamp { seconds: 1_795_000_000, nanos: 0 }),
            summary: "added corp-root (CN=Corp Root)".to_owned(),
        }];
        let trust_store = Some(self.0.lock().unwrap().clone());
        Ok(Response::new(GetTrustStoreResponse { trust_store, changes }))
    }

    async fn update_trust_store(
        &self,
        request: Request<UpdateTrustStoreRequest>,
    ) -> Result<Response<UpdateTrustStoreResponse>, Status> {
        let UpdateTrustStoreRequest { trust_store, validate_only } = request.into_inner();
        let trust_store = trust_store.unwrap();
        if !validate_only {
            *self.0.lock().unwrap() = trust_store.clone();
        }
        Ok(Response::new(UpdateTrustStoreResponse { trust_store: Some(trust_store) }))
    }
}

struct Node {
    address: String,
    store: Store,
    _server: JoinSet<()>,
}

async fn node(store: TrustStore) -> Node {
    let store = Store(Arc::new(Mutex::new(store)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let service = TrustStoreServiceServer::new(store.clone());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let serving = Server::builder().add_service(service);
        serving.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
    });
    Node { address, store, _server: server }
}

/// One certificate under an etag.
fn one() -> TrustStore {
    let certificate = TrustedCertificate {
        name: "corp-root".to_owned(),
        description: "the mail relays".to_owned(),
        certificate_pem: "PEM".to_owned(),
        trusted_for: vec![TrustUse::Smtp.into(), TrustUse::TokenEndpoint.into()],
        subject: "CN=Corp Root".to_owned(),
        not_after_time: Some(prost_types::Timestamp { seconds: 1_795_000_000, nanos: 0 }),
        days_left: 12,
        ..TrustedCertificate::default()
    };
    TrustStore { certificates: vec![certificate], etag: "g3".to_owned(), ..TrustStore::default() }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[tokio::test]
async fn a_list_shows_what_is_trusted_for_what_and_how_long() {
    let node = node(one()).await;

    let ran = nuncio(&node.address, &["settings", "trust", "list"]).await;

    assert_eq!(ran.exit, Exit::Ok);
    let expect = "\
NAME       SUBJECT       TRUSTED FOR           EXPIRES               LEFT  NOTE
corp-root  CN=Corp Root  smtp, token-endpoint  2026-11-18T11:06:40Z  12 d  the mail relays
";
    assert_eq!(ran.out, expect);
}

#[tokio::test]
async fn a_certificate_is_added_to_the_others_under_their_etag() {
    let node = node(one()).await;
    let pem = file("NEW PEM");
    let path = pem.path().to_str().unwrap();

    let args = ["settings", "trust", "add", "new-root", "--file", path, "--for", "alarm-routes"];
    let ran = nuncio(&node.address, &args).await;

    assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
    assert!(ran.out.ends_with("trusted from now on\n"), "{}", ran.out);
    let store = node.store.0.lock().unwrap().clone();
    assert_eq!(store.etag, "g3");
    let [_old, new] = store.certificates.as_slice() else { panic!("{store:?}") };
    assert_eq!((new.name.as_str(), new.certificate_pem.as_str()), ("new-root", "NEW PEM"));
    assert_eq!(new.trusted_for, [i32::from(TrustUse::AlarmRoutes)]);
}

#[tokio::test]
async fn a_name_that_is_taken_needs_a_word_to_be_replaced() {
    let node = node(one()).await;
    let pem = file("NEW PEM");
    let args = ["settings", "trust", "add", "corp-root", "--file", pem.path().to_str().unwrap()];

    let ran = nuncio(&node.address, &args).await;
    assert_eq!(ran.exit, Exit::Invalid);
    assert!(ran.err.contains("`--replace` that one"), "{}", ran.err);
    let ran = nuncio(&node.address, &[&args[..], &["--replace", "--dry-run"]].concat()).await;
    assert!(ran.out.ends_with("nothing was saved\n"), "{}", ran.out);
    assert_eq!(node.store.0.lock().unwrap().certificates[0].certificate_pem, "PEM");
    nuncio(&node.address, &[&args[..], &["--replace"]].concat()).await;

    let store = node.store.0.lock().unwrap().clone();
    let [new] = store.certificates.as_slice() else { panic!("{store:?}") };
    assert_eq!(new.certificate_pem, "NEW PEM");
    let all = [TrustUse::Smtp, TrustUse::TokenEndpoint, TrustUse::AlarmRoutes];
    assert_eq!(new.trusted_for, all.map(i32::from));
}

#[tokio::test]
async fn a_certificate_is_removed_and_an_unknown_name_is_told() {
    let node = node(one()).await;

    let unknown = nuncio(&node.address, &["settings", "trust", "remove", "other"]).await;
    let removed = nuncio(&node.address, &["settings", "trust", "remove", "corp-root"]).await;

    assert_eq!(unknown.exit, Exit::Invalid);
    assert!(unknown.err.contains("no certificate `other`"), "{}", unknown.err);
    assert_eq!(removed.out, "removed corp-root; new connections trust it no longer\n");
    assert!(node.store.0.lock().unwrap().certificates.is_empty());
}

#[tokio::test]
async fn the_history_tells_who_changed_what() {
    let node = node(one()).await;

    let ran = nuncio(&node.address, &["settings", "trust", "history"]).await;

    let expect = "\
TIME                  BY     CHANGE
2026-11-18T11:06:40Z  local  added corp-root (CN=Corp Root)
";
    assert_eq!(ran.out, expect);
}
