//! Time and chance.

use jiff::Timestamp;

/// Tells the wall-clock time.
///
/// Waiting is not part of it: whoever waits uses `tokio::time`, which a test can pause.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// Gives random values.
pub trait Entropy: Send + Sync {
    /// Ten random bytes, for an id.
    fn id_bytes(&self) -> [u8; 10];

    /// A number in 0..1, to keep nodes and retries out of step.
    fn jitter(&self) -> f64;
}
