//! What ends jobs, or puts them back: cancel, direct, expire, rescue, release, prune.

use jiff::Timestamp;
use nuncio_core::job::{Job, MailJobId};
use nuncio_core::ports::job_store::{CancelError, Dead, DirectError, Direction, StoreError};

use crate::life;
use crate::rows::{self, unreadable, whole_us};
use crate::write::advance::Advance;
use crate::write::engine::{Engine, Held, HeldRow};
use crate::write::group::{Answer, Group, Lane, Op};

pub(crate) struct Cancel {
    pub(crate) id: MailJobId,
    pub(crate) now: Timestamp,
}

pub(crate) struct Direct {
    pub(crate) id: MailJobId,
    pub(crate) direction: Direction,
    pub(crate) now: Timestamp,
}

pub(crate) struct Expire {
    pub(crate) now: Timestamp,
    pub(crate) limit: u32,
}

pub(crate) struct Rescue {
    pub(crate) dead: Dead,
    pub(crate) now: Timestamp,
}

pub(crate) struct ReleaseHeld {
    pub(crate) now: Timestamp,
}

pub(crate) struct Prune {
    pub(crate) before: Timestamp,
    pub(crate) limit: u32,
}

/// Makes these requests run one after the other in their lane.
macro_rules! one_after_the_other {
    ($op:ty, $lane:ident, $out:ty, $refusal:ty) => {
        impl Op for $op {
            type Out = $out;
            type Refusal = $refusal;

            fn lane(group: &mut Group) -> &mut Lane<Self> {
                &mut group.$lane
            }

            async fn run<E: Engine>(
                engine: &mut E,
                ops: &[&Self],
            ) -> sqlx::Result<Vec<Answer<Self>>> {
                let mut answers = Vec::with_capacity(ops.len());
                for op in ops {
                    answers.push(op.run_alone(engine).await?);
                }
                Ok(answers)
            }
        }
    };
}
pub(crate) use one_after_the_other;

one_after_the_other!(Cancel, cancellations, Job, CancelError);
one_after_the_other!(Direct, directions, Job, DirectError);
one_after_the_other!(Expire, expiries, Vec<Job>, StoreError);
one_after_the_other!(Rescue, rescues, Vec<Job>, StoreError);
one_after_the_other!(ReleaseHeld, releases, u64, StoreError);
one_after_the_other!(Prune, prunings, u32, StoreError);

impl Cancel {
    async fn run_alone<E: Engine>(&self, engine: &mut E) -> sqlx::Result<Answer<Self>> {
        let Some(found) = engine.find(&[self.id]).await?.pop() else {
            return Ok(Err(CancelError::NotFound(self.id)));
        };
        let (job, held) = found.try_into_held().map_err(unreadable)?;
        match life::cancelled(job.clone(), whole_us(self.now)) {
            Ok(cancelled) => {
                engine.advance(&[&Advance::step(&job, held.fence, &cancelled)]).await?;
                Ok(Ok(cancelled))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

impl Direct {
    async fn run_alone<E: Engine>(&self, engine: &mut E) -> sqlx::Result<Answer<Self>> {
        let Some(found) = engine.find(&[self.id]).await?.pop() else {
            return Ok(Err(DirectError::NotFound(self.id)));
        };
        let (job, held) = found.try_into_held().map_err(unreadable)?;
        let has_mail = engine.has_mail(self.id).await?;
        match life::directed(job.clone(), self.direction, has_mail, whole_us(self.now)) {
            Ok(Some(directed)) => {
                engine.advance(&[&Advance::step(&job, held.fence, &directed)]).await?;
                Ok(Ok(directed))
            }
            Ok(None) => Ok(Ok(job)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

impl Expire {
    async fn run_alone<E: Engine>(&self, engine: &mut E) -> sqlx::Result<Answer<Self>> {
        let found = engine.expired(self.now, self.limit).await?;
        let jobs = step_each(engine, found, |job, held| {
            let expired = life::expired(job.clone(), self.now);
            Ok(Advance::step(job, held.fence, &expired))
        });
        let jobs = jobs.await?;
        engine.remove_mails_of_unknown(self.now, self.limit).await?;
        Ok(Ok(jobs))
    }
}

impl Rescue {
    async fn run_alone<E: Engine>(&self, engine: &mut E) -> sqlx::Result<Answer<Self>> {
        let found = engine.orphans(&self.dead, self.now).await?;
        let jobs = step_each(engine, found, |job, held| {
            let count = rows::number_from("rescues", held.rescues + 1).map_err(unreadable)?;
            let (rescued, attempt) = life::rescued(job.clone(), held.body_entered, count, self.now);
            Ok(Advance::step(job, held.fence, &rescued).rescue(attempt))
        });
        Ok(Ok(jobs.await?))
    }
}

impl ReleaseHeld {
    async fn run_alone<E: Engine>(&self, engine: &mut E) -> sqlx::Result<Answer<Self>> {
        Ok(Ok(engine.release_held(self.now).await?))
    }
}

impl Prune {
    async fn run_alone<E: Engine>(&self, engine: &mut E) -> sqlx::Result<Answer<Self>> {
        let pruned = engine.prune(self).await?;
        Ok(Ok(u32::try_from(pruned).expect("the limit is a u32")))
    }
}

/// Takes one step with each of these jobs.
async fn step_each<E: Engine>(
    engine: &mut E,
    found: Vec<HeldRow>,
    step: impl Fn(&Job, &Held) -> sqlx::Result<Advance>,
) -> sqlx::Result<Vec<Job>> {
    let steps = found.into_iter().filter_map(|row| {
        let (job, held) = row.into_held()?;
        Some(step(&job, &held))
    });
    let steps: Vec<_> = steps.collect::<sqlx::Result<_>>()?;
    let jobs = engine.advance(&steps.iter().collect::<Vec<_>>()).await?;
    Ok(jobs.into_values().collect())
}
