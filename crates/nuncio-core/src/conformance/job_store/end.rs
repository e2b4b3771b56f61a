//! What is promised for the end of jobs: cancelled, expired, pruned; and for the release of held ones.

use super::fixture::*;
use crate::job::{Job, JobState, NewJob, RecipientState};
use crate::ports::job_store::*;
use crate::retry::Decision;

pub async fn a_waiting_job_can_be_cancelled(store: &impl JobStore) {
    for number in 1..=3 {
        submit(store, job(number)).await;
    }
    settle_to(store, 1, JobState::Deferred).await;
    settle_to(store, 2, JobState::Held).await;

    for number in 1..=3 {
        let cancelled = store.cancel(id(number), at(5)).await.unwrap();
        assert_eq!((cancelled.state, cancelled.updated_at), (JobState::Cancelled, at(5)));
        assert_eq!(cancelled.reason.as_ref().unwrap().code, "CANCELLED");
        assert_eq!(get(store, number).await, cancelled);
    }
    assert_eq!(claim(store, at(100), 10).await.len(), 0);
}

pub async fn a_job_that_does_not_wait_cannot_be_cancelled(store: &impl JobStore) {
    submit(store, job(1)).await;
    let claimed = claim_one(store, at(1)).await;
    check_not_waiting(store, JobState::Sending).await;
    store.settle(claimed.lease, sent(&claimed.job, at(2))).await.unwrap();
    check_not_waiting(store, JobState::Sent).await;
}

pub async fn an_unknown_job_cannot_be_cancelled(store: &impl JobStore) {
    let refused = store.cancel(id(1), at(5)).await;

    assert!(matches!(refused, Err(CancelError::NotFound(job)) if job == id(1)), "{refused:?}");
}

pub async fn waiting_jobs_expire_when_their_time_to_live_ends(store: &impl JobStore) {
    for number in 1..=4 {
        submit(store, NewJob { expires_at: at(50), ..job(number) }).await;
    }
    submit(store, NewJob { expires_at: at(51), ..job(5) }).await;
    settle_to(store, 1, JobState::Deferred).await;
    settle_to(store, 2, JobState::Held).await;
    settle_to(store, 3, JobState::Sent).await;

    assert_eq!(store.expire(at(49), 10).await.unwrap().len(), 0);
    assert_eq!(store.expire(at(50), 10).await.unwrap().len(), 3);

    for number in [1, 2, 4] {
        let expired = get(store, number).await;
        assert_eq!((expired.state, expired.updated_at), (JobState::Expired, at(50)));
        assert_eq!(expired.reason.unwrap().code, "EXPIRED");
    }
    let deferred = get(store, 1).await.reason.unwrap().message;
    assert!(deferred.contains("nobody answers"), "the last trouble is told: {deferred}");
    assert_eq!(get(store, 3).await.state, JobState::Sent);
    assert_eq!(get(store, 5).await.state, JobState::Queued);
}

pub async fn a_job_that_some_recipient_has_accepted_ends_as_sent(store: &impl JobStore) {
    let mail = mail(&["a@example.com", "b@example.com"]);
    submit(store, NewJob { mail, expires_at: at(50), ..job(1) }).await;
    let claimed = claim_one(store, at(1)).await;
    let settlement = waits(&claimed.job, JobState::Deferred, at(2), at(1));
    let mut recipients = claimed.job.recipients;
    recipients[0].state = RecipientState::Accepted;
    let decision = Decision { recipients: recipients.clone(), ..settlement.decision };
    store.settle(claimed.lease, Settlement { decision, ..settlement }).await.unwrap();

    assert_eq!(store.expire(at(50), 10).await.unwrap().len(), 1);

    let ended = get(store, 1).await;
    assert_eq!(ended.state, JobState::Sent);
    assert_eq!(ended.reason.unwrap().code, "EXPIRED");
    assert_eq!(ended.recipients, recipients);
}

pub async fn a_job_that_is_being_sent_does_not_expire(store: &impl JobStore) {
    submit(store, NewJob { expires_at: at(50), ..job(1) }).await;
    claim_one(store, at(1)).await;

    assert_eq!(store.expire(at(100), 10).await.unwrap().len(), 0);
    assert_eq!(get(store, 1).await.state, JobState::Sending);
}

pub async fn no_more_jobs_expire_than_the_limit(store: &impl JobStore) {
    for number in 1..=5 {
        submit(store, NewJob { expires_at: at(50), ..job(number) }).await;
    }

    assert_eq!(store.expire(at(60), 3).await.unwrap().len(), 3);
    assert_eq!(store.expire(at(60), 3).await.unwrap().len(), 2);
    assert_eq!(store.expire(at(60), 3).await.unwrap().len(), 0);
}

pub async fn an_ended_job_is_pruned_with_all_that_belongs_to_it(store: &impl JobStore) {
    submit(store, NewJob { request: Some(request("cli", "r-1", 1)), ..job(1) }).await;
    settle_to(store, 1, JobState::Sent).await;

    assert_eq!(store.prune(at(3), 10).await.unwrap(), 1);

    assert_eq!(store.get(id(1)).await.unwrap(), None);
    assert_eq!(store.attempts(id(1), 10).await.unwrap(), []);
    assert_eq!(store.changes(ChangeSeq(0), None, 10).await.unwrap(), []);
    submit(store, NewJob { request: Some(request("cli", "r-1", 2)), ..job(2) }).await;
}

pub async fn only_ended_jobs_that_are_old_enough_are_pruned(store: &impl JobStore) {
    for number in 1..=4 {
        submit(store, job(number)).await;
    }
    settle_to(store, 1, JobState::Sent).await;
    settle_to(store, 2, JobState::Deferred).await;
    store.cancel(id(3), at(10)).await.unwrap();

    assert_eq!(store.prune(at(2), 10).await.unwrap(), 0, "what changed at that moment stays");
    assert_eq!(store.prune(at(10), 10).await.unwrap(), 1);

    let left = store.list(&JobQuery { limit: 10, ..JobQuery::default() }).await.unwrap().jobs;
    assert_eq!(left.iter().map(|job| job.id).collect::<Vec<_>>(), [4, 3, 2].map(id));
}

pub async fn no_more_jobs_are_pruned_than_the_limit(store: &impl JobStore) {
    for number in 1..=5 {
        submit(store, job(number)).await;
        store.cancel(id(number), at(1)).await.unwrap();
    }

    assert_eq!(store.prune(at(9), 3).await.unwrap(), 3);
    assert_eq!(store.prune(at(9), 3).await.unwrap(), 2);
    assert_eq!(store.prune(at(9), 3).await.unwrap(), 0);
}

pub async fn held_jobs_are_due_after_their_release(store: &impl JobStore) {
    for number in 1..=3 {
        submit(store, NewJob { due_at: at(number.into()), ..job(number) }).await;
    }
    settle_to(store, 1, JobState::Held).await;
    settle_to(store, 2, JobState::Deferred).await;
    settle_to(store, 3, JobState::Held).await;
    let held = get(store, 1).await;

    assert_eq!(store.release_held(at(6)).await.unwrap(), 2);

    assert_eq!(get(store, 1).await, Job { due_at: at(6), ..held });
    assert_eq!(ids(&claim(store, at(6), 10).await), [1, 3].map(id));
    assert_eq!(store.release_held(at(7)).await.unwrap(), 0);
}

/// Settles a job that is first in line to `state`, at the second 2; it is due again at the second 20.
async fn settle_to(store: &impl JobStore, number: u8, state: JobState) {
    let claimed = claim(store, at(number.into()), 1).await.remove(0);
    assert_eq!(claimed.job.id, id(number));
    let settlement = if state == JobState::Sent {
        sent(&claimed.job, at(2))
    } else {
        waits(&claimed.job, state, at(20), at(2))
    };
    store.settle(claimed.lease, settlement).await.unwrap();
}

async fn check_not_waiting(store: &impl JobStore, expect: JobState) {
    let before = get(store, 1).await;

    let refused = store.cancel(id(1), at(5)).await;

    let Err(CancelError::NotWaiting { id: job, state }) = refused else {
        panic!("it does not wait: {refused:?}");
    };
    assert_eq!((job, state), (id(1), expect));
    assert_eq!(get(store, 1).await, before);
}
