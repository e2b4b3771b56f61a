//! Mails that are claimed while every connection has one, so that none waits for the disk between two mails.

use std::collections::VecDeque;
use std::sync::Arc;

use nuncio_core::ports::job_store::Claimed;
use nuncio_core::settings::SavedSmtpSettings;
use tokio::time::Instant;

/// A mail that was claimed with the note that its body goes out, and waits for a connection.
pub(crate) struct Waiting {
    pub(crate) settings: Arc<SavedSmtpSettings>,
    pub(crate) claimed: Claimed,
    /// Until when the note stands. Nobody keeps its lease alive: if it is still here then, it goes back.
    pub(crate) entered: Instant,
}

/// The mails that wait for a connection, the most urgent first.
#[derive(Default)]
pub(crate) struct Ahead {
    waiting: VecDeque<Waiting>,
}

impl Ahead {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn push(&mut self, one: Waiting) {
        let urgency =
            |one: &Waiting| (one.claimed.job.class, one.claimed.job.due_at, one.claimed.job.id);
        let place = self.waiting.partition_point(|other| urgency(other) <= urgency(&one));
        self.waiting.insert(place, one);
    }

    pub(crate) fn first(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// The next mail for a connection that is free.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// When the first of them has to go back.
    pub(crate) fn goes_back_at(&self) -> Option<Instant> {
        self.waiting.iter().map(|one| one.entered).min()
    }

    /// Those that have waited too long.
    pub(crate) fn take_late(&mut self, now: Instant) -> Vec<Waiting> {
        let (late, waiting) = self.waiting.drain(..).partition(|one| one.entered <= now);
        self.waiting = waiting;
        Vec::from(late)
    }

    pub(crate) fn take_all(&mut self) -> VecDeque<Waiting> {
        std::mem::take(&mut self.waiting)
    }
}
