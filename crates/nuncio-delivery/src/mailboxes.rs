//! The mailboxes of the settings: each sends by itself, within its own budget and over its own channel.
//!
//! Of several nodes with one store, one at a time sends for a mailbox. So its budget is counted in one place, and never
//! more connections are open than it has; the store tells the next node what was used before.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nuncio_core::address::EmailAddress;
use nuncio_nodes::election::Leadership;
use nuncio_nodes::lease::Duty;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::channel::ChannelStatus;
use crate::delivery::Delivery;
use crate::dispatcher::Dispatcher;

/// How long other nodes may take a mailbox over that this one has left to them. They look each second.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(5);
/// How rarely a node leaves a mailbox to others: while nobody reaches the provider, it would go round and round.
const YIELD_PERIOD: Duration = Duration::from_mins(15);

/// Runs a dispatcher for each mailbox, as the settings name them and this node leads.
pub(crate) struct Mailboxes {
    delivery: Delivery,
    dispatchers: JoinSet<EmailAddress>,
    /// How those that run are told to stop.
    stops: BTreeMap<EmailAddress, CancellationToken>,
}

impl Mailboxes {
    pub(crate) fn new(delivery: Delivery) -> Self {
        Self { delivery, dispatchers: JoinSet::new(), stops: BTreeMap::new() }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut settings = self.delivery.settings.clone();
        if settings.borrow().is_none() {
            info!("waiting for smtp settings");
        }
        while !stop.is_cancelled() {
            let saved = settings.borrow_and_update().clone();
            let wanted = saved.iter().flat_map(|saved| saved.settings.mailboxes());
            self.run_these(wanted.cloned().collect());
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Ok(()) = settings.changed() => {}
                Some(end) = self.dispatchers.join_next() => self.ended(end),
            }
        }
        self.run_these(Vec::new());
        while let Some(end) = self.dispatchers.join_next().await {
            self.ended(end);
        }
        Ok(())
    }

    /// Starts the dispatchers that are missing, and has those end that nobody wants. One that is ending
    /// is started again only when it has ended: no mailbox may send twice as much.
    fn run_these(&mut self, wanted: Vec<EmailAddress>) {
        for (mailbox, stop) in &self.stops {
            if !wanted.contains(mailbox) {
                stop.cancel();
            }
        }
        for mailbox in wanted {
            if !self.stops.contains_key(&mailbox) {
                let stop = CancellationToken::new();
                self.stops.insert(mailbox.clone(), stop.clone());
                let delivery = self.delivery.clone();
                self.dispatchers.spawn(async move {
                    send_while_leading(&delivery, &mailbox, stop).await;
                    mailbox
                });
            }
        }
    }

    fn ended(&mut self, end: Result<EmailAddress, JoinError>) {
        match end {
            Ok(mailbox) => {
                self.stops.remove(&mailbox);
                self.delivery.channels.send_modify(|channels| drop(channels.0.remove(&mailbox)));
            }
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_aborted) => {}
        }
    }
}

/// Sends for a mailbox whenever it is this node's turn, until `stop` is cancelled.
async fn send_while_leading(delivery: &Delivery, mailbox: &EmailAddress, stop: CancellationToken) {
    let yielded_at = Mutex::new(None);
    let lock = || yielded_at.lock().unwrap_or_else(PoisonError::into_inner);
    let work = async |leadership: Leadership| {
        let yields = lock().is_none_or(|at: Instant| YIELD_PERIOD <= at.elapsed());
        let dispatcher = Dispatcher::new(delivery.clone(), mailbox.clone(), leadership, yields);
        let has_yielded = dispatcher.run().await;
        delivery.transport.close_idle(mailbox).await;
        stand_by(delivery, mailbox);
        if !has_yielded {
            return Duration::ZERO;
        }
        warn!(%mailbox, "this node does not reach the provider; others may try");
        *lock() = Some(Instant::now());
        LEFT_TO_OTHERS
    };
    stand_by(delivery, mailbox);
    delivery.elections.lead(Duty::Mailbox(mailbox.clone()), stop, work).await;
}

/// Says that another node sends for a mailbox, if there are others.
fn stand_by(delivery: &Delivery, mailbox: &EmailAddress) {
    if delivery.elections.is_alone() {
        return;
    }
    delivery.channels.send_modify(|channels| {
        drop(channels.0.insert(mailbox.clone(), ChannelStatus::Standby));
    });
}
