//! One of several nodes with the store of a sandbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use nuncio_core::address::EmailAddress;
use nuncio_core::outcome::SendOutcome;
use nuncio_core::ports::job_store::Incarnation;
use nuncio_core::ports::mail::{BodyGate, MailTransport, OutgoingMail};
use nuncio_core::ports::records::RecordStore;
use nuncio_core::settings::SavedSmtpSettings;
use nuncio_nodes::election::Elections;
use nuncio_runtime::tasks::TaskError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Provider, Sandbox, unavailable};
use crate::channel::{ChannelStatus, Channels};
use crate::delivery::Delivery;

/// A node among others.
pub(in crate::tests) struct Seat {
    way: Arc<Way>,
    channels: watch::Receiver<Channels>,
    shutdown: CancellationToken,
    running: JoinSet<Result<(), TaskError>>,
}

/// The way of one node to the provider.
struct Way {
    provider: Arc<Provider>,
    is_cut: AtomicBool,
    sent: AtomicUsize,
}

impl Sandbox {
    /// Starts one more node over the store and the provider of this sandbox.
    pub(in crate::tests) fn seat(&self, name: &str) -> Seat {
        let way = Arc::new(Way {
            provider: Arc::clone(&self.provider),
            is_cut: AtomicBool::new(false),
            sent: AtomicUsize::new(0),
        });
        let (channels, channels_seen) = watch::channel(Channels::default());
        let (incarnation, shutdown) = (Incarnation(name.to_owned()), CancellationToken::new());
        let records = Arc::clone(&self.store.inner) as Arc<dyn RecordStore>;
        let clock = Arc::clone(&self.delivery.clock);
        let elections = Elections::among(records, clock, incarnation.clone(), name.to_owned());
        let delivery = Delivery {
            transport: Arc::<Way>::clone(&way),
            channels,
            incarnation,
            elections,
            ..self.delivery.clone()
        };
        let mut running = JoinSet::new();
        running.spawn(delivery.run(shutdown.clone()));
        Seat { way, channels: channels_seen, shutdown, running }
    }
}

impl Seat {
    /// How many mails it has handed over.
    pub(in crate::tests) fn sent(&self) -> usize {
        self.way.sent.load(Ordering::Relaxed)
    }

    /// This node does not reach the provider any more.
    pub(in crate::tests) fn cut(&self) {
        self.way.is_cut.store(true, Ordering::Relaxed);
    }

    pub(in crate::tests) fn channel(&self) -> ChannelStatus {
        self.channels.borrow().overall()
    }

    /// It dies with all that it does.
    pub(in crate::tests) fn die(mut self) {
        self.running.abort_all();
    }

    pub(in crate::tests) async fn stop(mut self) {
        self.shutdown.cancel();
        self.running.join_next().await.unwrap().unwrap().unwrap();
    }
}

#[async_trait]
impl MailTransport for Way {
    async fn send(
        &self,
        settings: &SavedSmtpSettings,
        mailbox: &EmailAddress,
        mail: &OutgoingMail,
        gate: &dyn BodyGate,
    ) -> SendOutcome {
        if self.is_cut.load(Ordering::Relaxed) {
            return unavailable();
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.provider.send(settings, mailbox, mail, gate).await
    }

    fn ready(&self, mailbox: &EmailAddress) -> usize {
        self.provider.ready(mailbox)
    }

    fn connections(&self) -> usize {
        self.provider.connections()
    }

    async fn close_idle(&self, mailbox: &EmailAddress) {
        self.provider.close_idle(mailbox).await;
    }
}
