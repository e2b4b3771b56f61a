//! The simulator as its clients see it: over real sockets with TLS.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod client;

mod admin;
mod assertion;
mod auth;
mod fault;
mod http;
mod life;
mod limits;
mod mail;
mod token;
