//! Decides when which jobs are sent: within the channel's state and the mailbox's budget.

use std::convert::Infallible;
use std::iter::repeat_n;
use std::sync::Arc;
use std::time::Duration;

use nuncio_core::pacing::MessageWindow;
use nuncio_core::ports::job_store::{Claim, Claimed, StoreError};
use nuncio_core::settings::SavedSmtpSettings;
use nuncio_runtime::chain::Chain;
use nuncio_runtime::trace;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info, info_span, warn};

use crate::attempt::{Context, Finished};
use crate::channel::{Channel, ChannelStatus, Permit};
use crate::delivery::Delivery;

/// How many messages a mailbox without a limit may send in a minute: a limit that nobody meets.
const MESSAGES_UNLIMITED: u32 = u32::MAX;
/// How long it waits when there is nothing to wait for, or the store cannot be used.
const IDLE: Duration = Duration::from_secs(1);
/// How long it waits at most, so that a lost wake-up costs no more than this.
const SLEEP_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Dispatcher {
    delivery: Delivery,
    context: Arc<Context>,
    attempts: JoinSet<Finished>,
    channel: Channel,
    window: MessageWindow,
    /// Whether the window knows what the last life of the node has sent.
    window_restored: bool,
    started: Instant,
}

/// What to do next.
enum Step {
    /// Claim at most so many jobs.
    Claim(u32),
    /// Wait until something happens, but not longer than to this moment.
    Wait(Instant),
}

impl Dispatcher {
    pub(crate) fn new(delivery: Delivery) -> Self {
        let context = Arc::new(Context {
            store: Arc::clone(&delivery.store),
            transport: Arc::clone(&delivery.transport),
            clock: Arc::clone(&delivery.clock),
            entropy: Arc::clone(&delivery.entropy),
            observer: Arc::clone(&delivery.observer),
            lease: delivery.lease,
        });
        Self {
            delivery,
            context,
            attempts: JoinSet::new(),
            channel: Channel::default(),
            window: MessageWindow::new(MESSAGES_UNLIMITED),
            window_restored: false,
            started: Instant::now(),
        }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut settings = self.delivery.settings.clone();
        let mut changed = self.delivery.store.changed();
        self.take_settings(&mut settings).await;
        while !stop.is_cancelled() {
            changed.borrow_and_update();
            let now = settings.borrow().clone();
            let wake = match self.step(now.as_deref()) {
                Step::Wait(until) => until,
                Step::Claim(limit) => match self.claim(now, limit).await {
                    Ok(None) => continue,
                    Ok(Some(wake)) => wake,
                    Err(error) => {
                        warn!("mail jobs cannot be claimed: {}", Chain(&error));
                        Instant::now() + IDLE
                    }
                },
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Ok(()) = settings.changed() => self.take_settings(&mut settings).await,
                Some(end) = self.attempts.join_next() => {
                    self.finish(end).await;
                    // All that have ended make room together, so that one claim fills it again.
                    while let Some(end) = self.attempts.try_join_next() {
                        self.finish(end).await;
                    }
                }
                Ok(()) = changed.changed() => {}
                () = sleep_until(wake) => {}
            }
        }
        self.drain().await;
        Ok(())
    }

    fn step(&mut self, settings: Option<&SavedSmtpSettings>) -> Step {
        let now = self.started.elapsed();
        let Some(saved) = settings else { return Step::Wait(Instant::now() + SLEEP_MAX) };
        let under_way = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        let connections = saved.settings.limits.connections_max.saturating_sub(under_way);
        let allowed = match self.channel.permit(now) {
            Permit::All => connections,
            Permit::Probe => u32::from(under_way == 0),
            Permit::NoneUntil(until) => return Step::Wait(self.started + until),
        };
        let free = self.window.free(now);
        match allowed.min(free) {
            0 if free == 0 => {
                let next = self.window.next_free_at().unwrap_or(now + SLEEP_MAX);
                Step::Wait(self.started + next)
            }
            0 => Step::Wait(Instant::now() + SLEEP_MAX),
            limit => Step::Claim(limit),
        }
    }

    /// Starts up to `limit` attempts. Returns when to look again if there were fewer.
    async fn claim(
        &mut self,
        settings: Option<Arc<SavedSmtpSettings>>,
        limit: u32,
    ) -> Result<Option<Instant>, StoreError> {
        let Some(settings) = settings else { return Ok(Some(Instant::now() + IDLE)) };
        let now = self.delivery.clock.now();
        let (holder, until) = (self.delivery.incarnation.clone(), now + self.delivery.lease);
        let claim = Claim { holder, now, until, limit, into_body: false };
        let claimed = self.delivery.store.claim(claim).await?;
        let count = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
        for one in claimed {
            self.start(Arc::clone(&settings), one);
        }
        if limit <= count {
            return Ok(None);
        }
        let next_due = self.delivery.store.next_due().await?;
        let wait = next_due.map_or(SLEEP_MAX, |due| {
            // What is due and was not claimed has expired: housekeeping will find it.
            let ahead = Duration::try_from(due.duration_since(now)).unwrap_or_default();
            if ahead.is_zero() { IDLE } else { ahead.min(SLEEP_MAX) }
        });
        Ok(Some(Instant::now() + wait))
    }

    fn start(&mut self, settings: Arc<SavedSmtpSettings>, claimed: Claimed) {
        let span = info_span!(
            "mail_job.attempt",
            otel.kind = "producer",
            job.name = %claimed.job.id,
            job.class = claimed.job.class.name(),
            settings.generation = settings.generation,
        );
        if let Some(origin) = &claimed.job.trace {
            trace::link(&span, origin);
        }
        self.window.start();
        let context = Arc::clone(&self.context);
        let attempt = async move { context.attempt(settings, claimed).await };
        self.attempts.spawn(attempt.instrument(span));
    }

    async fn finish(&mut self, end: Result<Finished, tokio::task::JoinError>) {
        let now = self.started.elapsed();
        let finished = match end {
            Ok(finished) => finished,
            Err(panic) => {
                // Its lease ends by itself, and the rescue decides about the job.
                error!("an attempt panicked: {panic}");
                self.window.end(now, true);
                return;
            }
        };
        self.window.end(now, finished.reached_provider);
        let present = self.delivery.settings.borrow().as_ref().map(|saved| saved.generation);
        if present != Some(finished.generation) {
            return; // It speaks of settings that are gone.
        }
        let jitter = self.delivery.entropy.jitter();
        let opened = self.channel.observe(finished.effect, now, jitter);
        self.tell_channel();
        if opened {
            self.release_held().await;
        }
    }

    async fn take_settings(
        &mut self,
        settings: &mut watch::Receiver<Option<Arc<SavedSmtpSettings>>>,
    ) {
        let saved = settings.borrow_and_update().clone();
        self.channel.reset();
        if let Some(saved) = saved {
            let limit = saved.settings.limits.messages_per_minute_max;
            self.window.set_messages_max(limit.unwrap_or(MESSAGES_UNLIMITED));
            self.restore_window(limit).await;
            info!(settings.generation = saved.generation, "sending with smtp settings");
            self.release_held().await;
        }
        self.tell_channel();
    }

    /// The provider's minute goes on over a restart of this node.
    async fn restore_window(&mut self, limit: Option<u32>) {
        if limit.is_none() || self.window_restored {
            return;
        }
        self.window_restored = true;
        let wall_now = self.delivery.clock.now();
        match self.delivery.store.usage(wall_now).await {
            Ok(usage) => {
                let ended_ago = usage.into_iter().flat_map(|one| {
                    let ago = Duration::try_from(wall_now.duration_since(one.ended_at));
                    repeat_n(
                        ago.unwrap_or_default(),
                        usize::try_from(one.messages).expect("a usize has at least 32 bits"),
                    )
                });
                self.window.restore(self.started.elapsed(), ended_ago);
            }
            Err(error) => warn!("what was sent before is not known: {}", Chain(&error)),
        }
    }

    async fn release_held(&self) {
        match self.delivery.store.release_held(self.delivery.clock.now()).await {
            Ok(0) => {}
            Ok(jobs) => info!(jobs, "released {jobs} held mail jobs"),
            // They become due by themselves a little later.
            Err(error) => warn!("held mail jobs not released: {}", Chain(&error)),
        }
    }

    /// Tells the state of the channel to whoever looks, and to the log where it has changed.
    fn tell_channel(&self) {
        let status = if self.delivery.settings.borrow().is_none() {
            ChannelStatus::NotConfigured
        } else {
            self.channel.status(self.started.elapsed(), self.delivery.clock.now())
        };
        self.delivery.channel.send_if_modified(|present| {
            let same_kind = std::mem::discriminant(present) == std::mem::discriminant(&status);
            if !same_kind {
                match &status {
                    ChannelStatus::NotConfigured => info!("waiting for smtp settings"),
                    ChannelStatus::Open => info!("the way to the provider is open"),
                    ChannelStatus::Paused { reason, .. } => {
                        warn!(reason = reason.code, "sending is paused: {}", reason.message);
                    }
                    ChannelStatus::Closed { reason, .. } => error!(
                        reason = reason.code,
                        "sending is stopped: {}; {}", reason.message, reason.remedy
                    ),
                }
            }
            *present = status;
            !same_kind
        });
    }

    async fn drain(mut self) {
        if !self.attempts.is_empty() {
            info!(mails = self.attempts.len(), "finishing the mails under way");
        }
        while let Some(end) = self.attempts.join_next().await {
            self.finish(end).await;
        }
        self.delivery.transport.close_idle().await;
    }
}
