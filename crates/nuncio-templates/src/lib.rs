//! The portals' own texts: kept as records of the store, known to every node, looked at and changed over gRPC.

pub mod share;

pub mod api;

mod codec;
mod errors;
mod list;
mod service;
