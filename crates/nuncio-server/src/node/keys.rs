//! What a node has to do with its keys.

use std::sync::Arc;

use nuncio_nodes::membership::Membership;

use crate::keys::KeyParts;
use crate::keys::follower::KeyFollower;
use crate::node::adapters::Adapters;

impl Adapters {
    pub(super) fn key_parts(&self, membership: &Membership) -> KeyParts {
        KeyParts {
            keys: Arc::clone(&self.keys),
            mails: self.store.sealed(),
            settings: Arc::clone(&self.sealed_settings),
            records: self.store.records(),
            membership: membership.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    /// What follows the key file. It has looked once: a node alone writes with the first key from its start.
    pub(super) async fn followed_keys(&self, membership: &Membership) -> KeyFollower {
        let mut follower = KeyFollower::new(self.key_parts(membership));
        follower.look().await;
        follower
    }
}
