//! A node of nuncio: configuration, telemetry, wiring, listeners. It alone sees roles *and* adapters.

pub mod serve;

pub mod config;
pub mod telemetry;

pub mod node;
pub mod status;

pub mod http;
pub mod log_levels;
pub mod metrics;

/// Key files, for the commands that change them.
pub use nuncio_cluster::keyring;

mod access;
mod alarms;
mod errors;
mod grpc;
mod keys;
mod mnts;
mod node_service;
mod node_tests;
mod peers;
mod service_manager;
mod settings_service;
mod store;
mod trust;

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
