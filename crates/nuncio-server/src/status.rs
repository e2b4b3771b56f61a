//! How this node is: for `NodeService`, for the metrics and for readiness.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use nuncio_cluster::etcd::EtcdState;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::{Backlog, JobStore, StoreError};
use nuncio_core::ports::mail::MailTransport;
use nuncio_core::ports::token::{TokenRequest, TokenSource};
use nuncio_core::settings::{Authentication, SavedSmtpSettings};
use nuncio_delivery::channel::Channels;
use nuncio_nodes::lease::Duty;
use tokio::sync::watch;

use crate::config::Role;
use crate::grpc::certificates::Tls;

/// Looks at the parts of a node.
#[derive(Clone)]
pub struct NodeStatus {
    pub name: String,
    pub roles: BTreeSet<Role>,
    pub address: SocketAddr,
    pub started_at: Timestamp,
    /// The clock of the machine.
    pub machine: Arc<dyn Clock>,
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn JobStore>,
    pub transport: Arc<dyn MailTransport>,
    pub tokens: Arc<dyn TokenSource>,
    pub settings: watch::Receiver<Option<Arc<SavedSmtpSettings>>>,
    /// Whether this node hears of new settings; none where they are its own.
    pub etcd: Option<watch::Receiver<EtcdState>>,
    pub channels: watch::Receiver<Channels>,
    /// What this node leads, with the term.
    pub led: watch::Receiver<BTreeMap<Duty, i64>>,
    /// How many alarms of this node the MnT does not have yet.
    pub waiting_alarms: watch::Receiver<usize>,
    /// The certificate of gRPC; none if it is served in the clear.
    pub(crate) certificate: Option<watch::Receiver<Arc<Tls>>>,
}

/// How a node is at one moment.
#[derive(Clone, Debug)]
pub struct NodeSnapshot {
    pub at: Timestamp,
    pub settings: Option<Arc<SavedSmtpSettings>>,
    pub etcd: Option<EtcdState>,
    pub channels: Channels,
    /// What it leads, with the term.
    pub leads: BTreeMap<Duty, i64>,
    pub connections: usize,
    pub token_expires_at: Option<Timestamp>,
    pub backlog: Backlog,
    pub waiting_alarms: usize,
}

impl NodeStatus {
    pub async fn snapshot(&self) -> Result<NodeSnapshot, StoreError> {
        let settings = self.settings.borrow().clone();
        let (channels, leads) = (self.channels.borrow().clone(), self.led.borrow().clone());
        Ok(NodeSnapshot {
            at: self.clock.now(),
            etcd: self.etcd.as_ref().map(|state| state.borrow().clone()),
            channels,
            leads,
            connections: self.transport.connections(),
            token_expires_at: self.token_expires_at(settings.as_deref()).await,
            backlog: self.store.backlog().await?,
            waiting_alarms: *self.waiting_alarms.borrow(),
            settings,
        })
    }

    async fn token_expires_at(&self, saved: Option<&SavedSmtpSettings>) -> Option<Timestamp> {
        let settings = &saved?.settings;
        match &settings.authentication {
            Authentication::None | Authentication::Password { .. } => None,
            Authentication::Oauth(client) => {
                self.tokens.cached_until(TokenRequest::of(settings, client)).await
            }
        }
    }
}
