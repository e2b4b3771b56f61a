//! The domain of nuncio: values, decisions and ports.
//!
//! Nothing here does I/O, asks a clock or rolls a die: `now` and `jitter` are arguments.

pub mod policy;
pub mod violation;

pub mod address;
pub mod class;
pub mod mail;
pub mod secret;
pub mod template;

pub mod reply;
pub mod trace;

pub mod alarm;
pub mod directory;
pub mod portal;
pub mod reminder;
pub mod secret_expiry;

pub mod caller;
pub mod job;
pub mod outcome;
pub mod retry;

pub mod pacing;
pub mod settings;
pub mod smtp_test;

pub mod ports;

#[cfg(feature = "conformance")]
pub mod conformance;
