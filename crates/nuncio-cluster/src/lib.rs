//! What the nodes of a cluster share: for now the settings, kept by one node in its data folder.
//!
//! The settings of a cluster are documents. Each is encrypted under a key of the [`keyring`] and kept in an
//! [`envelope`]; what is inside is described in [`document`]. Engines differ only in where they keep the
//! envelopes.

pub mod keyring;

pub mod document;
pub mod envelope;

pub mod embedded;

mod files;
