//! The directory of guests and internal users, kept as records of the store.
//!
//! Whoever changes somebody gets the [`Change`](change::Change) as writes for a changeset of his own, so that
//! it stands in one transaction with the mail that tells of it; reminders that the change voids, and mails that
//! tell of an access which is gone, are cancelled in the same one.

pub mod codec;
pub mod mails;
pub mod notes;
pub mod subject;

pub mod change;
pub mod follow_up;

pub mod approvals;
pub mod batch;
pub mod directory;
pub mod list;

#[cfg(test)]
mod testing;
