//! What is sealed comes under the key that writes.

use nuncio_api::error::{Precondition, failed_precondition, unavailable};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::CommitError;
use nuncio_core::ports::settings::SaveError;
use nuncio_directory::approvals::sealed;
use nuncio_nodes::keys::{NotShared, check_shared};
use nuncio_runtime::chain::Chain;
use tokio::sync::mpsc;
use tonic::Status;
use tracing::{error, info};

use crate::errors::STORE_RETRY;
use crate::keys::KeyParts;

/// How many mails are looked at before it is told how far it is.
const MAILS_AT_ONCE: u32 = 100;
/// How often the mails are gone through: what somebody was writing is left to the next time.
const PASSES_MAX: u32 = 5;

/// What a rotation has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rotated {
    pub(super) key_id: String,
    pub(super) settings: Vec<&'static str>,
    pub(super) mails: u64,
    pub(super) passwords: u64,
    /// Nothing needs these any more.
    pub(super) forgotten: Vec<String>,
    /// These are still needed.
    pub(super) kept: Vec<String>,
}

/// Why not all of it was done. What was done stays done.
#[derive(Debug, thiserror::Error)]
pub(super) enum RotateError {
    #[error("key `{key_id}` is not the one that all live nodes write with")]
    NotShared { key_id: String, reason: NotShared },
    #[error("the settings were not put under the new key")]
    Settings(#[from] SaveError),
    #[error("the store cannot be used at the moment")]
    Store(#[from] StoreError),
    #[error("the passwords that wait for approvals were not put under the new key")]
    Passwords(#[from] CommitError),
}

impl KeyParts {
    /// Whether every live node reads the first key of this node's file and writes with it alone. Gives its id.
    pub(super) async fn check_shared(&self) -> Result<String, RotateError> {
        let (key_id, members) = (self.keys.first().to_string(), self.membership.members().await?);
        match check_shared(&members, &key_id) {
            Ok(()) => Ok(key_id),
            Err(reason) => Err(RotateError::NotShared { key_id, reason }),
        }
    }

    /// Puts everything under the key that writes, and tells how many mails are.
    pub(super) async fn rotate(&self, tell: mpsc::Sender<u64>) -> Result<Rotated, RotateError> {
        let mut rotated = Rotated { key_id: self.check_shared().await?, ..Rotated::default() };
        rotated.settings = self.settings.reseal_documents().await?;
        let now = self.clock.now();
        rotated.passwords = sealed::reseal(&*self.records, &*self.keys, now).await?;
        rotated.mails = self.reseal_mails(&tell).await?;
        // A node may have come meanwhile that seals with an old key.
        self.check_shared().await?;
        for key_id in self.mails.noted_keys().await? {
            if key_id == rotated.key_id {
                continue;
            }
            if self.forget(&key_id).await? {
                rotated.forgotten.push(key_id);
            } else {
                rotated.kept.push(key_id);
            }
        }
        let Rotated { key_id, mails, .. } = &rotated;
        info!(%key_id, "settings and {mails} mails are under key `{key_id}` now");
        Ok(rotated)
    }

    async fn reseal_mails(&self, tell: &mpsc::Sender<u64>) -> Result<u64, RotateError> {
        let mut count = 0;
        for _pass in 0..PASSES_MAX {
            let (mut after, mut is_clean) = (None, true);
            loop {
                let resealed = self.mails.reseal_mails(after, MAILS_AT_ONCE).await?;
                count += resealed.count;
                let Some(last) = resealed.last else { break };
                (after, is_clean) = (Some(last), false);
                // Whoever does not listen need not know.
                tell.send(count).await.ok();
            }
            if is_clean {
                break;
            }
        }
        Ok(count)
    }

    async fn forget(&self, key_id: &str) -> Result<bool, RotateError> {
        let sealer = self.keys.current();
        let passwords = sealed::count(&*self.records, &*sealer, key_id).await?;
        Ok(passwords == 0 && self.mails.forget_key(key_id).await?)
    }
}

impl From<RotateError> for Status {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::NotShared { key_id, reason } => not_shared(&key_id, reason),
            RotateError::Settings(ref problem) => {
                error!("keys were not rotated: {}", Chain(&error));
                let message = format!("{error}: {}", Chain(problem));
                unavailable("SETTINGS_STORE_UNAVAILABLE", message, STORE_RETRY)
            }
            RotateError::Store(_) | RotateError::Passwords(_) => {
                error!("keys were not rotated: {}", Chain(&error));
                unavailable("STORE_UNAVAILABLE", error.to_string(), STORE_RETRY)
            }
        }
    }
}

fn not_shared(key_id: &str, reason: NotShared) -> Status {
    let (code, problem, remedy, nodes) = match reason {
        NotShared::Unreadable(nodes) => (
            "KEY_NOT_READABLE",
            "cannot read it",
            "give these nodes the same key file, and wait until `nuncio keys list` shows that all can read the key",
            nodes,
        ),
        NotShared::Differs(nodes) => (
            "KEYS_DIFFER",
            "write with another one",
            "give all nodes the same key file, and wait until `nuncio keys list` shows that all write with the key",
            nodes,
        ),
    };
    let nodes = nodes.join(", ");
    let message =
        format!("key `{key_id}` is the first of the key file, but these nodes {problem}: {nodes}");
    let precondition = Precondition { kind: "KEY", subject: key_id, remedy };
    let metadata = [("key", key_id.to_owned()), ("nodes", nodes)];
    failed_precondition(code, message, metadata, &precondition)
}
