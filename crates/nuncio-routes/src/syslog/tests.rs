use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use nuncio_core::alarm::route::RouteTarget;
use nuncio_core::ports::routes::RouteSender as _;
use nuncio_runtime::clock::SystemClock;
use tokio::net::TcpListener;

use super::*;

fn message(fields: &[(&str, &str)]) -> RouteMessage {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    RouteMessage {
        id: "m1".to_owned(),
        kind: MessageKind::AlarmRaised,
        at: Timestamp::UNIX_EPOCH,
        severity: Severity::Critical,
        summary: "mailbox closed\nnow".to_owned(),
        fields: fields.collect::<BTreeMap<_, _>>(),
    }
}

fn route(port: u16, transport: SyslogTransport) -> Route {
    Route {
        id: "siem".to_owned(),
        enabled: true,
        target: RouteTarget::Syslog { host: "127.0.0.1".to_owned(), port, transport },
        timeout: Duration::from_secs(20),
        ca_certificates_pem: String::new(),
    }
}

#[test]
fn a_message_has_the_form_of_rfc_5424() {
    let text = format(&message(&[("node", "pan-1")]), "pan-1", STREAM_BYTES_MAX);

    assert_eq!(
        text,
        "<26>1 1970-01-01T00:00:00.000000Z pan-1 nuncio - alarm.raised [alarm@32473 id=\"m1\" \
         node=\"pan-1\"] \u{feff}mailbox closed now"
    );
}

#[test]
fn structured_data_cannot_be_left_by_its_values_or_names() {
    let text = format(&message(&[("a ]=\"b", "x\"] [evil \\ y\n")]), "no de", STREAM_BYTES_MAX);

    assert!(text.contains(r#"ab="x\"\] [evil \\ y ""#), "{text}");
    assert!(text.contains(" node nuncio "), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn what_does_not_fit_is_left_out_whole() {
    let long = "ü".repeat(5000);
    let fields = [("details", &*long), ("more", &*long), ("most", &*long), ("node", "pan-1")];

    let text = format(&message(&fields), "pan-1", UDP_BYTES_MAX);

    assert!(text.len() <= UDP_BYTES_MAX, "{}", text.len());
    assert!(text.contains("node=\"pan-1\"]"), "{text}");
}

#[tokio::test]
async fn over_tcp_a_message_has_its_length_before_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sender = Sender::new(Arc::new(SystemClock), "pan-1");
    let (route, message) = (route(port, SyslogTransport::Tcp), message(&[]));

    let receiving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let (sent, text) = tokio::join!(sender.send(&route, &message), receiving);

    sent.unwrap();
    let (length, text) = text.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), text.len());
    assert!(text.starts_with("<26>1 "), "{text}");
    drop(listener);
    assert_eq!(sender.send(&route, &message).await.unwrap_err().code, "REFUSED");
}

#[tokio::test]
async fn over_udp_a_message_is_a_datagram() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let route = route(socket.local_addr().unwrap().port(), SyslogTransport::Udp);
    let sender = Sender::new(Arc::new(SystemClock), "pan-1");

    sender.send(&route, &message(&[])).await.unwrap();

    let mut bytes = [0; UDP_BYTES_MAX];
    let length = socket.recv(&mut bytes).await.unwrap();
    assert!(bytes[..length].starts_with(b"<26>1 1970"), "{:?}", &bytes[..length]);
}
