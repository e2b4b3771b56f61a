//! The trace that a call is a part of (W3C Trace Context).

use nuncio_core::trace::TraceParent;
use tonic::codegen::http::HeaderMap;
use tonic::{Code, Request};

/// The name of the metadata that carry a trace context.
pub const TRACEPARENT: &str = "traceparent";

/// The context that a client has given; what is no trace context is as none (W3C Trace Context, section 3.2.1).
pub fn given(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get(TRACEPARENT)?.to_str().ok()?.parse().ok()
}

/// What follows from a call belongs to this: the span of the call, as the node has put it there before the service
/// was asked, or the client's where the node exports no traces.
///
/// A service that is called without a node around it, as tests do, has what the client has given.
pub fn of_call<T>(request: &Request<T>) -> Option<TraceParent> {
    let of_node = request.extensions().get::<TraceParent>().cloned();
    of_node.or_else(|| given(request.metadata().as_ref()))
}

/// Has a call carry a trace to another node.
pub fn carry<T>(request: &mut Request<T>, trace: Option<&TraceParent>) {
    let value = trace.and_then(|trace| trace.as_str().parse().ok());
    if let Some(value) = value {
        request.metadata_mut().insert(TRACEPARENT, value);
    }
}

/// The name of a code as gRPC writes it, for the attribute `rpc.response.status_code`.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
