//! What was used of a mailbox's budget before its dispatcher began.

use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::ports::job_store::{Incarnation, JobStore, MailboxUsage, StoreError};
use nuncio_core::settings::MailboxLimits;
use nuncio_runtime::chain::Chain;
use std::sync::Arc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{error, warn};

use crate::budget::Budget;

/// The pause between two questions to a store that cannot be used.
const PAUSE: Duration = Duration::from_secs(1);
/// How many questions in vain there are to a line in the log, after the first one.
const TRIES_TOLD: u32 = 60;

/// Asks the store what was used of a mailbox's budget before this dispatcher began, until it answers.
///
/// The provider's minute and day go on over a restart of this node. It is asked for when there is a limit to keep:
/// after a day of a million mails the answer takes a second.
pub(crate) struct History {
    mailbox: EmailAddress,
    began_at: Timestamp,
    is_known: bool,
    asking: JoinSet<Result<Vec<MailboxUsage>, StoreError>>,
    tries: u32,
    ask_again_at: Instant,
}

/// What a dispatcher knows of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// All that it must.
    Known,
    /// The store has to be asked.
    Unknown,
    /// The store is asked; nothing is new before this moment, or before it answers.
    AskedFor(Option<Instant>),
}

impl History {
    pub(crate) fn before(began_at: Timestamp, mailbox: EmailAddress) -> Self {
        Self {
            mailbox,
            began_at,
            is_known: false,
            asking: JoinSet::new(),
            tries: 0,
            ask_again_at: Instant::now(),
        }
    }

    /// Without limits nobody need know it.
    pub(crate) fn past(&self, limits: &MailboxLimits) -> Past {
        let is_limited =
            limits.messages_per_minute_max.is_some() || limits.recipients_per_day_max.is_some();
        if self.is_known || !is_limited {
            Past::Known
        } else if !self.asking.is_empty() {
            Past::AskedFor(None)
        } else if Instant::now() < self.ask_again_at {
            Past::AskedFor(Some(self.ask_again_at))
        } else {
            Past::Unknown
        }
    }

    pub(crate) fn ask(&mut self, store: Arc<dyn JobStore>, asker: Incarnation) {
        let began_at = self.began_at;
        self.asking.spawn(async move { store.usage(began_at, &asker).await });
    }

    /// Waits for the store's answer; nothing if it was not asked.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        self.asking.join_next().await.map(Answer)
    }

    /// Counts what was used. The dispatcher began `elapsed` ago, by a clock that nobody sets.
    pub(crate) fn learn(&mut self, answer: Answer, budget: &mut Budget, elapsed: Duration) {
        self.tries = self.tries.saturating_add(1);
        match answer.0 {
            Ok(Ok(usage)) => {
                self.is_known = true;
                for one in usage.iter().rev().filter(|one| self.is_ours(one)) {
                    let before = self.began_at.duration_since(one.ended_at);
                    let ago = Duration::try_from(before).unwrap_or_default() + elapsed;
                    budget.restore(elapsed, ago, one.messages, one.recipients);
                }
                return;
            }
            Ok(Err(error)) if self.tries % TRIES_TOLD == 1 => warn!(
                mailbox = %self.mailbox,
                tries = self.tries,
                "nothing is sent until it is known what was sent before: {}",
                Chain(&error)
            ),
            Ok(Err(_told_before)) => {}
            Err(panic) => error!("the question what was sent before panicked: {panic}"),
        }
        self.ask_again_at = Instant::now() + PAUSE;
    }

    /// A use of nobody knows whom may have been this mailbox's. What came later is counted already.
    fn is_ours(&self, one: &MailboxUsage) -> bool {
        one.ended_at <= self.began_at
            && one.mailbox.as_ref().is_none_or(|mailbox| *mailbox == self.mailbox)
    }
}

/// What the store has answered.
pub(crate) struct Answer(Result<Result<Vec<MailboxUsage>, StoreError>, JoinError>);
