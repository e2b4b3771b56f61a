use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use jiff::Timestamp;
use nuncio_core::alarm::Severity;
use nuncio_core::alarm::route::{MessageKind, RouteTarget};
use nuncio_core::ports::routes::RouteSender as _;
use nuncio_runtime::clock::SystemClock;
use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

type Got = (HeaderMap, Bytes);

/// A receiver of webhooks over HTTPS, with a certificate of its own.
struct Receiver {
    url: String,
    ca: String,
    got: mpsc::Receiver<Got>,
    status: watch::Sender<StatusCode>,
    _running: JoinSet<()>,
}

struct TlsListener(TcpListener, TlsAcceptor);

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.0.accept().await.unwrap();
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

async fn receiver() -> Receiver {
    let signed = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/hook", listener.local_addr().unwrap().port());
    let (tell, got) = mpsc::channel(10);
    let (status, wanted) = watch::channel(StatusCode::NO_CONTENT);
    let hook = move |State(tell): State<mpsc::Sender<Got>>, headers: HeaderMap, body: Bytes| {
        let status = *wanted.borrow();
        async move {
            tell.send((headers, body)).await.unwrap();
            (status, [("retry-after", "7")])
        }
    };
    let app = Router::new().route("/hook", post(hook)).with_state(tell);
    let listener = TlsListener(listener, TlsAcceptor::from(Arc::new(config)));
    let mut running = JoinSet::new();
    running.spawn(async move { axum::serve(listener, app).await.unwrap() });
    Receiver { url, ca: signed.cert.pem(), got, status, _running: running }
}

fn route(url: &str, ca: &str) -> Route {
    let secret = Sensitive::from(SECRET.to_owned());
    Route {
        id: "on-call".to_owned(),
        enabled: true,
        target: RouteTarget::Webhook { url: url.to_owned(), secret },
        timeout: Duration::from_secs(20),
        ca_certificates_pem: ca.to_owned(),
    }
}

fn message() -> RouteMessage {
    RouteMessage {
        id: "msg_1".to_owned(),
        kind: MessageKind::AlarmRaised,
        at: Timestamp::UNIX_EPOCH,
        severity: Severity::Critical,
        summary: "the client secret has expired".to_owned(),
        fields: BTreeMap::from([("node".to_owned(), "pan-1".to_owned())]),
    }
}

fn sender() -> Sender {
    Sender::new(Arc::new(SystemClock), "pan-1")
}

/// The example of the Standard Webhooks libraries.
#[test]
fn the_signature_is_that_of_the_standard() {
    let secret = Sensitive::from(SECRET.to_owned());

    let signature =
        sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);

    assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[tokio::test]
async fn a_receiver_can_check_who_has_sent_what_and_when() {
    let mut receiver = receiver().await;

    let said = sender().send(&route(&receiver.url, &receiver.ca), &message()).await.unwrap();

    assert_eq!(said, "204 No Content");
    let (headers, body) = receiver.got.recv().await.unwrap();
    assert_eq!(headers["webhook-id"], "msg_1");
    let seconds: i64 = headers["webhook-timestamp"].to_str().unwrap().parse().unwrap();
    let expected = sign(&Sensitive::from(SECRET.to_owned()), "msg_1", seconds, &body);
    assert_eq!(headers["webhook-signature"].to_str().unwrap(), format!("v1,{expected}"));
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["type"], "alarm.raised");
    assert_eq!(body["data"]["severity"], "critical");
    assert_eq!(body["data"]["fields"]["node"], "pan-1");
}

#[tokio::test]
async fn an_answer_that_is_no_success_says_when_to_try_again() {
    let receiver = receiver().await;
    let route = route(&receiver.url, &receiver.ca);
    receiver.status.send_replace(StatusCode::SERVICE_UNAVAILABLE);

    let busy = sender().send(&route, &message()).await.unwrap_err();
    receiver.status.send_replace(StatusCode::BAD_REQUEST);
    let refused = sender().send(&route, &message()).await.unwrap_err();

    let seven = Some(Duration::from_secs(7));
    assert_eq!((busy.code.as_str(), busy.retry_after), ("HTTP_STATUS", seven));
    assert!(!busy.not_understood);
    assert!(refused.not_understood, "{refused:?}");
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_gets_no_message() {
    let mut receiver = receiver().await;

    let refused = sender().send(&route(&receiver.url, ""), &message()).await.unwrap_err();

    assert_eq!(refused.code, "TLS", "{refused:?}");
    assert!(receiver.got.try_recv().is_err());
}

#[tokio::test]
async fn a_receiver_that_says_nothing_is_left_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let silent = Route { timeout: Duration::from_millis(50), ..route(&url, "") };

    let late = sender().send(&silent, &message()).await.unwrap_err();

    assert_eq!(late.code, "TIMED_OUT");
    drop(listener);
    let gone = sender().send(&route(&url, ""), &message()).await.unwrap_err();
    assert_eq!(gone.code, "REFUSED");
}
