//! What a changeset promises of its mail jobs.

use futures::future::join_all;

use super::super::job_store::fixture::{at, claim_one, get, id, job, request, submit};
use super::fixture::*;
use crate::job::{JobState, NewJob};
use crate::ports::job_store::{ChangeSeq, JobStore, StoreError, Submitted};
use crate::ports::records::*;

fn with_request(number: u8, request_id: &str, fingerprint: u8) -> NewJob {
    NewJob { request: Some(request("pan", request_id, fingerprint)), ..job(number) }
}

/// Writes one record with these jobs.
fn with_jobs(id: &str, jobs: impl IntoIterator<Item = NewJob>) -> Changeset {
    Changeset { jobs: jobs.into_iter().collect(), ..changes([put(id, Expected::Any)]) }
}

pub async fn jobs_are_stored_with_the_records(store: &(impl JobStore + RecordStore)) {
    let mut changed = store.changed();
    changed.borrow_and_update();

    let committed = store.commit(with_jobs("zoe", [job(1), with_request(2, "r", 1)])).await;

    let submitted = [Submitted::New(get(store, 1).await), Submitted::New(get(store, 2).await)];
    assert_eq!(committed.unwrap(), Committed { jobs: submitted.into(), cancelled: Vec::new() });
    assert_eq!(get(store, 1).await.state, JobState::Queued);
    assert_eq!(version(store, "zoe").await, Some(1));
    assert!(changed.has_changed().unwrap());
    // It is a job like others: with its mail, its changes and its request id.
    assert_eq!(store.changes(ChangeSeq::default(), None, 10).await.unwrap().len(), 2);
    let again = store.submit(with_request(3, "r", 1)).await.unwrap();
    assert_eq!(again, Submitted::Existing(get(store, 2).await));
    store.cancel(id(2), at(0)).await.unwrap();
    assert!(claim_one(store, at(1)).await.mail == job(1).mail);
}

pub async fn a_known_request_gives_its_job_and_the_records_are_written(
    store: &(impl JobStore + RecordStore),
) {
    submit(store, with_request(1, "r", 1)).await;
    let standing = claim_one(store, at(1)).await.job;

    let changes = with_jobs("zoe", [with_request(2, "r", 1), job(3)]);
    let committed = store.commit(changes).await.unwrap();

    let expect = [Submitted::Existing(standing), Submitted::New(get(store, 3).await)];
    assert_eq!(committed.jobs, expect);
    assert_eq!(store.get(id(2)).await.unwrap(), None);
    assert_eq!(version(store, "zoe").await, Some(1));
}

pub async fn a_reused_request_id_leaves_all_undone(store: &(impl JobStore + RecordStore)) {
    submit(store, with_request(1, "r", 1)).await;
    let before = store.last_change().await.unwrap();

    let changes = with_jobs("zoe", [job(2), with_request(3, "r", 2), job(4)]);
    let refused = store.commit(Changeset { cancel: vec![id(1)], ..changes }).await;

    let Err(CommitError::RequestIdReused { existing }) = refused else { panic!("{refused:?}") };
    assert_eq!(existing, id(1));
    for number in 2..=4 {
        assert_eq!(store.get(id(number)).await.unwrap(), None);
    }
    assert_eq!(version(store, "zoe").await, None);
    assert_eq!(store.last_change().await.unwrap(), before);
}

pub async fn a_request_may_stand_twice_in_one_changeset(store: &(impl JobStore + RecordStore)) {
    let twice = [with_request(1, "r", 1), with_request(2, "r", 1)];
    let committed = store.commit(with_jobs("zoe", twice)).await.unwrap();

    let first = get(store, 1).await;
    assert_eq!(committed.jobs, [Submitted::New(first.clone()), Submitted::Existing(first)]);
    assert_eq!(store.get(id(2)).await.unwrap(), None);

    let other = [with_request(3, "s", 1), with_request(4, "s", 2)];
    let refused = store.commit(with_jobs("ann", other)).await;
    let Err(CommitError::RequestIdReused { existing }) = refused else { panic!("{refused:?}") };
    assert_eq!(existing, id(3));
    assert_eq!(store.get(id(3)).await.unwrap(), None);
    assert_eq!(version(store, "ann").await, None);
}

pub async fn a_job_id_that_is_taken_leaves_all_undone(store: &(impl JobStore + RecordStore)) {
    let first = submit(store, job(1)).await;

    for jobs in [vec![job(2), with_request(1, "r", 1)], vec![job(3), job(3)]] {
        let refused = store.commit(with_jobs("zoe", jobs)).await;
        assert!(matches!(refused, Err(CommitError::Store(StoreError::Unusable(_)))), "{refused:?}");
    }

    assert_eq!(get(store, 1).await, first);
    for number in 2..=3 {
        assert_eq!(store.get(id(number)).await.unwrap(), None);
    }
    assert_eq!(version(store, "zoe").await, None);
    // Nor does it keep the request id.
    submit(store, with_request(4, "r", 2)).await;
}

pub async fn a_conflict_leaves_jobs_undone(store: &(impl JobStore + RecordStore)) {
    submit(store, job(1)).await;
    let before = store.last_change().await.unwrap();

    let refused = Changeset {
        jobs: vec![with_request(2, "r", 1)],
        cancel: vec![id(1)],
        ..changes([put("zoe", Expected::Version(1))])
    };
    let refused = store.commit(refused).await;

    assert!(matches!(refused, Err(CommitError::Conflict { .. })), "{refused:?}");
    assert_eq!(store.get(id(2)).await.unwrap(), None);
    assert_eq!(get(store, 1).await.state, JobState::Queued);
    assert_eq!(store.last_change().await.unwrap(), before);
}

pub async fn only_waiting_jobs_are_cancelled(store: &(impl JobStore + RecordStore)) {
    submit(store, job(1)).await;
    claim_one(store, at(1)).await;
    submit(store, job(2)).await;
    submit(store, job(3)).await;
    let before = get(store, 1).await;

    let cancel = vec![id(3), id(1), id(9), id(3), id(2)];
    let committed = store.commit(Changeset { cancel, ..Changeset::new(at(5)) }).await.unwrap();

    assert_eq!(committed.cancelled, [id(3), id(2)]);
    assert_eq!(get(store, 1).await, before);
    for number in [2, 3] {
        let cancelled = get(store, number).await;
        assert_eq!((cancelled.state, cancelled.updated_at), (JobState::Cancelled, at(5)));
        assert_eq!(
            store.changes(ChangeSeq::default(), Some(id(number)), 9).await.unwrap().len(),
            2
        );
    }
}

pub async fn a_changeset_with_many_jobs_is_taken(store: &(impl JobStore + RecordStore)) {
    let jobs = || (1..=250).map(|number: u8| with_request(number, &number.to_string(), 1));
    let committed = store.commit(with_jobs("zoe", jobs())).await.unwrap();
    assert!(committed.jobs.iter().all(|job| matches!(job, Submitted::New(_))));
    assert_eq!(store.backlog().await.unwrap().queued, 250);

    let again = store.commit(with_jobs("zoe", jobs())).await.unwrap();
    assert!(again.jobs.iter().all(|job| matches!(job, Submitted::Existing(_))));

    let cancel: Vec<_> = jobs().map(|job| job.id).collect();
    let changes = Changeset { cancel: cancel.clone(), ..Changeset::new(at(1)) };
    assert_eq!(store.commit(changes).await.unwrap().cancelled, cancel);
    assert_eq!(store.backlog().await.unwrap().queued, 0);
}

pub async fn of_concurrent_changesets_with_one_request_id_one_stores_the_job(
    store: &(impl JobStore + RecordStore),
) {
    let commit = |number: u8| {
        store.commit(with_jobs(&format!("{number:02}"), [with_request(number, "r", 1)]))
    };
    let results = join_all((1..=20).map(commit)).await;

    let jobs: Vec<_> = results.into_iter().map(|one| one.unwrap().jobs.remove(0)).collect();
    let new: Vec<_> = jobs.iter().filter(|one| matches!(one, Submitted::New(_))).collect();
    assert_eq!(new.len(), 1, "{jobs:?}");
    for one in &jobs {
        let (Submitted::New(one) | Submitted::Existing(one), Submitted::New(first)) = (one, new[0])
        else {
            panic!("{new:?}")
        };
        assert_eq!(one.id, first.id);
    }
    assert_eq!(all(store).await.len(), 20);
    assert_eq!(store.backlog().await.unwrap().queued, 1);
}
