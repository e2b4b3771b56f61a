//! The role PSN: takes mail jobs of any gRPC client and delivers them.

pub mod psn;

mod errors;
mod service;
mod watch;

#[cfg(test)]
mod tests;
