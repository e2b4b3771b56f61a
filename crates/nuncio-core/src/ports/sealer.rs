//! Encryption of what lies on a disk or in a database.

/// Seals what nobody shall read where it is kept, and opens it again.
///
/// What is sealed tells the id of its key, and is bound to its context: whatever was sealed in another one, such
/// as the mail of another job, does not open.
pub trait Sealer: Send + Sync {
    /// The id of the key that seals. It is no secret.
    fn key_id(&self) -> &str;

    /// Whether it can open what this key has sealed.
    fn knows(&self, key_id: &str) -> bool;

    fn seal(&self, context: &[u8], clear: &[u8]) -> Vec<u8>;

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, UnsealError>;
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
