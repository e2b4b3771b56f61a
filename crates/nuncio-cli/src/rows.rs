//! Files of guests and users: comma-separated values with a head (RFC 4180).

pub(crate) mod columns;
pub(crate) mod reader;
pub(crate) mod rejected;
