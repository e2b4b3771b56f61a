//! HTTP to one server: a request over a connection of its own, over TLS, and through a proxy where one is set.

pub mod exchange;
