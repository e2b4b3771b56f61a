//! The API of nuncio: generated code, conversions to and from the domain, errors, and a client.

pub mod limits;
pub mod v1;

pub mod convert;
pub mod error;
pub mod page_token;

pub mod caller;
pub mod client;
pub mod trace;
