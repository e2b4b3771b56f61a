//! SMTP of nuncio as a client: sessions, connections, messages, and the test of settings.

pub mod reply;

pub mod phase;

pub mod extensions;

pub mod claims;

pub mod auth;

pub mod session;

pub mod dots;

pub mod wire_address;

pub mod message;

pub mod classify;

pub mod judge;

pub mod lessons;

pub mod failure;

pub mod network;

pub mod connection;

pub mod pool;

pub mod ehlo_name;

pub mod transport;

pub mod probe;

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;

#[cfg(test)]
mod testing;
