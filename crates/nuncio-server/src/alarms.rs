//! The alarms of this node: where its parts tell them, and how they get to the MnT.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use nuncio_alarms::courier::Courier;
use nuncio_alarms::forwarder::{AlarmReceiver, Forwarder};
use nuncio_alarms::last_resort::LastResort;
use nuncio_alarms::mnt_client::MntClient;
use nuncio_alarms::outbox::Outbox;
use nuncio_alarms::route_service::AlarmRoutes;
use nuncio_alarms::standing::StandingAlarms;
use nuncio_api::client::Credentials;
use nuncio_api::v1::alarm_route_service_server::AlarmRouteServiceServer;
use nuncio_core::ports::alarms::AlarmSink;
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::records::RecordStore;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::ports::trust::Authorities;
use nuncio_delivery::observer::DeliveryObserver;
use nuncio_routes::sender::Sender;
use nuncio_runtime::tasks::Tasks;
use tokio::sync::watch;
use tracing::info;

use crate::config::{Config, Role};
use crate::grpc::certificates::Calls;
use crate::mnts::Mnts;
use crate::node::StartError;
use crate::trust::TrustingRoutes;

/// The parts of a node that keep and tell its alarms.
pub(crate) struct NodeAlarms {
    outbox: Arc<Outbox>,
    standing: Arc<StandingAlarms>,
    /// None while nobody has said where an MnT is: then alarms wait.
    receiver: Option<Arc<dyn AlarmReceiver>>,
    /// Only where the MnT is.
    courier: Option<Courier>,
    entropy: Arc<dyn Entropy>,
}

impl NodeAlarms {
    /// `observer` hears of everything that delivery does.
    pub(crate) async fn open(
        config: &Config,
        records: Arc<dyn RecordStore>,
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
        observer: Arc<dyn DeliveryObserver>,
    ) -> Result<Self, StartError> {
        let node = config.node_name.as_str();
        let outbox = Outbox::new(records, Arc::clone(&clock), Arc::clone(&entropy), node);
        outbox.look().await.map_err(StartError::Outbox)?;
        let outbox = Arc::new(outbox);
        let standing = Arc::new(StandingAlarms::new(observer, clock, node));
        Ok(Self { outbox, standing, receiver: None, courier: None, entropy })
    }

    /// Says where the alarms go: to the configured MnT, to this node itself, which serves gRPC at `address`, or to those of
    /// its store.
    pub(crate) fn find_mnt(
        &mut self,
        config: &Config,
        (address, calls): (SocketAddr, &Calls),
        of_store: impl FnOnce() -> Option<Mnts>,
    ) -> Result<(), StartError> {
        self.receiver = match mnt(config, address, calls) {
            Some((mnt, credentials)) => Some(Arc::new(MntClient::new(&mnt, credentials)?)),
            None => of_store().map(|mnts| Arc::new(mnts) as _),
        };
        if self.receiver.is_none() {
            info!("alarms of this node wait on its disk: no `peers.mnt`, no role mnt");
        }
        Ok(())
    }

    /// Takes the alarms of this node's parts.
    pub(crate) fn sink(&self) -> Arc<dyn AlarmSink> {
        Arc::<Outbox>::clone(&self.outbox)
    }

    /// Hears of delivery.
    pub(crate) fn observer(&self) -> Arc<dyn DeliveryObserver> {
        Arc::<StandingAlarms>::clone(&self.standing)
    }

    /// How many alarms wait.
    pub(crate) fn waiting(&self) -> watch::Receiver<usize> {
        self.outbox.waiting()
    }

    /// Has this node tell people past the mail, too. Returns the service that looks after the routes.
    pub(crate) fn second_route(
        &mut self,
        node: &str,
        (records, settings): (Arc<dyn RecordStore>, Arc<dyn SettingsShare>),
        authorities: Arc<dyn Authorities>,
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
    ) -> AlarmRouteServiceServer<AlarmRoutes> {
        let sender = Sender::new(Arc::clone(&clock), node);
        let sender = Arc::new(TrustingRoutes { inner: sender, authorities });
        let courier = Courier { records, settings: Arc::clone(&settings), sender, clock, entropy };
        self.courier = Some(courier.clone());
        AlarmRouteServiceServer::new(AlarmRoutes { courier, settings, node: node.to_owned() })
    }

    pub(crate) fn spawn(self, tasks: &mut Tasks) {
        let sink = self.sink();
        let standing = self.standing;
        let last_resort = LastResort {
            receiver: self.receiver.clone(),
            courier: self.courier.clone(),
            entropy: Arc::clone(&self.entropy),
            told: BTreeSet::new(),
        };
        tasks.spawn("alarms", |stop| standing.run(sink, last_resort, stop));
        if let Some(receiver) = self.receiver {
            let forwarder = Forwarder { outbox: self.outbox, receiver, entropy: self.entropy };
            tasks.spawn("alarms to the MnT", |stop| forwarder.run(stop));
        }
        if let Some(courier) = self.courier {
            tasks.spawn("second route", |stop| courier.run(stop));
        }
    }
}

/// Where the MnT is, and how this node calls it.
fn mnt<'a>(
    config: &Config,
    address: SocketAddr,
    calls: &'a Calls,
) -> Option<(String, &'a Credentials)> {
    if let Some(mnt) = &config.mnt {
        return Some((mnt.as_str().to_owned(), &calls.peers));
    }
    let mut own = address;
    if own.ip().is_unspecified() {
        own.set_ip(match own.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let scheme = if config.grpc_tls.is_some() { "https" } else { "http" };
    config.roles.contains(&Role::Mnt).then(|| (format!("{scheme}://{own}"), &calls.own))
}
