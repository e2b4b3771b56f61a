//! Which settings have passed a test lately, and from where.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nuncio_core::ports::job_store::Incarnation;
use nuncio_core::ports::mail::TestingNode;
use nuncio_core::settings::SmtpSettings;
use tokio::time::Instant;

/// How long a passed test allows to save.
pub(crate) const PROOF_LIFE: Duration = Duration::from_mins(10);
/// How many tested settings are remembered.
const PROOFS_MAX: usize = 16;

/// Remembers the settings that passed, secrets included, in memory only: they are compared as a whole, so
/// that a test of one value can never allow to save another.
#[derive(Default)]
pub(crate) struct Proofs(VecDeque<Proof>);

struct Proof {
    settings: SmtpSettings,
    /// When they passed from which run of a node.
    passed_at: BTreeMap<Incarnation, Instant>,
}

impl Proofs {
    /// The settings have passed from this node.
    pub(crate) fn add(&mut self, settings: &SmtpSettings, node: &Incarnation) {
        let now = Instant::now();
        if let Some(proof) = self.0.iter_mut().find(|proof| proof.settings == *settings) {
            proof.passed_at.insert(node.clone(), now);
            return;
        }
        if self.0.len() == PROOFS_MAX {
            self.0.pop_front();
        }
        let passed_at = BTreeMap::from([(node.clone(), now)]);
        self.0.push_back(Proof { settings: settings.clone(), passed_at });
    }

    /// The settings have not passed from this node; what was known of it is no longer true.
    pub(crate) fn remove(&mut self, settings: &SmtpSettings, node: &Incarnation) {
        if let Some(proof) = self.0.iter_mut().find(|proof| proof.settings == *settings) {
            proof.passed_at.remove(node);
        }
    }

    /// Parts nodes by whether the settings have passed from them.
    pub(crate) fn of(
        &mut self,
        settings: &SmtpSettings,
        nodes: Vec<TestingNode>,
    ) -> (Vec<TestingNode>, Vec<TestingNode>) {
        for proof in &mut self.0 {
            proof.passed_at.retain(|_, passed_at| passed_at.elapsed() < PROOF_LIFE);
        }
        self.0.retain(|proof| !proof.passed_at.is_empty());
        let proof = self.0.iter().find(|proof| proof.settings == *settings);
        let has_passed = |node: &TestingNode| {
            proof.is_some_and(|proof| proof.passed_at.contains_key(&node.incarnation))
        };
        nodes.into_iter().partition(has_passed)
    }
}
