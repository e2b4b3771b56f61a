use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tracing::dispatcher::with_default;
use tracing::{debug, debug_span, error, info, info_span, trace, warn};

use super::*;
use crate::config::args::ServeArgs;

/// More than any export here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A writer whose text can be read.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The configuration of a node with these flags.
fn config(format: &str, filter: &str, endpoint: Option<&str>) -> Config {
    let args = ServeArgs {
        node_name: Some("psn-1".to_owned()),
        log_format: Some(format.to_owned()),
        log_filter: Some(filter.to_owned()),
        telemetry_otlp_endpoint: endpoint.map(str::to_owned),
        ..ServeArgs::default()
    };
    Config::load(&args, &std::collections::HashMap::new()).unwrap()
}

/// What is logged while `work` runs.
fn logged(format: &str, filter: &str, work: impl FnOnce()) -> String {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let (dispatch, _guard) =
        subscriber(&config(format, filter, None), move || writer.clone()).unwrap();
    with_default(&dispatch, work);
    buffer.text()
}

#[test]
fn people_get_lines_without_colours() {
    let text = logged("human", "info", || {
        info_span!("send", job = "mailJobs/1").in_scope(|| info!(attempt = 2, "mail sent"));
    });

    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains(
            r#"INFO send{job="mailJobs/1"}: nuncio_server::telemetry::tests: mail sent attempt=2"#
        ),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn programs_get_an_object_a_line() {
    let text = logged("json", "info", || {
        info_span!("send", job = "mailJobs/1")
            .in_scope(|| info!(attempt = 2, "mail sent\nwith a line break"));
    });

    assert_eq!(text.lines().count(), 1, "{text}");
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["level"], "INFO");
    assert_eq!(object["message"], "mail sent\nwith a line break");
    assert_eq!(object["attempt"], 2);
    assert_eq!(object["span"]["job"], "mailJobs/1");
    assert_eq!(object["target"], "nuncio_server::telemetry::tests");
    let time = object["timestamp"].as_str().unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
}

#[test]
fn the_filter_chooses_level_and_module() {
    let work = || {
        info!("ours at info");
        debug!("ours at debug");
        debug!(target: "nuncio_smtp::session", "smtp at debug");
    };

    let text = logged("human", "warn,nuncio_smtp=debug", work);

    assert!(text.contains("smtp at debug"), "{text}");
    assert!(!text.contains("ours"), "{text}");
    assert_eq!(logged("human", "off", || error!("anything")), "");
}

#[test]
fn crates_that_could_log_tokens_stay_quiet_whatever_the_filter_says() {
    let work = || {
        debug!(target: "h2::codec", "authorization: Bearer hunter2");
        trace!(target: "h2", "authorization: Bearer hunter2");
        debug!(target: "hyper::proto::h1", "authorization: Bearer hunter2");
        debug!(target: "hyper_util::client", "authorization: Bearer hunter2");
        debug!(target: "reqwest::connect", "authorization: Bearer hunter2");
        debug!(target: "rustls::client", "hunter2");
        debug!(target: "tonic::transport", "hunter2");
        debug!(target: "tower::buffer", "hunter2");
        debug_span!(target: "h2", "frame", token = "hunter2").in_scope(|| warn!("in a frame"));
        warn!(target: "h2", "connection lost");
        trace!("our own");
    };

    for filter in ["trace", "trace,h2=trace,hyper=trace,reqwest=trace", "h2[{token}]=trace,trace"] {
        let text = logged("human", filter, work);

        assert!(!text.contains("hunter2"), "{filter}: {text}");
        assert!(text.contains("connection lost"), "{filter}: {text}");
        assert!(text.contains("in a frame"), "{filter}: {text}");
        assert!(text.contains("our own"), "{filter}: {text}");
    }
}

#[test]
fn a_secret_in_a_field_is_hidden_by_its_type() {
    let secret = nuncio_core::secret::ClientSecret::from("hunter2".to_owned());

    let text = logged("json", "trace", || info!(?secret, "settings read"));

    assert!(text.contains("ClientSecret(hidden)"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

/// Keeps what it is sent.
struct Collector(mpsc::Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.0.send(request.into_inner()).await.unwrap();
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
async fn the_last_spans_are_exported_at_the_shutdown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut exported) = mpsc::channel(10);
    let mut tasks = JoinSet::new();
    tasks.spawn(
        tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(Collector(sender)))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );

    let (dispatch, guard) = subscriber(&config("human", "off", Some(&endpoint)), io::sink).unwrap();
    with_default(&dispatch, || {
        info_span!("send mail", job = "mailJobs/1").in_scope(|| info!("mail sent"));
        info_span!(target: "h2", "frame").in_scope(|| ());
    });
    guard.shutdown().await.unwrap();

    let request = timeout(PATIENCE, exported.recv()).await.unwrap().unwrap();
    let resource = &request.resource_spans[0];
    let attributes = &resource.resource.as_ref().unwrap().attributes;
    for (key, expect) in [
        ("service.name", "nuncio"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", "psn-1"),
    ] {
        let attribute = attributes.iter().find(|one| one.key == key).expect(key);
        let value = attribute.value.clone().unwrap().value;
        assert_eq!(value, Some(Value::StringValue(expect.to_owned())), "{key}");
    }
    let spans = &resource.scope_spans[0].spans;
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["send mail"]);
    assert_eq!(spans[0].events[0].name, "mail sent");
}

#[tokio::test]
async fn a_collector_that_is_away_holds_the_shutdown_only_for_a_while() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (dispatch, guard) =
        subscriber(&config("human", "info", Some(&endpoint)), io::sink).unwrap();
    with_default(&dispatch, || drop(info_span!("send mail").entered()));

    // The listener accepts, as the system does it, but nobody ever answers.
    let ended = timeout(PATIENCE, guard.shutdown()).await;

    let error = ended.expect("the shutdown must end").unwrap_err();
    assert_eq!(error.to_string(), "the last traces were not sent");
}

#[tokio::test]
async fn an_https_collector_can_be_configured() {
    let config = config("human", "info", Some("https://127.0.0.1:4317"));

    let (_dispatch, guard) = subscriber(&config, io::sink).unwrap();

    guard.shutdown().await.unwrap();
}
