//! What is promised to those who watch.

use futures::future::join_all;

use super::fixture::*;
use crate::class::MailClass;
use crate::job::{Job, JobState, MailJobId, NewJob};
use crate::ports::job_store::*;

/// More changes than any of these stores has.
const ALL: u32 = 1000;

pub async fn every_state_of_a_job_is_there_once(store: &impl JobStore) {
    let new = NewJob { mail: mail(&["a@example.com", "b@example.com"]), ..job(1) };
    let mut expect = vec![submit(store, new).await];
    lose_one(store, at(1)).await;
    let sending = Job { state: JobState::Sending, updated_at: at(1), ..expect[0].clone() };
    expect.extend([sending, get(store, 1).await]);
    let claimed = claim_one(store, at(2)).await;
    expect.push(claimed.job.clone());
    let settlement = waits(&claimed.job, JobState::Held, at(3), at(3));
    expect.push(store.settle(claimed.lease, settlement).await.unwrap());
    let claimed = claim_one(store, at(4)).await;
    expect.push(claimed.job.clone());
    expect.push(store.settle(claimed.lease, sent(&claimed.job, at(5))).await.unwrap());
    submit(store, NewJob { expires_at: at(9), ..job(2) }).await;
    store.expire(at(9), 10).await.unwrap();
    submit(store, job(3)).await;
    store.cancel(id(3), at(10)).await.unwrap();

    assert_eq!(changes_of(store, 1).await, expect);
    for (number, state) in [(2, JobState::Expired), (3, JobState::Cancelled)] {
        let changes = changes_of(store, number).await;
        let states: Vec<_> = changes.iter().map(|job| job.state).collect();
        assert_eq!(states, [JobState::Queued, state]);
        assert_eq!(changes[1], get(store, number).await);
    }
}

pub async fn changes_can_be_read_on_from_any_place(store: &impl JobStore) {
    for number in 1..=7 {
        submit(store, job(number)).await;
    }
    let all = store.changes(ChangeSeq::default(), None, ALL).await.unwrap();
    assert_eq!(all.iter().map(|one| one.job.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7].map(id));

    for (place, change) in all.iter().enumerate() {
        let rest = store.changes(change.seq, None, 3).await.unwrap();
        assert_eq!(rest, all[place + 1..].iter().take(3).cloned().collect::<Vec<_>>());
    }
    assert_eq!(store.changes(ChangeSeq::default(), None, 0).await.unwrap(), []);
    assert_eq!(store.changes(ChangeSeq(i64::MAX), None, ALL).await.unwrap(), []);
}

pub async fn changes_of_concurrent_writes_are_complete_and_in_order(store: &impl JobStore) {
    let life = |number: u8| async move {
        submit(store, NewJob { class: MailClass::Alarm, ..job(number) }).await;
        let claimed = claim(store, at(1), 1).await.remove(0);
        let id = claimed.job.id;
        store.settle(claimed.lease, sent(&claimed.job, at(2))).await.unwrap();
        id
    };
    let mut settled: Vec<MailJobId> = join_all((1..=40).map(life)).await;

    let changes = store.changes(ChangeSeq::default(), None, ALL).await.unwrap();

    settled.sort();
    assert_eq!(settled, (1..=40).map(id).collect::<Vec<_>>());
    assert_eq!(changes.len(), 3 * 40);
    assert!(changes.is_sorted_by(|a, b| a.seq < b.seq));
    for number in 1..=40 {
        let states = changes.iter().filter(|one| one.job.id == id(number));
        let states: Vec<_> = states.map(|one| one.job.state).collect();
        assert_eq!(states, [JobState::Queued, JobState::Sending, JobState::Sent]);
    }
}

pub async fn the_changes_of_one_job_leave_out_all_others(store: &impl JobStore) {
    for number in 1..=3 {
        submit(store, job(number)).await;
    }
    for number in [3, 2, 1] {
        store.cancel(id(number), at(1)).await.unwrap();
    }

    let all = store.changes(ChangeSeq::default(), Some(id(2)), ALL).await.unwrap();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|one| one.job.id == id(2)));
    let rest = store.changes(all[0].seq, Some(id(2)), ALL).await.unwrap();
    assert_eq!(rest, all[1..]);
    assert_eq!(store.changes(ChangeSeq::default(), Some(id(2)), 1).await.unwrap(), all[..1]);
}

pub async fn the_last_change_is_known_even_after_pruning(store: &impl JobStore) {
    assert_eq!(store.last_change().await.unwrap(), ChangeSeq::default());
    submit(store, job(1)).await;
    store.cancel(id(1), at(1)).await.unwrap();
    let last = store.last_change().await.unwrap();
    let changes = store.changes(ChangeSeq::default(), None, ALL).await.unwrap();
    assert_eq!(changes.last().map(|one| one.seq), Some(last));

    store.prune(at(9), 10).await.unwrap();

    assert_eq!(store.last_change().await.unwrap(), last);
    submit(store, job(2)).await;
    assert!(last < store.last_change().await.unwrap());
    assert_eq!(store.changes(last, None, ALL).await.unwrap().len(), 1);
}

pub async fn what_is_no_change_of_state_is_no_change(store: &impl JobStore) {
    submit(store, job(1)).await;
    let claimed = claim_one(store, at(1)).await;
    let settlement = waits(&claimed.job, JobState::Held, at(30), at(1));
    store.settle(claimed.lease, settlement).await.unwrap();
    submit(store, job(2)).await;
    let lease = claim_one(store, at(2)).await.lease;
    let before = store.last_change().await.unwrap();

    store.extend(&lease, at(200)).await.unwrap();
    store.enter_body(&lease).await.unwrap();
    assert_eq!(store.release_held(at(3)).await.unwrap(), 1);

    assert_eq!(store.last_change().await.unwrap(), before);
}

pub async fn every_change_wakes_who_waits(store: &impl JobStore) {
    let mut changed = store.changed();
    changed.borrow_and_update();
    let mut woken = |by: &str| {
        assert!(changed.has_changed().unwrap(), "{by} wakes nobody");
        changed.borrow_and_update();
    };

    submit(store, NewJob { expires_at: at(100), ..job(1) }).await;
    woken("a submit");
    let claimed = claim_one(store, at(1)).await;
    woken("a claim");
    let settlement = waits(&claimed.job, JobState::Held, at(9), at(2));
    store.settle(claimed.lease, settlement).await.unwrap();
    woken("a settlement");
    store.release_held(at(3)).await.unwrap();
    woken("a release");
    lose_one(store, at(3)).await;
    woken("a rescue");
    store.expire(at(100), 10).await.unwrap();
    woken("an expiry");
    submit(store, job(2)).await;
    woken("a submit");
    store.cancel(id(2), at(101)).await.unwrap();
    woken("a cancellation");
}

async fn changes_of(store: &impl JobStore, number: u8) -> Vec<Job> {
    let changes = store.changes(ChangeSeq::default(), Some(id(number)), ALL).await.unwrap();
    changes.into_iter().map(|one| one.job).collect()
}
