//! Fixtures of the integration tests.

pub mod node;
pub mod postgres;
pub mod process;

pub mod caller;
pub mod collector;
pub mod http;
pub mod logs;
pub mod mails;
pub mod settings;

pub mod real_servers;
