//! Approvals: requests with signed links, the page behind the links, and what a decision does.

use nuncio_core::portal::approval::ApprovalId;
use nuncio_core::ports::clock::Entropy;

pub(crate) mod act;
pub(crate) mod link;
pub(crate) mod page;
pub(crate) mod service;

/// 128 random bits.
pub(crate) fn random_id(entropy: &dyn Entropy) -> ApprovalId {
    let mut bytes = [0; 16];
    let random = [entropy.id_bytes(), entropy.id_bytes()].concat();
    bytes.copy_from_slice(&random[..16]);
    ApprovalId::new(bytes)
}
