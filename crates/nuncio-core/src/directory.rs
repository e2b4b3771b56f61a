//! The people whom nuncio writes to on behalf of the network: guests and internal users.

pub mod guest;
pub mod user;

pub mod draft;
pub mod lifecycle;
