//! What is sealed, by which keys, and how it comes under another one.

use async_trait::async_trait;

use crate::job::MailJobId;
use crate::ports::job_store::StoreError;
use crate::ports::sealer::Sealer;
use crate::ports::settings::SaveError;

/// The sealed mails of a store, and the keys that it has noted.
///
/// A store notes each key before it seals with it. A node that lacks a noted key, or has another one of that name, does not
/// open the store. Every implementation passes the same `conformance` suite.
#[async_trait]
pub trait SealedMails: Send + Sync {
    /// The ids of the noted keys, in no order.
    async fn noted_keys(&self) -> Result<Vec<String>, StoreError>;

    /// Notes the key by which `sealer` seals, if it is not noted yet. It may seal from then on.
    async fn note_key(&self, sealer: &dyn Sealer) -> Result<(), StoreError>;

    /// How many mails are sealed by this key. The cost grows with the mails that wait.
    async fn sealed_mails(&self, key_id: &str) -> Result<u64, StoreError>;

    /// Seals up to `limit` mails behind `after`, in the order of their jobs, by the key that seals now, where another has sealed
    /// them. They stay what they are for whoever has leased their jobs. A mail that somebody else is writing at the
    /// moment, or that cannot be opened, is left as it is.
    async fn reseal_mails(
        &self,
        after: Option<MailJobId>,
        limit: u32,
    ) -> Result<Resealed, StoreError>;

    /// Forgets that a key was noted if no mail is sealed by it, and tells whether it is forgotten now. It is for keys that no node
    /// seals with any more.
    async fn forget_key(&self, key_id: &str) -> Result<bool, StoreError>;
}

/// What came of some mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// How many are sealed by the present key now.
    pub count: u64,
    /// The last mail that was looked at; none if there was none left.
    pub last: Option<MailJobId>,
}

/// The sealed settings of a node or of its cluster.
///
/// Every implementation passes the same `conformance` suite.
#[async_trait]
pub trait SealedSettings: Send + Sync {
    /// The documents that are saved, each with the key that has sealed it where this node keeps it.
    fn sealed_documents(&self) -> Vec<SealedDocument>;

    /// Seals every document by the key that seals now, where another has sealed it, and gives the names of these. Nothing else
    /// of them changes: neither content, generation nor history, and nobody is woken.
    async fn reseal_documents(&self) -> Result<Vec<&'static str>, SaveError>;
}

/// A settings document and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedDocument {
    pub document: &'static str,
    pub key_id: String,
}
