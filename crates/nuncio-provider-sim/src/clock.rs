//! The wall clock of the simulator: it signs and judges times that travel over the wire.

use jiff::Timestamp;

/// The wall-clock time. Durations are measured with `tokio::time::Instant` instead.
#[expect(
    clippy::disallowed_methods,
    reason = "the simulator stands for a foreign machine, which has its own clock"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
