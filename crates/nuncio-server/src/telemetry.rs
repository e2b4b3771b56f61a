//! Logs and traces of a node.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, StringValue, Value};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt as _, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{Config, LogConfig, LogFormat, OtlpEndpoint};
use crate::log_levels::{LogControl, filter};

/// How long one export of spans may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the end of the export may take when its last spans are taken or lost.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What crates of others may log, whatever the filter asks for. Below these levels some of them write headers,
/// and these hold tokens (`authorization`).
const CAPS: [(&str, LevelFilter); 12] = [
    ("axum", LevelFilter::INFO),
    ("h2", LevelFilter::WARN),
    ("hyper", LevelFilter::WARN),
    ("hyper_util", LevelFilter::WARN),
    ("lettre", LevelFilter::WARN),
    ("oauth2", LevelFilter::WARN),
    ("opentelemetry", LevelFilter::WARN),
    ("reqwest", LevelFilter::WARN),
    ("rustls", LevelFilter::WARN),
    ("tokio_rustls", LevelFilter::WARN),
    ("tonic", LevelFilter::INFO),
    ("tower", LevelFilter::WARN),
];

/// The logs and traces of this process.
#[derive(Clone, Copy, Debug)]
pub struct Telemetry;

/// Sends the last spans when the node stops.
#[derive(Debug)]
#[must_use = "without `shutdown` the last spans are lost"]
pub struct TelemetryGuard {
    provider: Option<SdkTracerProvider>,
    /// Changes what is logged.
    pub log: LogControl,
}

/// Why logs and traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the export of traces to `telemetry.otlp_endpoint` cannot be set up")]
    Exporter(#[from] ExporterBuildError),
    #[error("logs are set up already in this process")]
    Installed(#[from] TryInitError),
}

/// The last spans were not taken.
#[derive(Debug, thiserror::Error)]
#[error("the last traces were not sent")]
pub struct FlushError(#[source] OTelSdkError);

impl Telemetry {
    /// Logs to standard error, and exports traces where that is configured, for the whole process. Colours are used only
    /// on a terminal.
    ///
    /// It must be called within a Tokio runtime, which carries the export.
    pub fn install(config: &Config) -> Result<TelemetryGuard, TelemetryError> {
        let (dispatch, guard) = build(config, io::stderr, io::stderr().is_terminal())?;
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        dispatch.try_init()?;
        Ok(guard)
    }
}

/// The same as [`Telemetry::install`], but onto `writer` and for nobody yet: a test gives each node its own with
/// `tracing::instrument::WithSubscriber`.
pub fn subscriber<W>(
    config: &Config,
    writer: W,
) -> Result<(Dispatch, TelemetryGuard), TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    build(config, writer, false)
}

impl TelemetryGuard {
    /// Sends what was not sent yet. Takes a few seconds at most.
    pub async fn shutdown(self) -> Result<(), FlushError> {
        let Some(provider) = self.provider else { return Ok(()) };
        // It blocks its thread while the runtime carries the export.
        // The SDK's flush is bounded by 5 s and tells of failure; its shutdown does not.
        let flush = move || {
            let flushed = provider.force_flush();
            flushed.and(provider.shutdown_with_timeout(CLOSE_TIMEOUT))
        };
        let flushed = tokio::task::spawn_blocking(flush).await;
        let flushed =
            flushed.unwrap_or_else(|panic| Err(OTelSdkError::InternalFailure(panic.to_string())));
        flushed.map_err(FlushError)
    }
}

fn build<W>(
    config: &Config,
    writer: W,
    ansi: bool,
) -> Result<(Dispatch, TelemetryGuard), TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let provider = config.otlp_endpoint.as_ref().map(|endpoint| tracer_provider(config, endpoint));
    let provider = provider.transpose()?;
    let traces = provider.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("nuncio"));
        layer.with_location(false).with_threads(false).with_filter(trace_filter())
    });
    let (levels, handle) = reload::Layer::new(filter(config.log.filter.as_str()));
    let log = LogControl::new(config.log.filter.as_str().to_owned(), handle);
    let subscriber =
        Registry::default().with(log_layer(&config.log, levels, writer, ansi)).with(traces);
    Ok((Dispatch::new(subscriber), TelemetryGuard { provider, log }))
}

fn log_layer<W>(
    log: &LogConfig,
    levels: reload::Layer<EnvFilter, Registry>,
    writer: W,
    ansi: bool,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    let filter = levels.and(caps(LevelFilter::TRACE));
    match log.format {
        LogFormat::Human => layer.with_filter(filter).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

/// Spans of ours are recorded whatever the log leaves out; those of others never.
fn trace_filter() -> Targets {
    Targets::new().with_target("nuncio", LevelFilter::INFO)
}

/// Lets `own` through, and of the crates of others what they may log.
fn caps(own: LevelFilter) -> Targets {
    Targets::new().with_default(own).with_targets(CAPS)
}

fn tracer_provider(
    config: &Config,
    endpoint: &OtlpEndpoint,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint.as_str())
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    // Attributes as in the semantic conventions of OpenTelemetry, "Service".
    let resource = Resource::builder()
        .with_service_name("nuncio")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", config.node_name.to_string()))
        .with_attribute(KeyValue::new("nuncio.node.roles", roles(config)))
        .build();
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    // It logs when it is dropped. If that is by a subscriber's end while another thread makes a
    // subscriber, `tracing` waits for itself for ever; so it stays for the rest of the process.
    std::mem::forget(provider.clone());
    Ok(provider)
}

/// The roles of this node, for the spans of all.
fn roles(config: &Config) -> Value {
    let roles = config.roles.iter().map(|role| StringValue::from(role.name()));
    Value::Array(roles.collect::<Vec<_>>().into())
}

#[cfg(test)]
mod tests;
