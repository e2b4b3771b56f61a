//! What a node has to do with the other ones.

use std::sync::Arc;

use nuncio_core::ports::mail::NodeTesters;
use nuncio_nodes::membership::Membership;

use crate::config::Config;
use crate::node::Adapters;
use crate::node_tests::OtherNodes;
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
            is_insecure_allowed: config.grpc_insecure,
            credentials: self.certificates.as_ref().map(|tls| tls.calls(&self.own_token).peers),
        })
    }
}
