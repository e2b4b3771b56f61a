//! Trace contexts between processes, jobs and spans (W3C Trace Context).

use nuncio_core::trace::TraceParent;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Makes `span` a child of the caller's span.
pub fn set_parent(span: &Span, caller: &TraceParent) {
    let context = opentelemetry::Context::new().with_remote_span_context(span_context(caller));
    // Fails only where no OpenTelemetry layer is installed: then there is no trace to belong to.
    drop(span.set_parent(context));
}

/// Links `span` to the span in which the job was made. A link, not a parent: the mail may go out days
/// later, from another node, and more than once.
pub fn link(span: &Span, origin: &TraceParent) {
    span.add_link(span_context(origin));
}

/// The context of `span` for a job or another process; nothing if no trace is recorded.
pub fn current(span: &Span) -> Option<TraceParent> {
    let context = span.context();
    let span = context.span().span_context().clone();
    let text =
        format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8());
    text.parse().ok().filter(|_| span.is_valid())
}

fn span_context(parent: &TraceParent) -> SpanContext {
    let flags = if parent.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    SpanContext::new(
        TraceId::from_hex(parent.trace_id()).expect("it was parsed"),
        SpanId::from_hex(parent.span_id()).expect("it was parsed"),
        flags,
        true,
        TraceState::NONE,
    )
}
