//! What goes into one commit.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use nuncio_core::job::{CallerId, MailJobId};
use nuncio_core::ports::job_store::{Claim, StoreError};
use sqlx::Error;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

use crate::write::advance::Advance;
use crate::write::commit::Commit;
use crate::write::end::{Cancel, Direct, Expire, Prune, ReleaseHeld, Rescue};
use crate::write::engine::{Engine, NotCommitted, Trouble, store_error, timed_out};
use crate::write::keys::{ForgetKey, NoteKey, Reseal};
use crate::write::lease::{EnterBody, Extend};
use crate::write::submit::Submit;

/// How often a group is tried that conflicts with others, or whose connection was dead.
const TRIES_MAX: u32 = 5;

/// Something to write, and what comes of it.
///
/// Requests of one kind in one group run together: `ops` never name one [`Subject`] twice.
pub(crate) trait Op: Send + Sync + Sized + 'static {
    type Out: Send + 'static;
    type Refusal: From<StoreError> + Send + 'static;

    fn lane(group: &mut Group) -> &mut Lane<Self>;

    /// What the request is about.
    fn subjects(&self) -> Vec<Subject> {
        Vec::new()
    }

    /// How much it stores.
    fn bytes(&self) -> usize {
        0
    }

    /// Writes, and gives an answer to each request in its place.
    ///
    /// It may be called again for the same requests, after what it wrote was undone.
    fn run<E: Engine>(
        engine: &mut E,
        ops: &[&Self],
    ) -> impl Future<Output = sqlx::Result<Vec<Answer<Self>>>> + Send;
}

pub(crate) type Answer<O> = Result<<O as Op>::Out, <O as Op>::Refusal>;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Job(MailJobId),
    Request(CallerId, String),
}

/// The requests of one commit by kind, in the order in which they run.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) settlements: Lane<Advance>,
    pub(crate) bodies: Lane<EnterBody>,
    pub(crate) extensions: Lane<Extend>,
    pub(crate) submits: Lane<Submit>,
    pub(crate) commits: Lane<Commit>,
    pub(crate) cancellations: Lane<Cancel>,
    pub(crate) directions: Lane<Direct>,
    pub(crate) rescues: Lane<Rescue>,
    pub(crate) expiries: Lane<Expire>,
    pub(crate) releases: Lane<ReleaseHeld>,
    pub(crate) claims: Lane<Claim>,
    pub(crate) prunings: Lane<Prune>,
    pub(crate) reseals: Lane<Reseal>,
    pub(crate) noted_keys: Lane<NoteKey>,
    pub(crate) forgotten_keys: Lane<ForgetKey>,
    /// Given back when the group is through.
    room: Vec<OwnedSemaphorePermit>,
}

/// The requests of one kind, with the answers as far as they are known.
pub(crate) struct Lane<O: Op> {
    ops: Vec<O>,
    replies: Vec<oneshot::Sender<Answer<O>>>,
    answers: Vec<Option<Answer<O>>>,
}

impl<O: Op> Default for Lane<O> {
    fn default() -> Self {
        Self { ops: Vec::new(), replies: Vec::new(), answers: Vec::new() }
    }
}

/// How a group runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Many rows to a statement. One request that fails undoes the group.
    Together,
    /// One by one, so that a request that fails harms no other.
    OneByOne,
}

impl Group {
    pub(crate) fn enter<O: Op>(
        &mut self,
        op: O,
        reply: oneshot::Sender<Answer<O>>,
        room: Option<OwnedSemaphorePermit>,
    ) {
        self.room.extend(room);
        let lane = O::lane(self);
        lane.ops.push(op);
        lane.replies.push(reply);
    }

    /// Runs all requests in one transaction.
    pub(crate) async fn commit_in_time<E: Engine>(&mut self, engine: &mut E) -> sqlx::Result<()> {
        let Some(limit) = E::GROUP_TIMEOUT else { return self.commit(engine).await };
        match timeout(limit, self.commit(engine)).await {
            Ok(done) => done,
            Err(_elapsed) => {
                engine.disconnect();
                Err(timed_out())
            }
        }
    }

    async fn commit<E: Engine>(&mut self, engine: &mut E) -> sqlx::Result<()> {
        let mut manner = Manner::Together;
        let mut tries = 1;
        loop {
            let fresh = !engine.is_connected();
            let (error, is_missed) = match self.try_commit(engine, manner).await {
                Ok(()) => return Ok(()),
                Err(NotCommitted::Undone(error)) => (error, false),
                Err(NotCommitted::Missed(error)) => (error, true),
                Err(NotCommitted::InDoubt(error)) => return Err(error),
            };
            let trouble = E::trouble(&error);
            if trouble == Trouble::OneRequest && manner == Manner::Together {
                manner = Manner::OneByOne;
                continue;
            }
            // A connection may have died long ago: that is noticed when it is used.
            let was_dead = !fresh && !engine.is_connected();
            let again = trouble == Trouble::Conflict || is_missed || was_dead;
            if !again || tries == TRIES_MAX {
                return Err(error);
            }
            tries += 1;
        }
    }

    async fn try_commit<E: Engine>(
        &mut self,
        engine: &mut E,
        manner: Manner,
    ) -> Result<(), NotCommitted> {
        let done = self.in_transaction(engine, manner).await;
        match &done {
            Ok(()) => {}
            Err(
                NotCommitted::Undone(error)
                | NotCommitted::Missed(error)
                | NotCommitted::InDoubt(error),
            ) => engine.roll_back(error).await,
        }
        done
    }

    async fn in_transaction<E: Engine>(
        &mut self,
        engine: &mut E,
        manner: Manner,
    ) -> Result<(), NotCommitted> {
        engine.begin().await.map_err(NotCommitted::Undone)?;
        self.run(engine, manner).await.map_err(NotCommitted::Undone)?;
        engine.commit().await
    }

    async fn run<E: Engine>(&mut self, engine: &mut E, manner: Manner) -> sqlx::Result<()> {
        self.settlements.run(engine, manner).await?;
        self.bodies.run(engine, manner).await?;
        self.extensions.run(engine, manner).await?;
        self.submits.run(engine, manner).await?;
        self.commits.run(engine, manner).await?;
        self.cancellations.run(engine, manner).await?;
        self.directions.run(engine, manner).await?;
        self.rescues.run(engine, manner).await?;
        self.expiries.run(engine, manner).await?;
        self.releases.run(engine, manner).await?;
        self.claims.run(engine, manner).await?;
        self.prunings.run(engine, manner).await?;
        self.reseals.run(engine, manner).await?;
        self.noted_keys.run(engine, manner).await?;
        self.forgotten_keys.run(engine, manner).await
    }

    /// Whether a changeset was done of which others are told.
    pub(crate) fn tells_of_records(&self) -> bool {
        let Lane { ops, answers, .. } = &self.commits;
        ops.iter().zip(answers).any(|(op, answer)| !op.is_quiet && matches!(answer, Some(Ok(_))))
    }

    /// Gives each caller its answer, or all of them the reason why there is none.
    pub(crate) fn answer<E: Engine>(self, failure: Option<&Arc<Error>>) {
        self.settlements.answer::<E>(failure);
        self.bodies.answer::<E>(failure);
        self.extensions.answer::<E>(failure);
        self.submits.answer::<E>(failure);
        self.commits.answer::<E>(failure);
        self.cancellations.answer::<E>(failure);
        self.directions.answer::<E>(failure);
        self.rescues.answer::<E>(failure);
        self.expiries.answer::<E>(failure);
        self.releases.answer::<E>(failure);
        self.claims.answer::<E>(failure);
        self.prunings.answer::<E>(failure);
        self.reseals.answer::<E>(failure);
        self.noted_keys.answer::<E>(failure);
        self.forgotten_keys.answer::<E>(failure);
    }
}

impl<O: Op> Lane<O> {
    async fn run<E: Engine>(&mut self, engine: &mut E, manner: Manner) -> sqlx::Result<()> {
        self.answers.clear();
        self.answers.resize_with(self.ops.len(), || None);
        let mut left: Vec<usize> = (0..self.ops.len()).collect();
        while !left.is_empty() {
            let mut seen = HashSet::new();
            let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|place| {
                let subjects = self.ops[*place].subjects();
                let fresh = subjects.iter().all(|subject| !seen.contains(subject));
                if fresh {
                    seen.extend(subjects);
                }
                fresh
            });
            match manner {
                Manner::Together => self.run_some(engine, &now).await?,
                Manner::OneByOne => {
                    for place in now {
                        self.run_isolated(engine, place).await?;
                    }
                }
            }
            left = later;
        }
        Ok(())
    }

    async fn run_some<E: Engine>(&mut self, engine: &mut E, some: &[usize]) -> sqlx::Result<()> {
        let ops: Vec<_> = some.iter().map(|place| &self.ops[*place]).collect();
        let answers = O::run(engine, &ops).await?;
        for (place, answer) in some.iter().zip(answers) {
            self.answers[*place] = Some(answer);
        }
        Ok(())
    }

    /// Runs one request so that only it is undone if it fails.
    async fn run_isolated<E: Engine>(&mut self, engine: &mut E, place: usize) -> sqlx::Result<()> {
        engine.isolate().await?;
        match self.run_some(engine, &[place]).await {
            Ok(()) => {}
            Err(error) if E::trouble(&error) == Trouble::OneRequest => {
                engine.undo_isolated().await?;
                self.answers[place] = Some(Err(store_error::<E>(error).into()));
            }
            Err(error) => return Err(error),
        }
        engine.end_isolated().await
    }

    fn answer<E: Engine>(self, failure: Option<&Arc<Error>>) {
        let answers = self.answers.into_iter().chain(std::iter::repeat_with(|| None));
        for (reply, answer) in self.replies.into_iter().zip(answers) {
            let answer = match failure {
                None => answer.expect("every request of a group that was committed has run"),
                Some(error) if E::trouble(error) == Trouble::Full => {
                    Err(StoreError::Full(Box::new(error.clone())).into())
                }
                Some(error) => Err(StoreError::Unusable(Box::new(error.clone())).into()),
            };
            // Whoever does not wait any more needs no answer.
            reply.send(answer).ok();
        }
    }
}
