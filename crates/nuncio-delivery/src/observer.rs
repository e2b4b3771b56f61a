//! Who wants to know what delivery does, for example to count it.

use std::time::Duration;

use nuncio_core::address::EmailAddress;
use nuncio_core::class::MailClass;
use nuncio_core::job::{Job, JobState, Reason};
use nuncio_core::ports::job_store::StoreError;

/// Is told what happens. Its methods must return at once.
pub trait DeliveryObserver: Send + Sync {
    /// A new job was stored.
    fn job_accepted(&self, class: MailClass);

    /// An attempt has ended; `outcome` is `SENT` or the code of a reason.
    fn attempt_ended(&self, class: MailClass, outcome: &str, elapsed: Duration);

    /// A job has come to a final state.
    fn job_ended(&self, class: MailClass, state: JobState);

    /// Something that a person must know of; told once, until it is over.
    fn alarm_raised(&self, alarm: &Alarm);

    /// It is over. Also told when a mailbox sends for the first time in the life of the node: then what an
    /// earlier life has raised is over.
    fn alarm_cleared(&self, kind: AlarmKind, mailbox: &EmailAddress);

    /// The provider does not let its mailbox send as this sender. Told with each refusal.
    fn sender_refused(&self, _sender: &EmailAddress, _reason: &Reason) {}

    /// A sender that was refused may send again, as far as is known.
    fn sender_taken(&self, _sender: &EmailAddress) {}

    /// What is used of the recipients that a mailbox may reach in a day, whenever it has changed; nothing if there is no
    /// limit, or from when this node sends for the mailbox no more.
    fn day_used(&self, _mailbox: &EmailAddress, _day: Option<RecipientsOfDay>) {}

    /// Whether the store had no room for what was to be stored. Told very often, so it must cost nothing.
    fn store_full(&self, _is_full: bool) {}
}

/// Recipients within the last 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecipientsOfDay {
    pub used: u32,
    pub limit: u32,
}

/// What a person must know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    pub kind: AlarmKind,
    pub mailbox: EmailAddress,
    pub reason: Reason,
}

/// The types of alarms that delivery raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlarmKind {
    /// The provider refuses to let this mailbox send, and nothing but a change will help.
    MailboxClosed,
    /// The provider cannot be reached, or takes nothing, for longer than a mail should have to wait.
    MailProviderDown,
}

impl AlarmKind {
    pub const ALL: [Self; 2] = [Self::MailboxClosed, Self::MailProviderDown];

    /// The id of its type.
    pub fn name(self) -> &'static str {
        match self {
            Self::MailboxClosed => "mailbox-closed",
            Self::MailProviderDown => "mail-provider-down",
        }
    }
}

/// Tells of those jobs that have come to a final state.
pub fn tell_ended<'a>(observer: &dyn DeliveryObserver, jobs: impl IntoIterator<Item = &'a Job>) {
    for job in jobs.into_iter().filter(|job| job.state.is_final()) {
        observer.job_ended(job.class, job.state);
    }
}

/// Tells whether the store had room; what else went wrong says nothing about it.
pub fn tell_room(observer: &dyn DeliveryObserver, problem: Option<&StoreError>) {
    match problem {
        None => observer.store_full(false),
        Some(StoreError::Full(_)) => observer.store_full(true),
        Some(StoreError::Unusable(_)) => {}
    }
}
