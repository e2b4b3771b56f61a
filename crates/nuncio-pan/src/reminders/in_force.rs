//! What decides about reminders at a moment.

use nuncio_core::reminder::Subject;
use nuncio_core::reminder::rules::ReminderSettings;
use nuncio_core::settings::guest_mail::GuestMailSettings;

use super::remindable::Remindable;

/// The settings as they count now, of reminders and of guest mail.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub(crate) reminders: ReminderSettings,
    pub(crate) guest_mail: GuestMailSettings,
}

impl InForce {
    /// Somebody, as far as it matters for the reminders.
    pub(crate) fn view<S: Remindable>(&self, subject: &S) -> Subject {
        let view = subject.view();
        if self.guest_mail.is_enabled { view } else { view.without_guest_mail() }
    }
}
