//! Which settings have passed a test lately.

use std::collections::VecDeque;
use std::time::Duration;

use nuncio_core::settings::SmtpSettings;
use tokio::time::Instant;

/// How long a passed test allows to save.
pub(crate) const PROOF_LIFE: Duration = Duration::from_mins(10);
/// How many passed tests are remembered.
const PROOFS_MAX: usize = 16;

/// Remembers the settings that passed, secrets included, in memory only: they are compared as a whole, so
/// that a test of one value can never allow to save another.
#[derive(Default)]
pub(crate) struct Proofs {
    passed: VecDeque<(Instant, SmtpSettings)>,
}

impl Proofs {
    pub(crate) fn add(&mut self, settings: SmtpSettings) {
        self.passed.retain(|(_, other)| *other != settings);
        if self.passed.len() == PROOFS_MAX {
            self.passed.pop_front();
        }
        self.passed.push_back((Instant::now(), settings));
    }

    pub(crate) fn holds(&mut self, settings: &SmtpSettings) -> bool {
        self.passed.retain(|(passed_at, _)| passed_at.elapsed() < PROOF_LIFE);
        self.passed.iter().any(|(_, passed)| passed == settings)
    }
}
