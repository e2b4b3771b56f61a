//! Notices to many guests at once, and the summary of what became of them.

pub(crate) mod outcome;
pub(crate) mod record;
pub(crate) mod service;
pub(crate) mod summary;
