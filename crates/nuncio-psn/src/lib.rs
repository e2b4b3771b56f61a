//! The role PSN: takes mail jobs of any gRPC client, and makes the mail of portals.

pub mod psn;

pub mod portal;

mod approvals;
mod errors;
mod service;
mod watch;

#[cfg(test)]
mod tests;
