//! The gRPC listener: all services of a node on one port, with health and reflection.

use std::sync::Arc;
use std::time::Duration;

use nuncio_api::v1::FILE_DESCRIPTOR_SET;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::access::{Access, guarded};
use crate::grpc::certificates::Tls;
use crate::grpc::incoming::incoming;
use crate::grpc::traced::traced;

pub(crate) mod certificates;
mod incoming;
pub(crate) mod peer;
#[cfg(test)]
mod testing;
mod traced;

/// How often a silent connection is asked whether it lives, and how long its answer may take.
const KEEP_ALIVE_PERIOD: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many calls one connection may have under way at once.
const CALLS_PER_CONNECTION_MAX: usize = 1024;
/// How many streams a client may open on one connection (HTTP/2 `SETTINGS_MAX_CONCURRENT_STREAMS`).
const STREAMS_PER_CONNECTION_MAX: u32 = 1024;

/// How long calls under way may take to end after the server was told to stop. A watch of the health service never
/// ends by itself.
const CALLS_END_TIMEOUT: Duration = Duration::from_secs(5);

/// The services of a node, ready to be served.
pub(crate) struct GrpcServer {
    routes: Routes,
    health: HealthReporter,
    services: Vec<&'static str>,
    entrance: Entrance,
}

/// How calls come in.
pub(crate) struct Entrance {
    /// None means in the clear.
    pub(crate) tls: Option<watch::Receiver<Arc<Tls>>>,
    pub(crate) access: Arc<Access>,
}

impl GrpcServer {
    /// Adds health and reflection to the services that are in `routes`; `services` are their names.
    pub(crate) fn new(
        mut routes: RoutesBuilder,
        services: Vec<&'static str>,
        entrance: Entrance,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let (health, health_service) = tonic_health::server::health_reporter();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        routes.add_service(health_service);
        routes.add_service(reflection);
        Ok(Self { routes: routes.routes(), health, services, entrance })
    }

    /// Serves until `stop` is cancelled: then `NOT_SERVING`, GOAWAY, and the calls under way end.
    pub(crate) async fn run(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<(), tonic::transport::Error> {
        let Self { routes, health, services, entrance } = self;
        let Entrance { tls, access } = entrance;
        set_all(&health, &services, ServingStatus::Serving).await;
        let stopped = async {
            stop.cancelled().await;
            set_all(&health, &services, ServingStatus::NotServing).await;
        };
        let overdue = async {
            stop.cancelled().await;
            sleep(CALLS_END_TIMEOUT).await;
        };
        let serving = Server::builder()
            .http2_keepalive_interval(Some(KEEP_ALIVE_PERIOD))
            .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
            .concurrency_limit_per_connection(CALLS_PER_CONNECTION_MAX)
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .add_routes(traced(guarded(routes, access)))
            .serve_with_incoming_shutdown(incoming(listener, tls), stopped);
        tokio::select! {
            served = serving => served,
            () = overdue => Ok(()),
        }
    }
}

async fn set_all(health: &HealthReporter, services: &[&'static str], status: ServingStatus) {
    // The empty name stands for the server as a whole (gRPC health checking protocol).
    for service in services.iter().copied().chain([""]) {
        health.set_service_status(service, status).await;
    }
}
