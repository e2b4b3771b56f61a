//! Trace contexts between processes, jobs and spans (W3C Trace Context).

use nuncio_core::trace::TraceParent;
use opentelemetry::KeyValue;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Makes `span` a part of the trace in which it was caused, in this process or another one.
pub fn set_parent(span: &Span, cause: &TraceParent) {
    let context = opentelemetry::Context::new().with_remote_span_context(span_context(cause));
    // Fails only where no OpenTelemetry layer is installed: then there is no trace to belong to.
    drop(span.set_parent(context));
}

/// Links `span` to one more span that has caused it: a span is part of one trace only.
pub fn link(span: &Span, cause: &TraceParent) {
    span.add_link(span_context(cause));
}

/// Makes `span` a part of the first of the traces in which it was caused, and links it to the others.
pub fn set_causes<'a>(span: &Span, causes: impl IntoIterator<Item = &'a TraceParent>) {
    let mut causes = causes.into_iter();
    if let Some(first) = causes.next() {
        set_parent(span, first);
    }
    causes.for_each(|other| link(span, other));
}

/// Notes on `span`, with the present moment, that something has happened. It is in no log.
pub fn note(span: &Span, event: &'static str, attributes: &[(&'static str, &str)]) {
    let attributes = attributes.iter().map(|(key, value)| KeyValue::new(*key, (*value).to_owned()));
    span.add_event(event, attributes.collect());
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
