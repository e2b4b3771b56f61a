//! Changesets: records, and the jobs that are made or voided with them.
//!
//! Those of one group are decided one after the other against what the store held before the group and what
//! those before them have changed, and then written together: so a refused one writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use nuncio_core::job::{Job, MailJobId, RequestKey};
use nuncio_core::ports::job_store::Submitted;
use nuncio_core::ports::records::{Changeset, CommitError, Committed, RecordKey, Write};
use nuncio_core::ports::sealer::Sealer;
use sqlx::Error;

use crate::life;
use crate::rows::whole_us;
use crate::write::advance::Advance;
use crate::write::engine::Engine;
use crate::write::group::{Answer, Group, Lane, Op};
use crate::write::submit::{Known, RequestName, Submit, request_name};

/// A changeset within the limits of the port.
pub(crate) struct Commit {
    writes: Vec<Write>,
    submits: Vec<Submit>,
    cancel: Vec<MailJobId>,
    now: Timestamp,
    pub(crate) is_quiet: bool,
    /// What has sealed its jobs, and what of its records is sealed: held until they are stored or given up.
    _sealer: Arc<dyn Sealer>,
}

/// A record as it shall be.
pub(crate) struct Put<'a> {
    pub(crate) key: &'a RecordKey,
    pub(crate) version: i64,
    /// Whether it was not there before the group.
    pub(crate) is_new: bool,
    pub(crate) owner: Option<&'a str>,
    pub(crate) due_at_us: Option<i64>,
    pub(crate) updated_at_us: i64,
    pub(crate) content: &'a str,
}

/// What comes of a job of a changeset.
#[derive(Clone, Copy)]
enum Fate<'a> {
    New(&'a Submit),
    Existing(MailJobId),
}

impl Commit {
    pub(crate) fn new(changes: Changeset, sealer: Arc<dyn Sealer>) -> Self {
        let Changeset { writes, jobs, cancel, now, is_quiet } = changes;
        let submits = jobs.into_iter().map(|new| Submit::new(new, Arc::clone(&sealer))).collect();
        Self { writes, submits, cancel, now: whole_us(now), is_quiet, _sealer: sealer }
    }
}

impl Op for Commit {
    type Out = Committed;
    type Refusal = CommitError;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.commits
    }

    fn bytes(&self) -> usize {
        let content = |write: &Write| match write {
            Write::Put { content, .. } => content.len(),
            Write::Delete { .. } | Write::Require { .. } => 0,
        };
        let writes: usize = self.writes.iter().map(content).sum();
        writes + self.submits.iter().map(Submit::bytes).sum::<usize>()
    }

    async fn run<E: Engine>(engine: &mut E, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut state = State::read(engine, ops).await?;
        let decided: Vec<_> = ops.iter().map(|op| state.decide(op)).collect();
        let (puts, removals) = state.changes();
        if !puts.is_empty() {
            engine.put_records(&puts).await?;
        }
        if !removals.is_empty() {
            engine.remove_records(&removals).await?;
        }
        let accepted: Vec<_> = decided.iter().flatten().flatten().copied().collect();
        let standing = store(engine, &accepted).await?;
        let mut cancelled = cancel(engine, ops, &decided).await?;
        let mut answers = Vec::with_capacity(ops.len());
        for (op, decided) in ops.iter().zip(decided) {
            answers.push(match decided {
                Ok(fates) => {
                    let jobs = fates.into_iter().map(|fate| submitted(fate, &standing));
                    let jobs = jobs.collect::<sqlx::Result<_>>()?;
                    let told = op.cancel.iter().copied().filter(|id| cancelled.remove(id));
                    Ok(Committed { jobs, cancelled: told.collect() })
                }
                Err(refusal) => Err(refusal),
            });
        }
        Ok(answers)
    }
}

/// What the store held before, with what the changesets up to now have changed.
struct State<'a> {
    before: HashMap<&'a RecordKey, i64>,
    versions: HashMap<&'a RecordKey, i64>,
    /// The last write of each key, with the version that it makes.
    last: BTreeMap<&'a RecordKey, (&'a Write, i64, Timestamp)>,
    requests: HashMap<RequestName, Known>,
}

impl<'a> State<'a> {
    async fn read<E: Engine>(engine: &mut E, ops: &[&'a Commit]) -> sqlx::Result<Self> {
        let keys: BTreeSet<_> = ops.iter().flat_map(|op| &op.writes).map(Write::key).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let before = match keys.as_slice() {
            [] => HashMap::new(),
            some => {
                let versions = engine.record_versions(some).await?;
                versions.into_iter().map(|(place, version)| (keys[place], version)).collect()
            }
        };
        let requests: Vec<&RequestKey> = ops
            .iter()
            .flat_map(|op| &op.submits)
            .filter_map(|submit| submit.request.as_ref())
            .collect();
        let requests = match requests.as_slice() {
            [] => HashMap::new(),
            some => engine.requests(some).await?,
        };
        Ok(Self { versions: before.clone(), before, last: BTreeMap::new(), requests })
    }

    /// What comes of the jobs of a changeset, if it is done.
    fn decide(&mut self, op: &'a Commit) -> Result<Vec<Fate<'a>>, CommitError> {
        for write in &op.writes {
            let present = self.versions.get(write.key()).copied();
            if !write.expected().fits(present) {
                return Err(CommitError::Conflict { key: write.key().clone(), present });
            }
        }
        let fates = self.decide_jobs(&op.submits)?;
        for write in &op.writes {
            self.note(write, op.now);
        }
        Ok(fates)
    }

    fn decide_jobs(&mut self, submits: &'a [Submit]) -> Result<Vec<Fate<'a>>, CommitError> {
        let mut fates = Vec::with_capacity(submits.len());
        let mut claimed = HashMap::new();
        for submit in submits {
            let Some(request) = &submit.request else {
                fates.push(Fate::New(submit));
                continue;
            };
            let name = request_name(request);
            match self.requests.get(&name).or_else(|| claimed.get(&name)) {
                Some(known) if known.fingerprint != request.fingerprint => {
                    return Err(CommitError::RequestIdReused { existing: known.job });
                }
                Some(known) => fates.push(Fate::Existing(known.job)),
                None => {
                    let fingerprint = request.fingerprint.to_vec();
                    claimed.insert(name, Known { fingerprint, job: submit.job.id });
                    fates.push(Fate::New(submit));
                }
            }
        }
        self.requests.extend(claimed);
        Ok(fates)
    }

    fn note(&mut self, write: &'a Write, now: Timestamp) {
        let key = write.key();
        match write {
            Write::Put { .. } => {
                let version = self.versions.get(key).map_or(1, |version| version + 1);
                self.versions.insert(key, version);
                self.last.insert(key, (write, version, now));
            }
            Write::Delete { .. } => {
                let version = self.versions.remove(key).unwrap_or_default();
                self.last.insert(key, (write, version, now));
            }
            Write::Require { .. } => {}
        }
    }

    /// What is to be written, in the order of the keys.
    fn changes(&self) -> (Vec<Put<'a>>, Vec<&'a RecordKey>) {
        let (mut puts, mut removals) = (Vec::new(), Vec::new());
        for (key, (write, version, now)) in &self.last {
            let is_new = !self.before.contains_key(key);
            match write {
                Write::Put { key, owner, due_at, content, expected: _ } => puts.push(Put {
                    key,
                    version: *version,
                    is_new,
                    owner: owner.as_deref(),
                    due_at_us: due_at.map(Timestamp::as_microsecond),
                    updated_at_us: now.as_microsecond(),
                    content,
                }),
                Write::Delete { key, expected: _ } if !is_new => removals.push(key),
                Write::Delete { .. } | Write::Require { .. } => {}
            }
        }
        (puts, removals)
    }
}

/// Stores the jobs that are new, and gives those that were there before as they stand.
async fn store<E: Engine>(
    engine: &mut E,
    fates: &[Fate<'_>],
) -> sqlx::Result<HashMap<MailJobId, Job>> {
    let (mut new, mut existing) = (Vec::new(), Vec::new());
    for fate in fates {
        match fate {
            Fate::New(submit) => new.push(*submit),
            Fate::Existing(job) => existing.push(*job),
        }
    }
    if !new.is_empty() && !engine.submit(&new).await?.is_empty() {
        // Another node has claimed the request between the look and the claim.
        return Err(Error::RowNotFound);
    }
    if existing.is_empty() { Ok(HashMap::new()) } else { engine.jobs(&existing).await }
}

fn submitted(fate: Fate<'_>, standing: &HashMap<MailJobId, Job>) -> sqlx::Result<Submitted> {
    match fate {
        Fate::New(submit) => Ok(Submitted::New(submit.job.clone())),
        Fate::Existing(job) => {
            let job = standing.get(&job).ok_or(Error::RowNotFound)?;
            Ok(Submitted::Existing(job.clone()))
        }
    }
}

/// Cancels what waits of the jobs that the accepted changesets void.
async fn cancel<E: Engine>(
    engine: &mut E,
    ops: &[&Commit],
    decided: &[Result<Vec<Fate<'_>>, CommitError>],
) -> sqlx::Result<HashSet<MailJobId>> {
    let mut asked: BTreeMap<MailJobId, Timestamp> = BTreeMap::new();
    for (op, _) in ops.iter().zip(decided).filter(|(_, decided)| decided.is_ok()) {
        for id in &op.cancel {
            asked.entry(*id).or_insert(op.now);
        }
    }
    let ids: Vec<_> = asked.keys().copied().collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let found = engine.find(&ids).await?;
    let steps = found.into_iter().filter_map(|row| {
        let (job, held) = row.into_held()?;
        let cancelled = life::cancelled(job.clone(), asked[&job.id]).ok()?;
        Some(Advance::step(&job, held.fence, &cancelled))
    });
    let steps: Vec<_> = steps.collect();
    if steps.is_empty() {
        return Ok(HashSet::new());
    }
    let taken = engine.advance(&steps.iter().collect::<Vec<_>>()).await?;
    Ok(taken.into_keys().collect())
}
