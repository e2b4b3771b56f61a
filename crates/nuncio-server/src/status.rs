//! How this node is: for `NodeService`, for the metrics and for readiness.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_cluster::etcd::EtcdState;
use nuncio_cluster::keyring::keys::Keys;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::JobStore;
use nuncio_core::ports::mail::MailTransport;
use nuncio_core::ports::sealed::SealedSettings;
use nuncio_core::ports::token::{TokenRequest, TokenSource};
use nuncio_core::settings::{Authentication, SavedSmtpSettings};
use nuncio_delivery::channel::{ChannelStatus, Channels};
use nuncio_nodes::lease::Duty;
use nuncio_nodes::membership::Reporter;
use nuncio_nodes::membership::report::{ChannelReport, ChannelState, MailboxReport, NodeReport};
use tokio::sync::watch;

use crate::VERSION;
use crate::config::Role;
use crate::grpc::certificates::Tls;

/// Looks at the parts of a node.
#[derive(Clone)]
pub struct NodeStatus {
    pub name: String,
    pub roles: BTreeSet<Role>,
    /// Where other nodes reach its gRPC: `host:port`.
    pub address: String,
    /// What it has in common with the nodes that have the same settings; none where they are its own.
    pub settings_home: Option<String>,
    pub started_at: Timestamp,
    /// The clock of the machine.
    pub machine: Arc<dyn Clock>,
    /// Whether `clock` is another one: that of a store which several nodes share.
    pub has_shared_clock: bool,
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn JobStore>,
    pub transport: Arc<dyn MailTransport>,
    pub tokens: Arc<dyn TokenSource>,
    pub settings: watch::Receiver<Option<Arc<SavedSmtpSettings>>>,
    /// Whether this node hears of new settings; none where they are its own.
    pub etcd: Option<watch::Receiver<EtcdState>>,
    pub channels: watch::Receiver<Channels>,
    /// What this node leads.
    pub led: watch::Receiver<BTreeSet<Duty>>,
    /// How many alarms of this node the MnT does not have yet.
    pub waiting_alarms: watch::Receiver<usize>,
    /// The keys of settings and mails.
    pub keys: Arc<Keys>,
    /// The settings, and what has sealed them.
    pub sealed_settings: Arc<dyn SealedSettings>,
    /// The certificate of gRPC; none if it is served in the clear.
    pub(crate) certificate: Option<watch::Receiver<Arc<Tls>>>,
}

/// How a node is at one moment.
#[derive(Clone, Debug)]
pub struct NodeSnapshot {
    pub settings: Option<Arc<SavedSmtpSettings>>,
    pub etcd: Option<EtcdState>,
    pub channels: Channels,
    /// What it leads.
    pub leads: BTreeSet<Duty>,
    pub connections: usize,
    pub token_expires_at: Option<Timestamp>,
    pub waiting_alarms: usize,
}

impl NodeStatus {
    /// Without a look into the store.
    pub async fn snapshot(&self) -> NodeSnapshot {
        let settings = self.settings.borrow().clone();
        let (channels, leads) = (self.channels.borrow().clone(), self.led.borrow().clone());
        NodeSnapshot {
            etcd: self.etcd.as_ref().map(|state| state.borrow().clone()),
            channels,
            leads,
            connections: self.transport.connections(),
            token_expires_at: self.token_expires_at(settings.as_deref()).await,
            waiting_alarms: *self.waiting_alarms.borrow(),
            settings,
        }
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

#[async_trait]
impl Reporter for NodeStatus {
    async fn report(&self) -> NodeReport {
        let settings = self.settings.borrow().clone();
        let channels = self.channels.borrow().clone();
        let etcd = self.etcd.as_ref().map(|state| state.borrow().clone());
        let ahead = self.machine.now().duration_since(self.clock.now()).as_millis();
        let ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
        NodeReport {
            name: self.name.clone(),
            roles: self.roles.iter().map(|role| role.name().to_owned()).collect(),
            version: VERSION.to_owned(),
            address: self.address.clone(),
            started_at: self.started_at,
            settings_home: self.settings_home.clone(),
            settings_generation: settings.as_ref().map_or(0, |saved| saved.generation),
            settings_trouble: settings_trouble(etcd.as_ref()),
            channel: channel(&channels.overall()),
            mailboxes: channels
                .0
                .iter()
                .map(|(mailbox, status)| MailboxReport {
                    mailbox: mailbox.to_string(),
                    channel: channel(status),
                })
                .collect(),
            connections: u32::try_from(self.transport.connections()).unwrap_or(u32::MAX),
            token_expires_at: self.token_expires_at(settings.as_deref()).await,
            waiting_alarms: *self.waiting_alarms.borrow() as u64,
            leads: self.led.borrow().iter().map(Duty::name).collect(),
            clock_ahead_ms: self.has_shared_clock.then_some(ahead),
            keys: self.keys.current().ids().map(ToString::to_string).collect(),
            first_key: self.keys.first().to_string(),
            writing_keys: self.keys.writing().iter().map(ToString::to_string).collect(),
            settings_keys: settings_keys(&*self.sealed_settings),
        }
    }
}

fn settings_keys(settings: &dyn SealedSettings) -> Vec<String> {
    let keys = settings.sealed_documents().into_iter().map(|sealed| sealed.key_id);
    keys.collect::<BTreeSet<_>>().into_iter().collect()
}

fn settings_trouble(etcd: Option<&EtcdState>) -> String {
    match etcd {
        None | Some(EtcdState::Connected) => String::new(),
        Some(EtcdState::Connecting) => "etcd has not answered yet".to_owned(),
        Some(EtcdState::Away(problem)) => problem.clone(),
    }
}

fn channel(status: &ChannelStatus) -> ChannelReport {
    let (state, trouble) = match status {
        ChannelStatus::NotConfigured => (ChannelState::NotConfigured, None),
        ChannelStatus::Standby => (ChannelState::Standby, None),
        ChannelStatus::Open => (ChannelState::Open, None),
        ChannelStatus::Paused { reason, retry_at } => {
            (ChannelState::Paused, Some((reason, *retry_at)))
        }
        ChannelStatus::Closed { reason, retry_at } => {
            (ChannelState::Closed, Some((reason, *retry_at)))
        }
    };
    let (reason, remedy, retry_at) = match trouble {
        Some((reason, retry_at)) => {
            let text = format!("{}: {}", reason.code, reason.message);
            (text, reason.remedy.clone(), Some(retry_at))
        }
        None => (String::new(), String::new(), None),
    };
    ChannelReport { state, reason, remedy, retry_at }
}
