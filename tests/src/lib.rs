//! Fixtures of the integration tests.

pub mod node;
pub mod postgres;
pub mod private_postgres;
pub mod process;
pub mod promtool;

pub mod caller;
pub mod collector;
pub mod dice;
pub mod environment;
pub mod fake_clock;
pub mod http;
pub mod local_cluster;
pub mod logs;
pub mod mails;
pub mod relay;
pub mod report;
pub mod settings;

pub mod real_servers;
pub mod small_disk;
