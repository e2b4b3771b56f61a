//! Encryption of what lies on a disk or in a database.

use std::sync::Arc;

/// Seals what nobody shall read where it is kept, and opens it again.
///
/// What is sealed tells the id of its key, and is bound to its context: whatever was sealed in another one, such
/// as the mail of another job, does not open.
pub trait Sealer: Send + Sync {
    /// The id of the key that seals. It is no secret.
    fn key_id(&self) -> &str;

    /// What begins all that this key has sealed, and nothing that another one has.
    fn mark(&self, key_id: &str) -> Vec<u8>;

    fn seal(&self, context: &[u8], clear: &[u8]) -> Vec<u8>;

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, UnsealError>;
}

/// The keys of a node, which may change while it runs.
pub trait Sealers: Send + Sync {
    /// The keys as they are now. Whoever seals keeps them until what was sealed is stored: so long the key counts as one
    /// that is written with.
    fn current(&self) -> Arc<dyn Sealer>;

    /// Seals from now on with one of these keys, which others are known to read: the one that seals now, if it is among them.
    fn seal_with_one_of(&self, key_ids: &[String]);
}

/// Why something sealed was not opened. No message shows any of its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    #[error("it was not sealed by nuncio")]
    Malformed,
    #[error("it was sealed with key `{key_id}`, which the key file does not hold")]
    UnknownKey { key_id: String },
    #[error(
        "it does not open with key `{key_id}`: it was changed or moved since it was sealed, or the key is not \
         the one that sealed it"
    )]
    Forged { key_id: String },
}
