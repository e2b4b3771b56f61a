//! Access tokens of an OAuth 2.0 provider: client credentials, cached and shared by all who wait.

pub mod cache;

pub mod endpoint;
pub mod request;
mod secrets;

pub(crate) mod assertion;

pub(crate) mod aadsts;
pub(crate) mod answer;

mod client;
