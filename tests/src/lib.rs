//! Fixtures of the integration tests.

pub mod real_servers;
