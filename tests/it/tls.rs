//! gRPC by TLS: who is let in, who is not, and what is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nuncio_api::client::tls::{ClientPem, ClientTls};
use nuncio_api::client::token::ApiToken;
use nuncio_api::client::{Clients, ConnectError, Credentials, connect};
use nuncio_api::error::reason;
use nuncio_api::v1;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::http;
use nuncio_tests::process::{Ended, Process};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;
use tonic_types::StatusExt as _;

/// A folder with an authority, and what a node needs of it.
struct Installation {
    folder: TempDir,
}

/// A node that serves TLS.
struct TlsNode {
    process: Process,
    server: String,
    http: String,
}

impl Installation {
    async fn new() -> Self {
        let installation = Self { folder: TempDir::new().expect("the disk has room") };
        installation.certs(&["init"], &[]).await;
        installation.node("pki").await;
        installation
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `nuncio certs` on this authority.
    async fn certs(&self, command: &[&str], more: &[&str]) {
        let dir = self.path("pki").display().to_string();
        let args = [&["certs"], command, &["--dir", &dir], more].concat();
        let Ended { code, stderr, .. } = Process::run(&args, &[]).await;
        assert_eq!(code, Some(0), "{stderr}");
    }

    /// Issues the certificate of the node into a folder.
    async fn node(&self, out: &str) {
        let out = self.path(out).display().to_string();
        let node = ["node", "--name", "node-1", "--roles", "pan,psn", "--dns", "localhost"];
        self.certs(&["issue"], &[&["--out", &out][..], &node].concat()).await;
    }

    async fn client(&self, name: &str) -> Credentials {
        self.certs(&["issue"], &["client", "--name", name]).await;
        let read = |file: String| fs::read(self.path("pki").join(file)).expect("it was made");
        let (certificate, key) = (read(format!("{name}.pem")), read(format!("{name}.key")));
        self.credentials(Some((certificate.as_slice(), key.as_slice())), None)
    }

    fn credentials(&self, identity: Option<(&[u8], &[u8])>, token: Option<&str>) -> Credentials {
        let authorities = fs::read_to_string(self.path("pki/ca.pem")).expect("it was made");
        let pem = ClientPem { authorities: Some(&authorities), identity };
        let tls = ClientTls::from_pem(pem).expect("it is good");
        let token = token.map(|token| ApiToken::new(token).expect("it is one"));
        Credentials { tls: Some(tls), token }
    }

    fn serve(&self, certificates: &str) -> Process {
        self.serve_with(certificates, &[])
    }

    fn serve_with(&self, certificates: &str, options: &[&str]) -> Process {
        let file = |name: &str| self.path(certificates).join(name).display().to_string();
        let ca = self.path("pki/ca.pem").display().to_string();
        let (certificate, key) = (file("node-1.pem"), file("node-1.key"));
        let more = [
            ["--grpc-tls-cert-file", &certificate],
            ["--grpc-tls-key-file", &key],
            ["--grpc-tls-client-ca-file", &ca],
            ["--grpc-administrators", "admin"],
        ];
        Process::serve(&self.path("data"), &[&more.concat(), options].concat())
    }

    async fn start(&self) -> TlsNode {
        let mut process = self.serve("pki");
        let log = process.wait_for_stderr(" is ready: grpc at ").await;
        let (_, rest) = log.split_once(" is ready: grpc at 127.0.0.1:").expect("it is there");
        let (port, rest) = rest.split_once(", health and metrics at ").expect("it is there");
        let http = rest.split_whitespace().next().expect("it is there").to_owned();
        TlsNode { process, server: format!("https://localhost:{port}"), http }
    }
}

impl TlsNode {
    async fn connect(&self, credentials: &Credentials) -> Clients {
        let connected = connect(&self.server, PATIENCE, credentials).await;
        connected.unwrap_or_else(|error| panic!("{error:?}"))
    }

    async fn nodes(
        &self,
        credentials: &Credentials,
    ) -> Result<v1::ListNodesResponse, tonic::Status> {
        let mut nodes = self.connect(credentials).await.nodes;
        nodes.list_nodes(v1::ListNodesRequest {}).await.map(tonic::Response::into_inner)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_is_known_by_certificate_or_token_and_may_what_it_was_given() {
    let installation = Installation::new().await;
    let node = installation.start().await;
    let admin = installation.client("admin").await;
    assert_eq!(node.nodes(&admin).await.expect("it may").nodes.len(), 1);

    let mut callers = node.connect(&admin).await.callers;
    let caller = v1::Caller {
        name: "portal-app".to_owned(),
        permissions: vec![v1::CallerPermission::Submit.into()],
        credential: v1::CallerCredential::Token.into(),
        ..v1::Caller::default()
    };
    let request = v1::CreateCallerRequest { caller: Some(caller) };
    let token = callers.create_caller(request).await.expect("it may").into_inner().token;
    let portal = installation.credentials(None, Some(&token));
    let job = nuncio_tests::mails::bulk("by TLS");
    let mut jobs = node.connect(&portal).await.mail_jobs;
    jobs.create_mail_job(job).await.expect("it may submit");

    let denied = node.nodes(&portal).await.expect_err("it may not read");
    assert_eq!(
        (denied.code(), reason(&denied).as_deref()),
        (Code::PermissionDenied, Some("PERMISSION_MISSING"))
    );
    let of_node = {
        let read = |file: &str| fs::read(installation.path("pki").join(file)).expect("it was made");
        installation.credentials(Some((&read("node-1.pem"), &read("node-1.key"))), None)
    };
    let save = v1::UpdateSmtpSettingsRequest::default();
    let mut settings = node.connect(&of_node).await.smtp_settings;
    let denied = settings.update_smtp_settings(save).await.expect_err("a node may not");
    assert_eq!(reason(&denied).as_deref(), Some("PERMISSION_MISSING"));
    node.nodes(&of_node).await.expect("nodes look at each other");
    let denied = node.nodes(&installation.credentials(None, None)).await.expect_err("nobody calls");
    assert_eq!(
        (denied.code(), reason(&denied).as_deref()),
        (Code::Unauthenticated, Some("CREDENTIALS_MISSING"))
    );

    let log = node.process.stderr();
    assert!(
        log.contains(
            "denied the call /nuncio.v1.NodeService/ListNodes of portal-app at 127.0.0.1:"
        ),
        "{log}"
    );
    assert!(log.contains("UpdateSmtpSettings of node:node-1 at 127.0.0.1:"), "{log}");
    assert!(log.contains("+portal-app (submit; by token)"), "{log}");
    assert!(!log.contains(&token[7..]), "{log}");
    let metrics = http::get(&node.http, "/metrics").await.1;
    assert!(
        metrics.contains(r#"nuncio_grpc_calls_denied_total{reason="PERMISSION_MISSING"} 2"#),
        "{metrics}"
    );
    for entry in walk(&installation.path("data")) {
        let content = fs::read(&entry).unwrap_or_default();
        let part = &token.as_bytes()[7..];
        assert!(!content.windows(part.len()).any(|one| one == part), "{}", entry.display());
    }
}

/// Makes a caller that may read, with these limits, and gives its token.
async fn reader(admin: &mut Clients, limits: (i32, i32)) -> String {
    let (calls_per_second, calls_at_once) = limits;
    let caller = v1::Caller {
        name: "reader".to_owned(),
        permissions: vec![v1::CallerPermission::Read.into()],
        credential: v1::CallerCredential::Token.into(),
        calls_per_second,
        calls_at_once,
        ..v1::Caller::default()
    };
    let request = v1::CreateCallerRequest { caller: Some(caller) };
    admin.callers.create_caller(request).await.expect("it may").into_inner().token
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_when_its_caller_is_deleted_and_those_of_others_go_on() {
    let installation = Installation::new().await;
    let node = installation.start().await;
    let mut admin = node.connect(&installation.client("admin").await).await;
    let token = reader(&mut admin, (0, 0)).await;
    let mut reader = node.connect(&installation.credentials(None, Some(&token))).await;
    let watch = v1::WatchMailJobsRequest::default();
    let watched = reader.mail_jobs.watch_mail_jobs(watch.clone()).await;
    let mut watched = watched.expect("it may read").into_inner();
    let mut others = admin.mail_jobs.watch_mail_jobs(watch).await.expect("it may").into_inner();

    let delete = v1::DeleteCallerRequest { name: "reader".to_owned() };
    admin.callers.delete_caller(delete).await.expect("it may");

    let ended = timeout(PATIENCE, async {
        loop {
            if let Err(status) = watched.message().await {
                return status;
            }
        }
    });
    let ended = ended.await.expect("it ends soon");
    assert_eq!(
        (ended.code(), reason(&ended).as_deref()),
        (Code::Unauthenticated, Some("TOKEN_UNKNOWN"))
    );
    let job = nuncio_tests::mails::bulk("after it");
    admin.mail_jobs.create_mail_job(job).await.expect("it may");
    let told = timeout(PATIENCE, others.message()).await.expect("it is told soon");
    told.expect("the watch of another one goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_calls_more_than_it_may_is_told_to_wait_and_a_node_never_is() {
    let installation = Installation::new().await;
    let node = installation.start().await;
    let mut admin = node.connect(&installation.client("admin").await).await;
    let token = reader(&mut admin, (5, 1)).await;
    let mut reader = node.connect(&installation.credentials(None, Some(&token))).await;

    let refused = async {
        loop {
            if let Err(status) = reader.nodes.list_nodes(v1::ListNodesRequest {}).await {
                return status;
            }
        }
    };
    let refused = timeout(PATIENCE, refused).await.expect("its calls are limited");
    assert_eq!(
        (refused.code(), reason(&refused).as_deref()),
        (Code::ResourceExhausted, Some("CALL_RATE_EXCEEDED"))
    );
    let wait = refused.get_details_retry_info().and_then(|info| info.retry_delay);
    let info = refused.get_details_error_info().expect("it has one");
    assert_eq!(
        (info.metadata["limit"].as_str(), info.metadata["caller"].as_str()),
        ("5", "reader")
    );
    assert!(wait.is_some_and(|wait| wait <= Duration::from_secs(1)), "{wait:?}");

    let watch = v1::WatchMailJobsRequest::default();
    let watching = async {
        loop {
            match reader.mail_jobs.watch_mail_jobs(watch.clone()).await {
                Ok(watched) => return watched.into_inner(),
                Err(_still_too_fast) => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let watched = timeout(PATIENCE, watching).await.expect("after a wait it may");
    let refused = reader.nodes.list_nodes(v1::ListNodesRequest {}).await.expect_err("one is open");
    assert_eq!(reason(&refused).as_deref(), Some("TOO_MANY_CALLS_AT_ONCE"));
    drop(watched);

    let read = |file: &str| fs::read(installation.path("pki").join(file)).expect("it was made");
    let of_node = installation.credentials(Some((&read("node-1.pem"), &read("node-1.key"))), None);
    let mut of_node = node.connect(&of_node).await.nodes;
    for _ in 0..2000 {
        of_node.list_nodes(v1::ListNodesRequest {}).await.expect("nodes have no limits");
    }
    let metrics = http::get(&node.http, "/metrics").await.1;
    assert!(
        metrics.contains(r#"nuncio_grpc_calls_denied_total{reason="TOO_MANY_CALLS_AT_ONCE"} 1"#),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_another_installation_is_refused_with_the_reason() {
    let (ours, theirs) = (Installation::new().await, Installation::new().await);
    let node = ours.start().await;

    let not_trusting = theirs.client("admin").await;
    let refused =
        connect(&node.server, PATIENCE, &not_trusting).await.expect_err("it is no friend");
    let ConnectError::Refused { source, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(source.code, "NO_VALID_CERTIFICATION_PATH");

    // The command line says so too, and what to do.
    let file = |installation: &Installation, name: &str| {
        installation.path("pki").join(name).display().to_string()
    };
    let (ca, certificate, key) =
        (file(&ours, "ca.pem"), file(&theirs, "admin.pem"), file(&theirs, "admin.key"));
    let env = [
        ("NUNCIO_SERVER", node.server.as_str()),
        ("NUNCIO_SERVER_CA_FILE", &ca),
        ("NUNCIO_CERT_FILE", &certificate),
        ("NUNCIO_KEY_FILE", &key),
    ];
    let ended = Process::run(&["nodes"], &env).await;
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(ended.stderr.contains("refused the client certificate"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_without_a_restart_and_without_losing_a_connection() {
    let installation = Installation::new().await;
    let node = installation.start().await;
    let admin = installation.client("admin").await;
    let mut old = node.connect(&admin).await.nodes;
    old.list_nodes(v1::ListNodesRequest {}).await.expect("it may");

    installation.node("newer").await;
    for name in ["node-1.pem", "node-1.key"] {
        let newer = installation.path("newer").join(name);
        fs::copy(newer, installation.path("pki").join(name)).expect("the disk has room");
    }
    let mut process = node.process;
    let told = "new connections of gRPC use a certificate that is valid until";
    process.wait_for_stderr(told).await;
    old.list_nodes(v1::ListNodesRequest {}).await.expect("the connection is as it was");

    // A client that knows nothing but the new certificate.
    let read = |name: &str| fs::read(installation.path("newer").join(name)).expect("it was made");
    let tls = ClientTls::of_own_node((&read("node-1.pem"), &read("node-1.key")));
    let credentials = Credentials { tls: Some(tls.expect("it is good")), token: None };
    connect(&node.server, PATIENCE, &credentials).await.expect("the new certificate serves");
    process.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_its_alarms_to_itself_by_tls() {
    let installation = Installation::new().await;
    let node = installation.start().await;
    let admin = installation.client("admin").await;
    let mut clients = node.connect(&admin).await;

    // An authority that soon ends is an alarm of the node.
    let dir = installation.path("short").display().to_string();
    let made = Process::run(&["certs", "init", "--dir", &dir, "--days", "5"], &[]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let pem = fs::read_to_string(installation.path("short/ca.pem")).expect("it was made");
    let certificate = v1::TrustedCertificate {
        name: "short".to_owned(),
        certificate_pem: pem,
        trusted_for: vec![v1::TrustUse::Smtp.into()],
        ..v1::TrustedCertificate::default()
    };
    let trust_store =
        v1::TrustStore { certificates: vec![certificate], ..v1::TrustStore::default() };
    let request =
        v1::UpdateTrustStoreRequest { trust_store: Some(trust_store), validate_only: false };
    clients.trust_store.update_trust_store(request).await.expect("it may");

    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = clients.alarms.list_alarms(v1::ListAlarmsRequest::default()).await;
        if !listed.expect("it may").into_inner().alarms.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "no alarm came: {}", node.process.stderr());
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_ended_keeps_a_node_from_starting() {
    let installation = Installation::new().await;
    let key = KeyPair::generate().expect("keys can be made");
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("it is a name");
    params.not_after = date_time_ymd(2020, 1, 1);
    let certificate = params.self_signed(&key).expect("it can be made").pem();
    for (name, text) in [("node-1.pem", certificate), ("node-1.key", key.serialize_pem())] {
        fs::write(installation.path("pki").join(name), text).expect("the disk has room");
    }

    for options in [&[][..], &["--check-config"]] {
        let ended = installation.serve_with("pki", options).ended().await;

        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("gRPC cannot be served by TLS"), "{ended:?}");
        assert!(ended.stderr.contains("expired at 2020-01-01T00:00:00Z; renew it"), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_client_keeps_a_node_from_starting() {
    let installation = Installation::new().await;
    installation.certs(&["issue"], &["client", "--name", "portal-app"]).await;
    for ending in ["pem", "key"] {
        let file = |name: &str| installation.path("pki").join(format!("{name}.{ending}"));
        fs::copy(file("portal-app"), file("node-1")).expect("the disk has room");
    }

    let ended = installation.serve("pki").ended().await;

    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("portal-app` is for clients"), "{ended:?}");
}

/// All files below a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it can be read").flatten();
    let below = entries.flat_map(|entry| {
        let path = entry.path();
        if path.is_dir() { walk(&path) } else { vec![path] }
    });
    below.collect()
}
