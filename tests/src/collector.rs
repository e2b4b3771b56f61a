//! A receiver of traces by OTLP over gRPC.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
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

    /// All spans that were sent.
    pub fn spans(&self) -> Vec<Span> {
        let requests = self.requests.0.lock().expect("no code under this lock panics");
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
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
