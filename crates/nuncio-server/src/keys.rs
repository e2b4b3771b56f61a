//! The keys of settings and mails: they follow their file, and what is sealed is put under the one that writes.

use std::sync::Arc;

use nuncio_cluster::keyring::keys::Keys;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::records::RecordStore;
use nuncio_core::ports::sealed::{SealedMails, SealedSettings};
use nuncio_nodes::membership::Membership;

pub(crate) mod follower;
mod listing;
mod rotation;
pub(crate) mod service;

/// Everything that keys have to do with.
#[derive(Clone)]
pub(crate) struct KeyParts {
    pub(crate) keys: Arc<Keys>,
    pub(crate) mails: Arc<dyn SealedMails>,
    pub(crate) settings: Arc<dyn SealedSettings>,
    pub(crate) records: Arc<dyn RecordStore>,
    pub(crate) membership: Membership,
    pub(crate) clock: Arc<dyn Clock>,
}
