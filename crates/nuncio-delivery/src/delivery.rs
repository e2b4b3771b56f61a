//! Delivery as a part of a role.

use std::sync::Arc;
use std::time::Duration;

use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::job_store::{Incarnation, JobStore};
use nuncio_core::ports::mail::MailTransport;
use nuncio_core::settings::SavedSmtpSettings;
use nuncio_core::settings::document::SavedDocument;
use nuncio_nodes::election::Elections;
use nuncio_runtime::tasks::{TaskError, Tasks};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::channel::Channels;
use crate::housekeeping::Housekeeping;
use crate::mailboxes::Mailboxes;
use crate::observer::DeliveryObserver;
use crate::senders::Senders;

/// Everything that delivery needs. It builds none of it, so a test can bring its own.
#[derive(Clone)]
pub struct Delivery {
    pub store: Arc<dyn JobStore>,
    pub transport: Arc<dyn MailTransport>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub observer: Arc<dyn DeliveryObserver>,
    pub senders: Senders,
    pub settings: watch::Receiver<Option<Arc<SavedSmtpSettings>>>,
    /// The trust store. Only that it changes counts: a channel that has closed is then tried again.
    pub trusted: watch::Receiver<Option<Arc<SavedDocument>>>,
    /// Told at each change of a mailbox's channel.
    pub channels: watch::Sender<Channels>,
    /// The life of this node.
    pub incarnation: Incarnation,
    /// Of the nodes with this store one sends for a mailbox: its connections and its budget are not to be shared out.
    pub elections: Elections,
    /// How long a node that has died keeps its jobs from others. Leases are extended while mails are under way.
    pub lease: Duration,
    /// How long an ended job is kept.
    pub retention: Duration,
    /// How long mails that are under way at a shutdown may take to end.
    pub drain_timeout: Duration,
}

impl Delivery {
    /// Sends what is due until `shutdown` is cancelled; then lets the mails under way end, bounded.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), TaskError> {
        let mut tasks = Tasks::new(&shutdown);
        let housekeeping = Housekeeping {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            observer: Arc::clone(&self.observer),
            retention: self.retention,
            lease: self.lease,
        };
        tasks.spawn("housekeeping", |stop| housekeeping.run(stop));
        let drain_timeout = self.drain_timeout;
        tasks.spawn("mailboxes", |stop| Mailboxes::new(self).run(stop));
        tasks.join(drain_timeout).await
    }
}
