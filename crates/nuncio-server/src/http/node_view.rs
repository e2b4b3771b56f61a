//! A node as probes and Prometheus see it.

use std::time::Duration;

use async_trait::async_trait;
use nuncio_cluster::etcd::EtcdState;
use nuncio_core::ports::job_store::{Backlog, JobStore};
use nuncio_delivery::channel::ChannelStatus;
use nuncio_nodes::lease::Duty;
use nuncio_nodes::membership::Membership;
use nuncio_runtime::chain::Chain;
use tokio::time::timeout;
use tracing::warn;

use crate::http::NodeView;
use crate::metrics::gauges::{DueFor, Gauges, Way, client_secret_expires_at};
use crate::status::NodeStatus;

/// How long the store may take to tell what waits, so that the rest is still scraped in time.
const STORE_TIMEOUT: Duration = Duration::from_secs(3);

/// A node, and what it knows of the others.
pub(crate) struct WatchedNode {
    pub(crate) status: NodeStatus,
    pub(crate) membership: Membership,
}

#[async_trait]
impl NodeView for WatchedNode {
    async fn gauges(&self) -> Gauges {
        let Self { status, membership } = self;
        let snapshot = status.snapshot().await;
        let backlog = backlog(&*status.store).await;
        let now = status.clock.now();
        let settings = snapshot.settings.as_deref();
        let ways = snapshot.channels.0.iter();
        let ways = ways.filter_map(|(mailbox, way)| Some((mailbox.to_string(), Way::of(way)?)));
        let nodes = membership.counts();
        Gauges {
            started_at: Some(status.started_at),
            store_up: Some(backlog.is_some()),
            due_for: backlog.as_ref().map(|backlog| DueFor::of(backlog, now)),
            backlog,
            mailboxes: ways.collect(),
            smtp_connections: Some(snapshot.connections),
            channel_open: match snapshot.channels.overall() {
                ChannelStatus::Standby => None,
                ChannelStatus::Open => Some(true),
                ChannelStatus::NotConfigured
                | ChannelStatus::Paused { .. }
                | ChannelStatus::Closed { .. } => Some(false),
            },
            leads: snapshot.leads.iter().map(Duty::name).collect(),
            settings_generation: settings.map(|saved| saved.generation),
            settings_followed: snapshot.etcd.map(|state| state == EtcdState::Connected),
            waiting_alarms: Some(snapshot.waiting_alarms),
            live_nodes: Some(nodes.live),
            dead_nodes: Some(nodes.dead),
            clock_ahead: Some(status.machine.now().duration_since(now).as_secs()),
            oauth_token_expires_at: snapshot.token_expires_at,
            client_secret_expires_at: settings
                .and_then(|saved| client_secret_expires_at(&saved.settings)),
            grpc_certificate_expires_at: status
                .certificate
                .as_ref()
                .map(|tls| tls.borrow().not_after),
        }
    }

    /// A node without settings or with a closed channel is ready: it stores jobs, and takes settings.
    async fn not_ready(&self) -> Vec<String> {
        match self.status.store.last_change().await {
            Ok(_) => Vec::new(),
            // The cause is for the log; anybody may ask this port.
            Err(error) => {
                warn!("not ready: {}", Chain(&error));
                vec![error.to_string()]
            }
        }
    }
}

/// What waits in the store; nothing if it does not tell.
async fn backlog(store: &dyn JobStore) -> Option<Backlog> {
    match timeout(STORE_TIMEOUT, store.backlog()).await {
        Ok(Ok(backlog)) => Some(backlog),
        Ok(Err(error)) => {
            warn!("metrics are scraped without the backlog: {}", Chain(&error));
            None
        }
        Err(_elapsed) => {
            warn!("metrics are scraped without the backlog: the store does not answer in time");
            None
        }
    }
}
