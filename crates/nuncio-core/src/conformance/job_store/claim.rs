//! What a claim promises.

use std::collections::BTreeSet;

use futures::future::join_all;

use super::fixture::*;
use crate::class::MailClass;
use crate::job::{Job, JobState, NewJob};
use crate::ports::job_store::*;

pub async fn jobs_are_claimed_by_class_and_then_by_due_time(store: &impl JobStore) {
    let due = |seconds, class, number| NewJob { class, due_at: at(seconds), ..job(number) };
    submit(store, due(1, MailClass::Bulk, 1)).await;
    submit(store, due(4, MailClass::Credentials, 2)).await;
    submit(store, due(3, MailClass::Credentials, 3)).await;
    submit(store, due(5, MailClass::AlarmCritical, 4)).await;
    submit(store, due(2, MailClass::Reminder, 5)).await;

    let claimed = claim(store, at(10), 10).await;

    assert_eq!(ids(&claimed), [4, 3, 2, 5, 1].map(id));
}

pub async fn a_claim_takes_no_more_than_its_limit(store: &impl JobStore) {
    for number in 1..=5 {
        submit(store, NewJob { due_at: at(number.into()), ..job(number) }).await;
    }

    assert_eq!(claim(store, at(10), 0).await.len(), 0);
    assert_eq!(ids(&claim(store, at(10), 2).await), [1, 2].map(id));
    assert_eq!(ids(&claim(store, at(10), 10).await), [3, 4, 5].map(id));
}

pub async fn a_claim_takes_no_more_patient_jobs_than_it_may(store: &impl JobStore) {
    let classes = [
        MailClass::Bulk,
        MailClass::Reminder,
        MailClass::Alarm,
        MailClass::Approval,
        MailClass::Credentials,
    ];
    for (number, class) in (1..).zip(classes) {
        submit(store, NewJob { class, ..job(number) }).await;
    }
    let claim = |patient_max| Claim { patient_max, ..claim_of("a", at(1), 10) };

    assert_eq!(ids(&store.claim(claim(1)).await.unwrap()), [5, 4, 3].map(id));
    assert_eq!(ids(&store.claim(claim(0)).await.unwrap()), []);
    assert_eq!(ids(&store.claim(claim(2)).await.unwrap()), [2, 1].map(id));
}

pub async fn a_claim_leaves_alone_what_it_is_told_to(store: &impl JobStore) {
    for (number, class) in (1..).zip([MailClass::Credentials, MailClass::Bulk, MailClass::Bulk]) {
        submit(store, NewJob { class, due_at: at(number.into()), ..job(number) }).await;
    }
    let but = |except: &[u8]| {
        let except = except.iter().map(|number| id(*number)).collect();
        Claim { except, ..claim_of("a", at(10), 1) }
    };

    assert_eq!(ids(&store.claim(but(&[1, 2, 9])).await.unwrap()), [3].map(id));
    assert_eq!(ids(&store.claim(but(&[1, 2])).await.unwrap()), []);
    assert_eq!(ids(&store.claim(but(&[2])).await.unwrap()), [1].map(id));
    assert_eq!(ids(&store.claim(but(&[])).await.unwrap()), [2].map(id));
}

pub async fn a_job_is_claimed_from_its_due_time_on(store: &impl JobStore) {
    submit(store, NewJob { due_at: at(10), ..job(1) }).await;

    assert_eq!(claim(store, at(9), 10).await.len(), 0);
    assert_eq!(claim(store, at(10), 10).await.len(), 1);
}

pub async fn an_expired_job_is_not_claimed(store: &impl JobStore) {
    submit(store, NewJob { expires_at: at(20), ..job(1) }).await;
    submit(store, NewJob { expires_at: at(21), ..job(2) }).await;

    assert_eq!(ids(&claim(store, at(20), 10).await), [id(2)]);
}

pub async fn a_deferred_and_a_held_job_are_claimed_when_they_are_due(store: &impl JobStore) {
    for (number, state) in [(1, JobState::Deferred), (2, JobState::Held)] {
        submit(store, job(number)).await;
        let claimed = claim_one(store, at(1)).await;
        let settlement = waits(&claimed.job, state, at(30), at(2));
        store.settle(claimed.lease, settlement).await.unwrap();
    }

    assert_eq!(claim(store, at(29), 10).await.len(), 0);
    assert_eq!(ids(&claim(store, at(30), 10).await), [1, 2].map(id));
}

pub async fn a_claim_changes_the_state_and_nothing_else(store: &impl JobStore) {
    submit(store, job(1)).await;
    let claimed = claim_one(store, at(1)).await;
    let settlement = waits(&claimed.job, JobState::Deferred, at(30), at(2));
    let before = store.settle(claimed.lease, settlement).await.unwrap();

    let claimed = claim_one(store, at(31)).await.job;

    assert_eq!(claimed, Job { state: JobState::Sending, updated_at: at(31), ..before });
    assert_eq!(get(store, 1).await, claimed);
}

pub async fn a_leased_job_is_not_claimed_again(store: &impl JobStore) {
    submit(store, job(1)).await;
    claim_one(store, at(1)).await;

    // Not even when its lease has ended: it has to be rescued first.
    assert_eq!(claim(store, at(1) + LEASE + LEASE, 10).await.len(), 0);
}

pub async fn concurrent_claims_never_give_one_job_twice(store: &impl JobStore) {
    join_all((1..=60).map(|number| store.submit(job(number)))).await;

    let nodes: Vec<_> = (0..20).map(|number| format!("node-{number}")).collect();
    let claims = nodes.iter().map(|holder| claim_as(store, holder, at(1), 5));
    let claimed: Vec<_> = join_all(claims).await.into_iter().flatten().collect();

    let different: BTreeSet<_> = ids(&claimed).into_iter().collect();
    assert_eq!((claimed.len(), different.len()), (60, 60));
}

pub async fn each_claim_of_a_job_has_a_greater_fence(store: &impl JobStore) {
    submit(store, job(1)).await;

    let first = lose_one(store, at(1)).await;
    let second = lose_one(store, at(2)).await;
    let third = claim_one(store, at(3)).await;
    let settlement = waits(&third.job, JobState::Deferred, at(4), at(3));
    let third_fence = third.lease.fence;
    store.settle(third.lease, settlement).await.unwrap();
    let fourth = claim_one(store, at(4)).await.lease;

    assert!(first.fence < second.fence);
    assert!(second.fence < third_fence);
    assert!(third_fence < fourth.fence);
}
