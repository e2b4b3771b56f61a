//! Who does what only one node may do.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::{Incarnation, StoreError};
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, Record, RecordKey, RecordStore, Write,
};
use nuncio_runtime::chain::Chain;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::lease::{
    Duty, LEASE_DURATION, LOOK_PERIOD, Lease, RENEW_PERIOD, Step, TERM, TRUST, step,
};

/// The pause before a renewal that has failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// How long a lease is tried to be given back: afterwards it ends by itself.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Lets this node lead when it is its turn.
#[derive(Clone)]
pub struct Elections {
    /// None if this node is alone with its store.
    among: Option<Arc<Among>>,
    /// What this node leads now.
    led: watch::Sender<BTreeSet<Duty>>,
}

/// What a node needs to stand for election among others.
struct Among {
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
    incarnation: Incarnation,
    node: String,
}

/// The right to do what only one node may do, for one term.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// The term and where the store knows it; none if this node is alone with its store.
    term: Option<(RecordKey, i64)>,
    /// None means for ever.
    trusted_until: watch::Receiver<Option<Instant>>,
    over: CancellationToken,
}

/// A lease that this node holds.
struct Held {
    duty: Duty,
    term: i64,
    acquire_time: Timestamp,
    trusted_until: Instant,
}

/// Why a renewal was not done.
#[derive(Debug, thiserror::Error)]
enum NotRenewed {
    #[error("another node leads")]
    Taken,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store has not answered")]
    Late,
}

impl Elections {
    /// Of a node that is alone with its store: it leads whatever there is to lead, and writes nothing for it.
    pub fn alone() -> Self {
        Self { among: None, led: watch::Sender::default() }
    }

    /// Among the nodes of a store. `clock` is one that they have in common.
    pub fn among(
        records: Arc<dyn RecordStore>,
        clock: Arc<dyn Clock>,
        incarnation: Incarnation,
        node: String,
    ) -> Self {
        let among = Among { records, clock, incarnation, node };
        Self { among: Some(Arc::new(among)), led: watch::Sender::default() }
    }

    /// Whether nobody else can lead.
    pub fn is_alone(&self) -> bool {
        self.among.is_none()
    }

    /// What this node leads.
    pub fn led(&self) -> watch::Receiver<BTreeSet<Duty>> {
        self.led.subscribe()
    }

    /// Does `work` whenever this node leads, until `stop` is cancelled.
    ///
    /// `work` has to end soon after its leadership is over; while it winds up because of `stop`, the lease is kept for it.
    /// When it ends, the lease is given back; where it has ended by itself, others have the time that it gives to take
    /// over before this node stands again.
    pub async fn lead<F>(
        &self,
        duty: Duty,
        stop: CancellationToken,
        mut work: impl FnMut(Leadership) -> F,
    ) where
        F: Future<Output = Duration>,
    {
        while !stop.is_cancelled() {
            let rest = match &self.among {
                None => {
                    let leadership = Leadership::without_others(stop.child_token());
                    self.led.send_if_modified(|led| led.insert(duty.clone()));
                    work(leadership).await
                }
                Some(among) => {
                    let Some(held) = among.campaign(&duty, &stop).await else { return };
                    self.led.send_if_modified(|led| led.insert(duty.clone()));
                    among.hold(held, &stop, &mut work).await
                }
            };
            self.led.send_if_modified(|led| led.remove(&duty));
            if stop.run_until_cancelled(sleep(rest)).await.is_none() {
                return;
            }
        }
    }
}

impl Leadership {
    /// Of a node that is alone with its store: it ends with `over`.
    pub fn without_others(over: CancellationToken) -> Self {
        Self { term: None, trusted_until: watch::Sender::new(None).subscribe(), over }
    }

    /// Cancelled when it ends.
    pub fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// Whether this node may still take itself for the leader. It is asked right before something that no store can
    /// check: a paused process does not know how long it has slept.
    pub fn is_trusted(&self) -> bool {
        self.trusted_until.borrow().is_none_or(|until| Instant::now() < until)
    }

    /// Whether there are others who could lead.
    pub fn has_others(&self) -> bool {
        self.term.is_some()
    }

    /// What a write requires so that it is only done in this term; none if nobody else can lead.
    pub(crate) fn requirement(&self) -> Option<Write> {
        let (key, term) = self.term.clone()?;
        Some(Write::Require { key, expected: Expected::Version(term) })
    }
}

impl Among {
    /// Waits until this node leads; none if it is told to stop before.
    async fn campaign(&self, duty: &Duty, stop: &CancellationToken) -> Option<Held> {
        let mut is_told = false;
        loop {
            if stop.is_cancelled() {
                return None;
            }
            // Not cut by a stop: a lease that was taken has to be given back.
            let wait = match self.stand(duty).await {
                Ok(Ok(held)) => return Some(held),
                Ok(Err(wait)) => wait,
                Err(problem) => {
                    if !is_told {
                        warn!(duty = duty.name(), "nobody can be elected: {}", Chain(&problem));
                    }
                    is_told = true;
                    LOOK_PERIOD
                }
            };
            stop.run_until_cancelled(sleep(wait)).await?;
        }
    }

    /// Takes the lease if nobody holds it, or says how long to wait.
    async fn stand(&self, duty: &Duty) -> Result<Result<Held, Duration>, StoreError> {
        let (lease, term) = self.read(duty).await?;
        let (asked_at, now) = (Instant::now(), self.clock.now());
        let before = lease.as_ref().and_then(Lease::read);
        match step(before.as_ref(), &self.incarnation, now) {
            Step::Wait(wait) => return Ok(Err(wait)),
            Step::Take => {}
        }
        let known = term.map_or(0, |term| term.version);
        let writes = vec![
            self.put_lease(duty, lease.as_ref(), now, now + LEASE_DURATION),
            Write::Put {
                key: duty.term_key(),
                expected: if known == 0 { Expected::Absent } else { Expected::Version(known) },
                owner: None,
                due_at: None,
                content: "{}".to_owned(),
            },
        ];
        let changes = Changeset { writes, is_quiet: true, ..Changeset::new(now) };
        match self.records.commit(changes).await {
            Ok(_) => {
                let (duty, term) = (duty.clone(), known + 1);
                let trusted_until = asked_at + TRUST;
                Ok(Ok(Held { duty, term, acquire_time: now, trusted_until }))
            }
            // Somebody else was faster.
            Err(CommitError::Conflict { .. }) => Ok(Err(LOOK_PERIOD)),
            Err(error) => Err(not_stored(error)),
        }
    }

    /// Does `work` for one term; gives how long others have to take over.
    async fn hold<F>(
        &self,
        mut held: Held,
        stop: &CancellationToken,
        work: &mut impl FnMut(Leadership) -> F,
    ) -> Duration
    where
        F: Future<Output = Duration>,
    {
        let (duty, term) = (held.duty.name(), held.term);
        info!(duty, term, "this node leads");
        let (trust, trusted_until) = watch::channel(Some(held.trusted_until));
        let over = stop.child_token();
        let term = Some((RecordKey::new(TERM, duty.clone()), held.term));
        let leadership = Leadership { term, trusted_until, over: over.clone() };
        let mut working = pin!(work(leadership));
        tokio::select! {
            biased;
            rest = &mut working => {
                self.release(&held).await;
                info!(duty, "this node leads no more");
                rest
            }
            lost = self.keep(&mut held, &trust) => {
                warn!(duty, "this node leads no more: {}", Chain(&lost));
                over.cancel();
                working.await
            }
        }
    }

    /// Renews a lease until it is lost.
    async fn keep(&self, held: &mut Held, trust: &watch::Sender<Option<Instant>>) -> NotRenewed {
        let mut pause = RENEW_PERIOD;
        loop {
            sleep(pause).await;
            let asked_at = Instant::now();
            let renewed = timeout_at(held.trusted_until, self.renew(held)).await;
            let problem = match renewed.unwrap_or(Err(NotRenewed::Late)) {
                Ok(()) => {
                    held.trusted_until = asked_at + TRUST;
                    trust.send_replace(Some(held.trusted_until));
                    pause = RENEW_PERIOD;
                    continue;
                }
                Err(NotRenewed::Taken) => return NotRenewed::Taken,
                Err(problem) => problem,
            };
            if held.trusted_until <= Instant::now() + RETRY_PAUSE {
                return problem;
            }
            debug!(duty = held.duty.name(), "lease not renewed: {}", Chain(&problem));
            pause = RETRY_PAUSE;
        }
    }

    async fn renew(&self, held: &Held) -> Result<(), NotRenewed> {
        self.write_until(held, self.clock.now() + LEASE_DURATION).await
    }

    /// Gives a lease back, so that nobody has to wait for its end.
    async fn release(&self, held: &Held) {
        let released =
            timeout_at(Instant::now() + RELEASE_TIMEOUT, self.write_until(held, self.clock.now()));
        match released.await.unwrap_or(Err(NotRenewed::Late)) {
            Ok(()) => {}
            Err(problem) => {
                let duty = held.duty.name();
                debug!(duty, "lease not given back; it ends by itself: {}", Chain(&problem));
            }
        }
    }

    /// Moves the end of a lease, if it is still of this term.
    async fn write_until(&self, held: &Held, until: Timestamp) -> Result<(), NotRenewed> {
        let (lease, term) = self.read(&held.duty).await?;
        if term.is_none_or(|term| term.version != held.term) {
            return Err(NotRenewed::Taken);
        }
        let writes = vec![self.put_lease(&held.duty, lease.as_ref(), held.acquire_time, until)];
        let now = self.clock.now();
        let changes = Changeset { writes, is_quiet: true, ..Changeset::new(now) };
        match self.records.commit(changes).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict { .. }) => Err(NotRenewed::Taken),
            Err(error) => Err(not_stored(error).into()),
        }
    }

    /// The lease and its term.
    async fn read(&self, duty: &Duty) -> Result<(Option<Record>, Option<Record>), StoreError> {
        let found = self.records.read(&[duty.lease_key(), duty.term_key()]).await?;
        let mut found = found.into_iter();
        Ok((found.next().flatten(), found.next().flatten()))
    }

    /// Writes a lease of this node in place of the one that was read.
    fn put_lease(
        &self,
        duty: &Duty,
        before: Option<&Record>,
        acquire_time: Timestamp,
        until: Timestamp,
    ) -> Write {
        let (holder, node) = (self.incarnation.0.clone(), self.node.clone());
        Write::Put {
            key: duty.lease_key(),
            expected: before.map_or(Expected::Absent, |before| Expected::Version(before.version)),
            owner: None,
            due_at: None,
            content: Lease { holder, node, acquire_time, until }.content(),
        }
    }
}

fn not_stored(error: CommitError) -> StoreError {
    match error {
        CommitError::Store(error) => error,
        CommitError::Conflict { .. } | CommitError::RequestIdReused { .. } => {
            StoreError::Unusable(Box::new(error))
        }
    }
}

#[cfg(test)]
mod tests;
