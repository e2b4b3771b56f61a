//! A span for each call, by the semantic conventions of OpenTelemetry for gRPC.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http_body_util::BodyExt as _;
use nuncio_api::trace::{code_name, given};
use nuncio_runtime::trace;
use tonic::service::Routes;
use tonic::{Code, Status};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};

use crate::access::is_known;
use crate::grpc::peer::Peer;

/// Has every call be a span, as part of the client's trace. What comes to a service has the [`TraceParent`](nuncio_core::trace::TraceParent) of all that
/// follows from it in its extensions: the span's, or the client's where this node exports no traces.
pub(super) fn traced(services: Routes) -> Routes {
    Routes::from(services.prepare().into_axum_router().layer(from_fn(call)))
}

/// Probes, reflection and what no node serves are no spans.
async fn call(mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let method = path.strip_prefix('/').filter(|_| is_known(path) && path.starts_with("/nuncio."));
    let Some(method) = method else { return next.run(request).await };
    let peer = request.extensions().get::<Peer>().map(|peer| peer.address);
    let span = info_span!(
        "rpc.server",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = Empty,
        network.peer.address = peer.map(|peer| peer.ip().to_string()),
        network.peer.port = peer.map(|peer| peer.port()),
        job.name = Empty,
    );
    let given = given(request.headers());
    if let Some(client) = &given {
        trace::set_parent(&span, client);
    }
    if let Some(follows) = trace::current(&span).or(given) {
        request.extensions_mut().insert(follows);
    }
    let response = next.run(request).instrument(span.clone()).await;
    record(&span, response.headers());
    // The status of an answer with a message comes behind it (gRPC over HTTP/2, "Responses"); the span lasts until then.
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            if let Some(trailers) = frame.trailers_ref() {
                record(&span, trailers);
            }
            frame
        }))
    })
}

fn record(span: &Span, headers: &HeaderMap) {
    let Some(status) = Status::from_header_map(headers) else { return };
    span.record("rpc.response.status_code", code_name(status.code()));
    if is_fault(status.code()) {
        span.record("otel.status_code", "ERROR");
    }
}

/// Whether the server is to blame, by the conventions for server spans.
fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
