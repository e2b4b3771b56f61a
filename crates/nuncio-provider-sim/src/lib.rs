//! A simulator of a mail provider: an Entra-shaped token endpoint and an Exchange-shaped submission server.
//!
//! It speaks over real sockets with TLS, keeps the limits of the real provider, shows on demand the faults that a real
//! provider shows only at night, and knows the ground truth: which mails it has accepted, and how often.
//! Several simulators can live in one process; nothing is global.

pub mod simulator;

pub mod config;
pub mod fault;
pub mod ledger;
pub mod pki;

mod clock;
mod world;

mod admin;
mod http;
mod token_endpoint;

mod assertion;
mod entra_error;
mod tokens;

mod smtp;
