//! The role PAN: settings, which are proved before they are saved, and the directory of guests and users.

pub mod pan;
pub mod smtp_test;

mod directory;
mod proofs;
mod service;

#[cfg(test)]
mod tests;
