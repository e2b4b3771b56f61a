//! What one mailbox may send now: messages a minute, recipients a day, and patience for what is not urgent.

use std::time::Duration;

use nuncio_core::pacing::messages::MessageWindow;
use nuncio_core::pacing::recipients::RecipientWindow;
use nuncio_core::pacing::spread::Spread;
use nuncio_core::settings::MailboxLimits;

use crate::observer::RecipientsOfDay;

/// Stands for no limit: nobody sends so much.
const UNLIMITED: u32 = u32::MAX;

/// The budget of one mailbox. `now` is monotonic, since any fixed moment.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    messages: MessageWindow,
    recipients: RecipientWindow,
    patient: Spread,
}

/// How many mails may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// So many, of which at most `patient` that are not urgent.
    Now { messages: u32, patient: u32 },
    /// None until then; nothing if that depends on those under way.
    NoneUntil(Option<Duration>),
}

impl Default for Budget {
    /// One without limits.
    fn default() -> Self {
        Self {
            messages: MessageWindow::new(UNLIMITED),
            recipients: RecipientWindow::new(UNLIMITED),
            patient: Spread::new(None),
        }
    }
}

impl Budget {
    /// New limits; what was sent still counts.
    pub(crate) fn set_limits(&mut self, limits: &MailboxLimits) {
        self.messages.set_messages_max(limits.messages_per_minute_max.unwrap_or(UNLIMITED));
        self.recipients.set_recipients_max(limits.recipients_per_day_max.unwrap_or(UNLIMITED));
        self.patient.set_messages_max(limits.messages_per_minute_max);
    }

    /// Counts what ended so long ago, before this node began to count; the newest first.
    pub(crate) fn restore(
        &mut self,
        now: Duration,
        ended_ago: Duration,
        messages: u32,
        recipients: u32,
    ) {
        self.messages.restore(now, ended_ago, messages);
        self.recipients.restore(now, ended_ago, recipients);
    }

    /// How many mails may start while `asked` others are already on their way here.
    pub(crate) fn room(&mut self, now: Duration, asked: u32) -> Room {
        let messages = self.messages.free(now).saturating_sub(asked);
        if messages == 0 {
            return Room::NoneUntil(self.messages.next_free_at());
        }
        if self.recipients.free(now) == 0 {
            return Room::NoneUntil(self.recipients.fits_at(1, false, now));
        }
        let patient = if self.recipients.fits(1, true, now) { self.patient.due(now) } else { 0 };
        Room::Now { messages, patient: patient.saturating_sub(asked).min(messages) }
    }

    /// When the next patient mail may start; nothing if that depends on those under way.
    pub(crate) fn patient_at(&mut self, now: Duration) -> Option<Duration> {
        let fits_at = self.recipients.fits_at(1, true, now)?;
        Some(fits_at.max(self.patient.next_at()))
    }

    /// What is used of the day's recipients; nothing without a limit.
    pub(crate) fn day(&mut self, now: Duration) -> Option<RecipientsOfDay> {
        let limit = Some(self.recipients.recipients_max()).filter(|limit| *limit < UNLIMITED)?;
        Some(RecipientsOfDay { used: self.recipients.used(now), limit })
    }

    /// Whether a message to so many recipients fits into the day.
    pub(crate) fn fits(&mut self, recipients: u32, is_patient: bool, now: Duration) -> bool {
        self.recipients.fits(recipients, is_patient, now)
    }

    /// When a message to so many recipients fits into the day, as far as that is known.
    pub(crate) fn fits_at(
        &mut self,
        recipients: u32,
        is_patient: bool,
        now: Duration,
    ) -> Option<Duration> {
        self.recipients.fits_at(recipients, is_patient, now)
    }

    pub(crate) fn start(&mut self, recipients: u32, now: Duration) {
        self.messages.start();
        self.recipients.start(recipients);
        self.patient.start(now);
    }

    /// So many recipients of a started message were left for another one.
    pub(crate) fn leave_out(&mut self, recipients: u32) {
        self.recipients.leave_out(recipients);
    }

    /// A message that started so long ago has ended; `reached_provider` is false if it certainly was not counted
    /// there.
    pub(crate) fn end(
        &mut self,
        recipients: u32,
        now: Duration,
        took: Duration,
        reached_provider: bool,
    ) {
        self.messages.end(now, took, reached_provider);
        self.recipients.end(now, recipients, reached_provider);
    }
}
