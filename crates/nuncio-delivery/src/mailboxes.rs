//! The mailboxes of the settings: each sends by itself, within its own budget and over its own channel.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::panic::resume_unwind;

use nuncio_core::address::EmailAddress;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::delivery::Delivery;
use crate::dispatcher::Dispatcher;

/// Runs a dispatcher for each mailbox, as the settings name them.
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
        self.delivery.transport.close_idle().await;
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
                let dispatcher = Dispatcher::new(self.delivery.clone(), mailbox.clone());
                self.dispatchers.spawn(async move {
                    dispatcher.run(stop).await;
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
