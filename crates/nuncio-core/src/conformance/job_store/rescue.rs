//! What is promised for jobs whose node is gone.

use super::fixture::*;
use crate::class::MailClass;
use crate::job::{Job, JobState, NewJob};
use crate::ports::job_store::*;
use crate::retry::RESCUES_MAX;

pub async fn a_lease_is_rescued_when_it_ends_and_not_before(store: &impl JobStore) {
    submit(store, job(1)).await;
    claim_one(store, at(1)).await;

    assert_eq!(store.rescue(Dead::LeaseEnded, at(0) + LEASE).await.unwrap().len(), 0);
    assert_eq!(get(store, 1).await.state, JobState::Sending);
    assert_eq!(store.rescue(Dead::LeaseEnded, at(1) + LEASE).await.unwrap().len(), 1);
    assert_eq!(store.rescue(Dead::LeaseEnded, at(1) + LEASE).await.unwrap().len(), 0);
}

pub async fn an_extended_lease_is_rescued_later(store: &impl JobStore) {
    submit(store, job(1)).await;
    let lease = claim_one(store, at(1)).await.lease;

    store.extend(&lease, at(100)).await.unwrap();

    assert_eq!(store.rescue(Dead::LeaseEnded, at(99)).await.unwrap().len(), 0);
    assert_eq!(store.rescue(Dead::LeaseEnded, at(100)).await.unwrap().len(), 1);
}

pub async fn a_job_whose_body_did_not_go_out_is_due_again(store: &impl JobStore) {
    submit(store, job(1)).await;
    let lost = claim_one(store, at(1)).await.job;

    store.rescue(Dead::LeaseEnded, at(90)).await.unwrap();

    let rescued = get(store, 1).await;
    assert_eq!(code(&rescued), "NODE_DIED");
    let (state, reason) = (JobState::Deferred, rescued.reason.clone());
    let expect = Job { state, reason, due_at: at(90), updated_at: at(90), ..lost };
    assert_eq!(rescued, expect);
    assert_eq!(ids(&claim(store, at(90), 10).await), [id(1)]);
}

pub async fn a_job_whose_body_may_be_out_is_sent_again_if_its_class_says_so(store: &impl JobStore) {
    let rescued = rescued_in_the_body(store, MailClass::Credentials).await;

    assert_eq!((rescued.state, code(&rescued)), (JobState::Deferred, "OUTCOME_UNKNOWN"));
    assert_eq!(rescued.attempts, 1);
    assert_eq!(ids(&claim(store, rescued.due_at, 10).await), [id(1)]);
}

pub async fn a_job_whose_body_may_be_out_ends_unknown_if_its_class_says_so(store: &impl JobStore) {
    let rescued = rescued_in_the_body(store, MailClass::Bulk).await;

    assert_eq!((rescued.state, code(&rescued)), (JobState::Unknown, "OUTCOME_UNKNOWN"));
    assert_eq!(rescued.attempts, 1);
    assert_eq!(claim(store, at(3000), 10).await.len(), 0);
}

pub async fn a_job_that_was_claimed_into_its_body_may_be_out(store: &impl JobStore) {
    submit(store, job(1)).await;
    let claim = Claim { into_body: true, ..claim_of("a", at(1), 9) };
    assert_eq!(store.claim(claim).await.unwrap().len(), 1);

    store.rescue(Dead::AllBut(node("b")), at(5)).await.unwrap();

    let rescued = get(store, 1).await;
    assert_eq!((rescued.state, code(&rescued)), (JobState::Unknown, "OUTCOME_UNKNOWN"));
}

pub async fn a_body_that_went_out_in_an_earlier_lease_is_forgotten(store: &impl JobStore) {
    let rescued = rescued_in_the_body(store, MailClass::Credentials).await;
    claim_one(store, rescued.due_at).await;

    store.rescue(Dead::AllBut(node("b")), rescued.due_at).await.unwrap();

    let rescued = get(store, 1).await;
    assert_eq!((code(&rescued), rescued.attempts), ("NODE_DIED", 1));
}

pub async fn a_job_that_kills_its_nodes_is_given_up(store: &impl JobStore) {
    submit(store, job(1)).await;
    for _ in 1..RESCUES_MAX {
        lose_one(store, at(1)).await;
        assert_eq!(get(store, 1).await.state, JobState::Deferred);
    }

    lose_one(store, at(1)).await;

    let given_up = get(store, 1).await;
    assert_eq!((given_up.state, code(&given_up)), (JobState::Failed, "NODE_DIED_REPEATEDLY"));
}

pub async fn who_is_alone_takes_back_all_leases_but_its_own(store: &impl JobStore) {
    for (number, holder) in [(1, "a"), (2, "b"), (3, "c")] {
        submit(store, job(number)).await;
        assert_eq!(claim_as(store, holder, at(1), 10).await.len(), 1);
    }

    assert_eq!(store.rescue(Dead::AllBut(node("b")), at(2)).await.unwrap().len(), 2);

    assert_eq!(get(store, 2).await.state, JobState::Sending);
    assert_eq!(ids(&claim(store, at(2), 10).await), [1, 3].map(id));
}

pub async fn a_rescue_is_on_the_jobs_record(store: &impl JobStore) {
    rescued_in_the_body(store, MailClass::Credentials).await;

    let attempts = store.attempts(id(1), 10).await.unwrap();

    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].outcome.as_str(), attempts[0].counted), ("OUTCOME_UNKNOWN", true));
    assert_eq!((attempts[0].started_at, attempts[0].ended_at), (at(1), at(90)));
}

async fn rescued_in_the_body(store: &impl JobStore, class: MailClass) -> Job {
    submit(store, NewJob { class, ..job(1) }).await;
    let lease = claim_one(store, at(1)).await.lease;
    store.enter_body(&lease).await.unwrap();
    assert_eq!(store.rescue(Dead::LeaseEnded, at(90)).await.unwrap().len(), 1);
    get(store, 1).await
}

fn code(job: &Job) -> &str {
    &job.reason.as_ref().unwrap().code
}
