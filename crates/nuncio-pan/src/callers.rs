//! Who may call.

pub mod document;
pub mod token;

pub(crate) mod service;
