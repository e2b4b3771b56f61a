//! TLS of nuncio: whom it trusts, who it is itself, and what it says when a server is not trusted.

pub mod trust;

pub mod identity;

pub mod server;

pub mod pinned;

pub mod chain;

pub mod diagnosis;

pub mod reader;
