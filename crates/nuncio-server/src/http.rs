//! Health and metrics over plain HTTP, for probes and for Prometheus.
//!
//! `/livez` says that the process answers, `/readyz` whether it can take work, `/metrics` what it counts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub(crate) mod node_view;

use crate::metrics::gauges::Gauges;
use crate::metrics::{CONTENT_TYPE, Metrics, classic};

/// How long the node may be looked at for one answer. Prometheus waits 10 s by default, Kubernetes 1 s.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// How a client asks for the newer format.
const OPEN_METRICS: &str = "application/openmetrics-text";
/// How long open connections may go on after the server was told to stop.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks at a node from outside its work.
#[async_trait]
pub trait NodeView: Send + Sync {
    async fn gauges(&self) -> Gauges;

    /// Why the node cannot take work now; empty if it can.
    async fn not_ready(&self) -> Vec<String>;
}

/// The HTTP server of a node.
#[derive(Clone)]
pub struct HttpServer {
    metrics: Arc<Metrics>,
    node: Arc<dyn NodeView>,
    draining: CancellationToken,
}

impl HttpServer {
    pub fn new(metrics: Arc<Metrics>, node: impl NodeView + 'static) -> Self {
        Self { metrics, node: Arc::new(node), draining: CancellationToken::new() }
    }

    /// Makes `/readyz` say that the node is draining from when `draining` is cancelled.
    ///
    /// To be of use, the token with which the server itself is stopped must be cancelled later.
    #[must_use]
    pub fn draining_on(mut self, draining: CancellationToken) -> Self {
        self.draining = draining;
        self
    }

    /// Serves until `stop` is cancelled, and ends soon after that, whoever is still connected.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let overdue = async {
            stop.cancelled().await;
            sleep(CLOSE_TIMEOUT).await;
        };
        let serving = axum::serve(listener, self.routes());
        tokio::select! {
            served = serving.with_graceful_shutdown(stop.clone().cancelled_owned()) => served,
            () = overdue => Ok(()),
        }
    }

    fn routes(self) -> Router {
        Router::new()
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .fallback(async || (StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"))
            .with_state(self)
    }

    async fn not_ready(&self) -> Vec<String> {
        if self.draining.is_cancelled() {
            return vec!["the node is draining".to_owned()];
        }
        let late = |_elapsed| vec!["the node does not answer in time".to_owned()];
        timeout(LOOK_TIMEOUT, self.node.not_ready()).await.unwrap_or_else(late)
    }
}

/// Serves the page behind approval links until `stop` is cancelled.
pub(crate) async fn run_page(
    page: IntoMakeServiceWithConnectInfo<Router, SocketAddr>,
    listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let overdue = async {
        stop.cancelled().await;
        sleep(CLOSE_TIMEOUT).await;
    };
    let serving = axum::serve(listener, page);
    tokio::select! {
        served = serving.with_graceful_shutdown(stop.clone().cancelled_owned()) => served,
        () = overdue => Ok(()),
    }
}

async fn readyz(State(server): State<HttpServer>) -> Response {
    let reasons = server.not_ready().await;
    if reasons.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
}

/// `OpenMetrics` for whoever takes it, as Prometheus does; else the older text format.
async fn metrics(State(server): State<HttpServer>, headers: HeaderMap) -> Response {
    let gauges = timeout(LOOK_TIMEOUT, server.node.gauges()).await.unwrap_or_else(|_elapsed| {
        warn!("metrics are scraped without gauges: the node does not answer in time");
        Gauges::default()
    });
    let text = server.metrics.scrape(gauges);
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (content_type, text) = if accepted.into_iter().any(|one| one.contains(OPEN_METRICS)) {
        (CONTENT_TYPE, text)
    } else {
        (classic::CONTENT_TYPE, classic::classic(&text))
    };
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

#[cfg(test)]
mod tests;
