//! The way of alarms from a node to people: kept until the MnT has them, and told past the mail where mail is
//! what is broken. All nodes use it; no role owns it.

pub mod outbox;

pub mod forwarder;
pub mod last_resort;
pub mod mnt_client;
pub mod standing;

pub mod courier;
pub mod route_service;
pub mod routes;

#[cfg(test)]
mod testing;
