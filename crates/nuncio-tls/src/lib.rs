//! TLS of a client.
