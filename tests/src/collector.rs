//! A receiver of traces by OTLP over gRPC.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// Keeps all that it gets. It ends when it is dropped.
#[derive(Debug)]
pub struct Collector {
    /// For the setting `telemetry.otlp_endpoint`.
    pub endpoint: String,
    requests: Requests,
    _server: JoinSet<()>,
}

#[derive(Clone, Debug, Default)]
struct Requests(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there are free ports");
        let address = listener.local_addr().expect("it is bound");
        let requests = Requests::default();
        let service = TraceServiceServer::new(requests.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let end = Server::builder().add_service(service).serve_with_incoming(incoming).await;
            end.expect("a listener on loopback goes on");
        });
        Self { endpoint: format!("http://{address}"), requests, _server: server }
    }

    /// Everything that was sent, whole, as text.
    pub fn text(&self) -> String {
        format!("{:?}", self.requests.0.lock().expect("no code under this lock panics"))
    }

    /// All spans that were sent, each with who has sent it.
    pub fn exported(&self) -> Vec<Exported> {
        let requests = self.requests.0.lock().expect("no code under this lock panics");
        let mut exported = Vec::new();
        for spans in requests.iter().flat_map(|request| &request.resource_spans) {
            let sender = attributes(spans.resource.iter().flat_map(|one| &one.attributes));
            for span in spans.scope_spans.iter().flat_map(|scope| &scope.spans) {
                exported.push(Exported { sender: sender.clone(), span: span.clone() });
            }
        }
        exported
    }

    /// All spans that were sent.
    pub fn spans(&self) -> Vec<Span> {
        self.exported().into_iter().map(|one| one.span).collect()
    }
}

/// A span, and the process that it is of.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The attributes of the resource.
    pub sender: BTreeMap<String, String>,
    pub span: Span,
}

impl Exported {
    pub fn attributes(&self) -> BTreeMap<String, String> {
        attributes(&self.span.attributes)
    }

    /// The name of the node that has sent it.
    pub fn node(&self) -> &str {
        self.sender.get("service.instance.id").map_or("", String::as_str)
    }

    /// The trace and the span as `traceparent` has them.
    pub fn trace_id(&self) -> String {
        hex(&self.span.trace_id)
    }

    pub fn span_id(&self) -> String {
        hex(&self.span.span_id)
    }

    pub fn parent_id(&self) -> String {
        hex(&self.span.parent_span_id)
    }
}

/// Attributes as text; the values of a list with commas.
pub fn attributes<'a>(all: impl IntoIterator<Item = &'a KeyValue>) -> BTreeMap<String, String> {
    let pair = |one: &KeyValue| (one.key.clone(), text(one.value.as_ref()));
    all.into_iter().map(pair).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        Some(Value::ArrayValue(list)) => {
            list.values.iter().map(|one| text(Some(one))).collect::<Vec<_>>().join(",")
        }
        other => format!("{other:?}"),
    }
}

/// Bytes of an id as OpenTelemetry writes them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes any text");
        text
    })
}

#[tonic::async_trait]
impl TraceService for Requests {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().expect("no code under this lock panics").push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
