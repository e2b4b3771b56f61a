//! What the nodes of one store know of each other and settle among themselves.
//!
//! All of it lies in the store, beside the jobs and records over which they could quarrel: who cannot reach the store can
//! neither claim a mail nor write a reminder, so nothing else has to be alive for a node to work.

pub mod lease;

pub mod election;
pub mod fenced;
pub mod leaders;

pub mod keys;
pub mod membership;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
