//! The stages of a test as they end.

use nuncio_core::address::EmailAddress;
use nuncio_core::settings::SmtpSettings;
use nuncio_core::smtp_test::{StageError, StageKind, StageOutcome, StageResult};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::failure::Failure;

/// Collects the results, each with the time since the one before, and sends them on.
pub(super) struct Report {
    stages: Vec<StageResult>,
    /// Whether there is a stage for it.
    has_proxy: bool,
    /// The mailbox that the next stages are about.
    mailbox: Option<EmailAddress>,
    listener: mpsc::Sender<StageResult>,
    last: Instant,
}

impl Report {
    pub(super) fn new(listener: mpsc::Sender<StageResult>, has_proxy: bool) -> Self {
        Self { stages: Vec::new(), has_proxy, mailbox: None, listener, last: Instant::now() }
    }

    /// The next stages are about one mailbox.
    pub(super) fn about(&mut self, mailbox: &EmailAddress) {
        self.mailbox = Some(mailbox.clone());
    }

    pub(super) async fn passed(&mut self, kind: StageKind, detail: String) {
        self.add(kind, StageOutcome::Passed { detail }).await;
    }

    pub(super) async fn failed(&mut self, kind: StageKind, error: StageError) {
        self.add(kind, StageOutcome::Failed(error)).await;
    }

    pub(super) async fn skipped(&mut self, kind: StageKind, why: &str) {
        self.add(kind, StageOutcome::Skipped { why: why.to_owned() }).await;
    }

    /// Gives the value, or records the failure.
    pub(super) async fn failure<T>(
        &mut self,
        kind: StageKind,
        settings: &SmtpSettings,
        result: Result<T, Failure>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(failure) => {
                self.failed(kind, failure.explain(settings)).await;
                None
            }
        }
    }

    /// Skips the stages that are missing before `end`.
    pub(super) async fn skip_until(&mut self, end: StageKind) {
        for kind in StageKind::ALL {
            let is_wanted = kind != StageKind::Proxy || self.has_proxy;
            if kind < end && is_wanted && !self.has(kind) {
                let why = self.why();
                self.add(kind, StageOutcome::Skipped { why }).await;
            }
        }
    }

    /// Skips the stages that are missing.
    pub(super) async fn skip_rest(&mut self) {
        self.skip_until(StageKind::Mail).await;
        if !self.has(StageKind::Mail) {
            let why = self.why();
            self.add(StageKind::Mail, StageOutcome::Skipped { why }).await;
        }
    }

    pub(super) fn into_stages(self) -> Vec<StageResult> {
        self.stages
    }

    /// Whether the stage was told, of the mailbox at hand or of all.
    fn has(&self, kind: StageKind) -> bool {
        let is_told = |stage: &StageResult| {
            stage.kind == kind && (stage.mailbox.is_none() || stage.mailbox == self.mailbox)
        };
        self.stages.iter().any(is_told)
    }

    fn why(&self) -> String {
        let is_failed = |stage: &&StageResult| matches!(stage.outcome, StageOutcome::Failed(_));
        // The last one: those before may be of other mailboxes.
        let failed = self.stages.iter().rev().find(is_failed);
        let name = failed.map_or("an earlier", |stage| name(stage.kind));
        format!("{name} stage failed")
    }

    async fn add(&mut self, kind: StageKind, outcome: StageOutcome) {
        let elapsed = self.last.elapsed();
        self.last = Instant::now();
        let mailbox = self.mailbox.clone();
        let result = StageResult { kind, mailbox, outcome, elapsed };
        self.stages.push(result.clone());
        // Whoever listened may have gone; the whole is returned as well.
        drop(self.listener.send(result).await);
    }
}

fn name(kind: StageKind) -> &'static str {
    match kind {
        StageKind::Proxy => "the PROXY",
        StageKind::Dns => "the DNS",
        StageKind::Tcp => "the TCP",
        StageKind::Tls => "the TLS",
        StageKind::Token => "the TOKEN",
        StageKind::Ehlo => "the EHLO",
        StageKind::Auth => "the AUTH",
        StageKind::Mail => "the MAIL",
        StageKind::Node => "the NODE",
    }
}
