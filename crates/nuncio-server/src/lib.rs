//! nuncio-server

pub mod config;
