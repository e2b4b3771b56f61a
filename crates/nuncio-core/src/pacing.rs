//! How fast a mailbox may send.

pub mod connections;
pub mod messages;
pub mod recipients;
pub mod spread;
