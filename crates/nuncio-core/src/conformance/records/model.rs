//! Random changesets against a model that is simple enough to be seen to be right.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::job_store::fixture::{at, id, job, request};
use super::fixture::*;
use crate::job::{JobState, NewJob};
use crate::ports::job_store::{JobStore, Submitted};
use crate::ports::records::*;

/// How many changesets, one after the other.
const STEPS: usize = 300;
const KEYS: [&str; 5] = ["", "a", "b", "é", "\u{1f511}"];

#[derive(Default)]
struct Model {
    records: BTreeMap<String, Record>,
    /// By job: whether it waits.
    jobs: HashMap<u8, bool>,
    requests: HashMap<String, (u8, u8)>,
    /// The number of the next job.
    next: u8,
}

/// What a changeset holds, before its versions and job ids are known.
#[derive(Clone, Debug)]
struct Draft {
    writes: Vec<WriteDraft>,
    jobs: Vec<Option<(&'static str, u8)>>,
    cancel: Vec<u8>,
}

/// Delete, require or put; and owner, due time and content of a put.
type WriteDraft = (u8, Expecting, Option<&'static str>, Option<i64>, String);

#[derive(Clone, Copy, Debug)]
enum Expecting {
    Any,
    Absent,
    /// What is there, whatever that is.
    Right,
    Version(i64),
}

pub async fn random_changesets_come_to_what_a_model_says(store: &(impl JobStore + RecordStore)) {
    let mut runner = TestRunner::deterministic();
    let strategy = draft();
    let mut model = Model { next: 1, ..Model::default() };
    let mut refused = 0;
    for step in 0..STEPS {
        let drafted = strategy.new_tree(&mut runner).unwrap().current();
        let now = at(i64::try_from(step).unwrap());
        let changes = model.changeset(&drafted, now);
        let expect = model.commit(&changes, &drafted);

        let result = store.commit(changes).await;

        check_result(step, &drafted, &result, expect.as_ref());
        refused += usize::from(result.is_err());
        check_store(step, store, &model).await;
    }
    // Neither all nor none of them were refused: else it would show little.
    assert!((STEPS / 10..STEPS * 9 / 10).contains(&refused), "{refused} of {STEPS}");
}

fn draft() -> impl Strategy<Value = Draft> {
    let expecting = prop_oneof![
        3 => Just(Expecting::Any),
        1 => Just(Expecting::Absent),
        6 => Just(Expecting::Right),
        1 => (1..4_i64).prop_map(Expecting::Version),
    ];
    let owner = proptest::option::of(select(KEYS.to_vec()));
    let due = proptest::option::of(-3..30_i64);
    let write = (0..3_u8, expecting, owner, due, "\\PC{0,9}");
    let job = proptest::option::of((select(vec!["r", "s", "t"]), 0..2_u8));
    let jobs = proptest::collection::vec(job, 0..2);
    let writes = proptest::collection::vec(write, 1..KEYS.len());
    (writes, jobs, proptest::collection::vec(1..60_u8, 0..2))
        .prop_map(|(writes, jobs, cancel)| Draft { writes, jobs, cancel })
}

impl Model {
    fn version(&self, id: &str) -> Option<i64> {
        self.records.get(id).map(|record| record.version)
    }

    /// The same keys in each, from the second on: a draft has no more writes than there are.
    fn changeset(&self, draft: &Draft, now: Timestamp) -> Changeset {
        let turn = draft.writes[0].4.len();
        let writes = draft.writes.iter().enumerate().map(|(place, write)| {
            let id = KEYS[1 + (place + turn) % (KEYS.len() - 1)];
            let (what, expecting, owner, due, content) = write;
            let key = guest(id);
            let expected = match (expecting, self.version(id)) {
                (Expecting::Any, _) => Expected::Any,
                (Expecting::Absent, _) | (Expecting::Right, None) => Expected::Absent,
                (Expecting::Right, Some(version)) => Expected::Version(version),
                (Expecting::Version(version), _) => Expected::Version(*version),
            };
            match what {
                0 => Write::Delete { key, expected },
                1 => Write::Require { key, expected },
                _ => Write::Put {
                    key,
                    expected,
                    owner: owner.map(str::to_owned),
                    due_at: due.map(at),
                    content: content.clone(),
                },
            }
        });
        let jobs = (self.next..).zip(&draft.jobs).map(|(number, keyed)| NewJob {
            request: keyed.map(|(name, print)| request("pan", name, print)),
            ..job(number)
        });
        Changeset {
            writes: writes.collect(),
            jobs: jobs.collect(),
            cancel: draft.cancel.iter().map(|number| id(*number)).collect(),
            ..Changeset::new(now)
        }
    }

    /// The numbers of the jobs that are told, whether each is new, and those that were cancelled; none if the
    /// changeset is refused.
    fn commit(&mut self, changes: &Changeset, draft: &Draft) -> Option<Expect> {
        let unfit = |write: &Write| !write.expected().fits(self.version(write.key().id.as_str()));
        if changes.writes.iter().any(unfit) {
            return None;
        }
        let mut expect = Expect::default();
        for keyed in &draft.jobs {
            let number = self.next + u8::try_from(expect.jobs.len()).unwrap();
            match keyed.and_then(|(name, print)| Some((print, *self.requests.get(name)?))) {
                Some((print, (known, _))) if print != known => return None,
                Some((_, (_, first))) => expect.jobs.push((first, false)),
                None => expect.jobs.push((number, true)),
            }
        }
        for ((number, is_new), keyed) in expect.jobs.iter().zip(&draft.jobs) {
            if *is_new {
                self.jobs.insert(*number, true);
                let known = keyed.map(|(name, print)| (name.to_owned(), (print, *number)));
                self.requests.extend(known);
            }
        }
        // Drafts hold one job at most: so the next is free.
        self.next += u8::try_from(draft.jobs.len()).unwrap();
        for number in &draft.cancel {
            if let Some(waits @ true) = self.jobs.get_mut(number) {
                *waits = false;
                expect.cancelled.push(*number);
            }
        }
        for write in &changes.writes {
            self.write(write, changes.now);
        }
        Some(expect)
    }

    fn write(&mut self, write: &Write, now: Timestamp) {
        match write.clone() {
            Write::Put { key, owner, due_at, content, .. } => {
                let version = self.version(&key.id).unwrap_or(0) + 1;
                let record =
                    Record { key: key.clone(), version, owner, due_at, updated_at: now, content };
                self.records.insert(key.id, record);
            }
            Write::Delete { key, .. } => drop(self.records.remove(&key.id)),
            Write::Require { .. } => {}
        }
    }
}

#[derive(Debug, Default)]
struct Expect {
    jobs: Vec<(u8, bool)>,
    cancelled: Vec<u8>,
}

fn check_result(
    step: usize,
    draft: &Draft,
    result: &Result<Committed, CommitError>,
    expect: Option<&Expect>,
) {
    match (result, expect) {
        (Ok(committed), Some(expect)) => {
            let told = committed.jobs.iter().map(|one| match one {
                Submitted::New(job) => (job.id, true),
                Submitted::Existing(job) => (job.id, false),
            });
            assert!(told.eq(expect.jobs.iter().map(|(number, new)| (id(*number), *new))), "{step}");
            let cancelled: Vec<_> = expect.cancelled.iter().map(|number| id(*number)).collect();
            assert_eq!(committed.cancelled, cancelled, "step {step}: {draft:?}");
        }
        (Err(CommitError::Conflict { .. } | CommitError::RequestIdReused { .. }), None) => {}
        (result, expect) => panic!("step {step}: {draft:?}: {result:?}, not {expect:?}"),
    }
}

async fn check_store(step: usize, store: &(impl JobStore + RecordStore), model: &Model) {
    let expect: Vec<_> = model.records.values().cloned().collect();
    let there = all(store).await;
    assert!(there == expect, "step {step}: {there:?}, not {expect:?}");
    assert_eq!(store.count_records(GUEST).await.unwrap(), u64::try_from(expect.len()).unwrap());

    let mut due: Vec<_> = expect.iter().filter(|record| record.due_at.is_some()).collect();
    due.sort_by_key(|record| (record.due_at, &record.key.id));
    let next = due.first().and_then(|record| record.due_at);
    assert_eq!(store.next_due_record(GUEST).await.unwrap(), next, "step {step}");
    due.retain(|record| record.due_at <= Some(at(15)));
    let found = store.due_records(GUEST, at(15), None, 9).await.unwrap();
    assert!(found.iter().eq(due), "step {step}: {found:?}");

    for owner in KEYS {
        let owner = Some(owner.to_owned());
        let of_owner = expect.iter().filter(|record| record.owner == owner);
        let query = RecordQuery { kind: GUEST, owner: owner.clone(), after: None, limit: 9 };
        assert!(store.list_records(&query).await.unwrap().iter().eq(of_owner), "step {step}");
    }
    let waiting = model.jobs.values().filter(|waits| **waits).count();
    assert_eq!(store.backlog().await.unwrap().queued, u64::try_from(waiting).unwrap());
    for number in model.jobs.keys() {
        let state = store.get(id(*number)).await.unwrap().unwrap().state;
        let waits = model.jobs[number];
        assert_eq!(state, if waits { JobState::Queued } else { JobState::Cancelled });
    }
}
