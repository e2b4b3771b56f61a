//! The suites that every implementation of a port passes.
//!
//! Each promise in the comments of a port is one function here. A crate that implements the port runs
//! them all with one line, for example with [`job_store_conformance!`](crate::job_store_conformance).
#![expect(clippy::unwrap_used, reason = "this is test code, which other crates run")]

pub mod job_store;
pub mod records;
pub mod sealed_mails;
pub mod sealed_settings;
pub mod sealer;

pub mod settings;
