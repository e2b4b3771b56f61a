//! What the nodes of a cluster share: for now the settings.
//!
//! The settings of a cluster are documents. Each is encrypted under a key of the [`keyring`] and kept in an
//! [`envelope`]; what is inside is described in [`document`]. Engines differ only in where they keep the
//! envelopes: [`embedded`] in the data folder of one node, [`etcd`] where all nodes of a cluster find them.

pub mod keyring;

pub mod document;
pub mod envelope;
pub mod folder;
pub mod present;

pub mod embedded;
pub mod etcd;

pub mod files;
