//! Who wants to know what became of reminders, for example to count it.

use std::time::Duration;

use nuncio_core::reminder::Channel;

/// Is told what was committed. Its methods must return at once.
pub trait ReminderObserver: Send + Sync {
    /// A mail was made, `late` after its stage had come; the quiet hours count too.
    fn reminder_sent(&self, channel: Channel, late: Duration);

    /// A stage was passed over, as a more urgent one was due too.
    fn reminder_superseded(&self);

    /// A guest's access has ended.
    fn guest_expired(&self);
}
