//! What a node has to do with the other ones.

use std::net::SocketAddr;
use std::sync::Arc;

use nuncio_core::ports::mail::NodeTesters;
use nuncio_nodes::membership::Membership;

use crate::alarms::NodeAlarms;
use crate::config::Config;
use crate::grpc::certificates::Calls;
use crate::mnts::Mnts;
use crate::node::StartError;
use crate::node::adapters::Adapters;
use crate::node_tests::OtherNodes;
use crate::peers::Peers;
use crate::status::NodeStatus;

/// What this node has in common with those that have the same settings; none where they are its own.
pub(super) fn settings_home(config: &Config) -> Option<String> {
    config.etcd.as_ref().map(|etcd| format!("etcd {}", etcd.prefix))
}

impl Adapters {
    /// What this node knows of those with which it shares its store; they know of it from now on.
    pub(super) async fn membership(&self, status: &NodeStatus) -> Membership {
        let (clock, incarnation) = (Arc::clone(&self.clock), self.incarnation.clone());
        let reporter = Arc::new(status.clone());
        if !self.store.is_shared() {
            return Membership::alone(clock, incarnation, reporter);
        }
        let records = self.store.records();
        let membership = Membership::shared(records, clock, incarnation, reporter);
        membership.join().await;
        membership
    }

    /// Tests from the nodes that have the settings of this one.
    pub(super) fn testers(&self, config: &Config, membership: &Membership) -> Arc<dyn NodeTesters> {
        Arc::new(OtherNodes {
            membership: membership.clone(),
            own: Arc::clone(&self.tester),
            settings_home: settings_home(config),
            peers: self.peers(config),
        })
    }

    /// Has the alarms of this node, which serves gRPC at `address`, told to an MnT: to those of its store, where nobody
    /// else is named and somebody shares it.
    pub(super) fn find_mnt(
        &self,
        alarms: &mut NodeAlarms,
        config: &Config,
        address: SocketAddr,
        membership: &Membership,
    ) -> Result<(), StartError> {
        let of_store = || Mnts::new(membership.clone(), self.peers(config));
        alarms.find_mnt(config, (address, &self.calls()), || self.store.is_shared().then(of_store))
    }

    /// How this node calls itself and others.
    pub(super) fn calls(&self) -> Calls {
        let calls = self.certificates.as_ref().map(|tls| tls.calls(&self.own_token));
        calls.unwrap_or_default()
    }

    fn peers(&self, config: &Config) -> Peers {
        Peers {
            is_insecure_allowed: config.grpc_insecure,
            credentials: self.certificates.is_some().then(|| self.calls().peers),
        }
    }
}
