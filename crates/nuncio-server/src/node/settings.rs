//! Where the settings of a node are.

use std::sync::Arc;

use nuncio_cluster::embedded::EmbeddedCluster;
use nuncio_cluster::etcd::EtcdCluster;
use nuncio_cluster::keyring::keys::Keys;
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::sealed::SealedSettings;
use nuncio_core::ports::settings::SettingsShare;

use crate::config::Config;
use crate::node::StartError;
use crate::node::adapters::new_uuid;
use crate::store::Store;
use crate::store::identity::identity;

/// The settings of this node, or of the cluster to which it belongs.
pub(super) struct Settings {
    pub(super) share: Arc<dyn SettingsShare>,
    /// The same, and what has sealed them.
    pub(super) sealed: Arc<dyn SealedSettings>,
    pub(super) etcd: Option<EtcdCluster>,
}

impl Settings {
    /// `store` is that of this node.
    pub(super) async fn open(
        config: &Config,
        keys: &Arc<Keys>,
        (store, clock, entropy): (&Store, &dyn Clock, &dyn Entropy),
    ) -> Result<Self, StartError> {
        let keys = Arc::clone(keys);
        let Some(etcd) = &config.etcd else {
            let settings = EmbeddedCluster::open(&config.data_dir, keys)?;
            let (share, sealed) = (Arc::new(settings.clone()), Arc::new(settings));
            return Ok(Self { share, sealed, etcd: None });
        };
        let id = identity(&*store.records(), new_uuid(clock, entropy), clock.now()).await;
        let id = id.map_err(StartError::Identity)?;
        let etcd = EtcdCluster::open(etcd, &config.data_dir, keys, &id).await?;
        let (share, sealed) = (Arc::new(etcd.clone()), Arc::new(etcd.clone()));
        Ok(Self { share, sealed, etcd: Some(etcd) })
    }
}
