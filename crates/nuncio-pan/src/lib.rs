//! The role PAN: settings. They are proved before they are saved.

pub mod pan;
pub mod smtp_test;

mod proofs;
mod service;

#[cfg(test)]
mod tests;
