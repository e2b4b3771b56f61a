//! TLS of nuncio as a client: whom it trusts, and what it says when a server is not trusted.

pub mod trust;

pub mod chain;

pub mod diagnosis;

pub mod reader;
