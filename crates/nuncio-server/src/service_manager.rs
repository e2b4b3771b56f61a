//! What a service manager is told that waits for it, as systemd does with `Type=notify` (`sd_notify(3)`).

use sd_notify::NotifyState;
use tracing::warn;

/// The node takes calls.
pub(crate) fn tell_ready() {
    tell(NotifyState::Ready);
}

/// The node finishes what is under way, and ends.
pub(crate) fn tell_stopping() {
    tell(NotifyState::Stopping);
}

/// Does nothing where nobody waits.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "the service manager could not be told how the node is");
    }
}
