//! A node as probes and Prometheus see it.

use async_trait::async_trait;
use nuncio_cluster::etcd::EtcdState;
use nuncio_delivery::channel::ChannelStatus;
use nuncio_nodes::lease::Duty;
use nuncio_nodes::membership::Membership;
use nuncio_runtime::chain::Chain;
use tracing::warn;

use crate::http::NodeView;
use crate::metrics::gauges::{Gauges, client_secret_expires_at};
use crate::status::NodeStatus;

/// A node, and what it knows of the others.
pub(crate) struct WatchedNode {
    pub(crate) status: NodeStatus,
    pub(crate) membership: Membership,
}

#[async_trait]
impl NodeView for WatchedNode {
    async fn gauges(&self) -> Gauges {
        let Self { status, membership } = self;
        let snapshot = match status.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                warn!("metrics are scraped without gauges: {}", Chain(&error));
                return Gauges::default();
            }
        };
        let settings = snapshot.settings.as_deref();
        Gauges {
            backlog: Some(snapshot.backlog),
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
            live_nodes: Some(membership.live()),
            clock_ahead: Some(status.machine.now().duration_since(status.clock.now()).as_secs()),
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
