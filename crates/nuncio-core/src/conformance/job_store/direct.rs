//! What is promised to callers who hold, release and retry jobs.

use super::fixture::*;
use crate::job::{HELD_BY_CALLER, Job, JobState, NewJob, RecipientState};
use crate::ports::job_store::*;
use crate::retry::Decision;

const RETRY: Direction = Direction::Retry { allow_duplicate: false };
const RETRY_ANYWAY: Direction = Direction::Retry { allow_duplicate: true };

pub async fn a_held_job_waits_until_it_is_released(store: &impl JobStore) {
    let submitted = submit(store, job(1)).await;

    let held = direct(store, Direction::Hold, 1).await;

    assert_eq!((held.state, code(&held), held.updated_at), (JobState::Held, HELD_BY_CALLER, at(1)));
    assert_eq!(get(store, 1).await, held);
    assert_eq!(claim(store, at(2), 10).await.len(), 0);
    assert_eq!(store.release_held(at(3)).await.unwrap(), 0, "a caller holds it, not its channel");
    assert_eq!(claim(store, at(3000), 10).await.len(), 0);
    assert_eq!(store.backlog().await.unwrap().held, 1);

    let released = direct(store, Direction::Release, 3001).await;

    let expect = Job { due_at: at(3001), updated_at: at(3001), ..submitted };
    assert_eq!(released, expect, "it goes back to where it was");
    assert_eq!(get(store, 1).await, expect);
    assert_eq!(ids(&claim(store, at(3001), 10).await), [id(1)]);
}

pub async fn a_held_job_expires_and_can_be_cancelled(store: &impl JobStore) {
    submit(store, NewJob { expires_at: at(50), ..job(1) }).await;
    direct(store, Direction::Hold, 1).await;

    assert_eq!(store.expire(at(49), 10).await.unwrap().len(), 0);
    assert_eq!(claim(store, at(50), 10).await.len(), 0);
    assert_eq!(store.expire(at(50), 10).await.unwrap().len(), 1);
    assert_eq!(get(store, 1).await.state, JobState::Expired);

    submit(store, job(2)).await;
    store.direct(id(2), Direction::Hold, at(51)).await.unwrap();
    assert_eq!(store.cancel(id(2), at(52)).await.unwrap().state, JobState::Cancelled);
}

pub async fn a_released_job_that_was_tried_before_is_deferred(store: &impl JobStore) {
    for state in [JobState::Deferred, JobState::Held] {
        let number = if state == JobState::Held { 1 } else { 2 };
        submit(store, job(number)).await;
        settle_to(store, state, at(1)).await;

        let held = store.direct(id(number), Direction::Hold, at(2)).await.unwrap();
        assert_eq!((held.state, code(&held)), (JobState::Held, HELD_BY_CALLER));
        let message = &held.reason.as_ref().unwrap().message;
        assert!(message.contains("nobody answers"), "the last trouble is told: {message}");
        let released = store.direct(id(number), Direction::Release, at(3)).await.unwrap();

        assert_eq!((released.state, code(&released)), (JobState::Deferred, "RELEASED_BY_CALLER"));
        assert_eq!(released.due_at, at(3));
        let claimed = claim_one(store, at(3)).await;
        store.settle(claimed.lease, sent(&claimed.job, at(3))).await.unwrap();
    }
}

pub async fn only_waiting_jobs_can_be_held(store: &impl JobStore) {
    submit(store, job(1)).await;
    let claimed = claim_one(store, at(1)).await;
    check_not_holdable(store, JobState::Sending).await;
    store.settle(claimed.lease, sent(&claimed.job, at(2))).await.unwrap();
    check_not_holdable(store, JobState::Sent).await;
}

pub async fn only_jobs_that_a_caller_holds_can_be_released(store: &impl JobStore) {
    submit(store, job(1)).await;
    check_not_held(store, JobState::Queued).await;
    settle_to(store, JobState::Held, at(1)).await;
    check_not_held(store, JobState::Held).await;
    store.cancel(id(1), at(3)).await.unwrap();
    check_not_held(store, JobState::Cancelled).await;
}

pub async fn a_retried_job_that_waits_is_due_now(store: &impl JobStore) {
    for state in [JobState::Deferred, JobState::Held] {
        let number = if state == JobState::Held { 1 } else { 2 };
        submit(store, job(number)).await;
        settle_to(store, state, at(1)).await;
        let waiting = get(store, number).await;

        let retried = store.direct(id(number), RETRY, at(5)).await.unwrap();

        assert_eq!(retried, Job { due_at: at(5), updated_at: at(5), ..waiting });
        let claimed = claim_one(store, at(5)).await;
        store.settle(claimed.lease, sent(&claimed.job, at(5))).await.unwrap();
    }
    submit(store, job(3)).await;
    store.direct(id(3), Direction::Hold, at(6)).await.unwrap();
    let retried = store.direct(id(3), RETRY, at(7)).await.unwrap();
    assert_eq!((retried.state, retried.due_at), (JobState::Queued, at(7)), "it is released");
}

pub async fn only_jobs_that_wait_for_another_attempt_can_be_retried(store: &impl JobStore) {
    submit(store, job(1)).await;
    check_not_retryable(store, JobState::Queued).await;
    let claimed = claim_one(store, at(1)).await;
    check_not_retryable(store, JobState::Sending).await;
    store.settle(claimed.lease, waits(&claimed.job, JobState::Failed, at(1), at(1))).await.unwrap();
    check_not_retryable(store, JobState::Failed).await;
    submit(store, job(2)).await;
    let claimed = claim_one(store, at(1)).await;
    store.settle(claimed.lease, sent(&claimed.job, at(1))).await.unwrap();
    submit(store, job(3)).await;
    store.cancel(id(3), at(1)).await.unwrap();
    submit(store, NewJob { expires_at: at(2), ..job(4) }).await;
    store.expire(at(2), 1).await.unwrap();
    for (number, state) in [(2, JobState::Sent), (3, JobState::Cancelled), (4, JobState::Expired)] {
        let refused = store.direct(id(number), RETRY_ANYWAY, at(5)).await;
        let Err(DirectError::NotRetryable { state: told, .. }) = refused else {
            panic!("it cannot be tried again: {refused:?}");
        };
        assert_eq!(told, state);
    }
}

pub async fn an_unknown_job_is_sent_again_if_a_duplicate_is_allowed(store: &impl JobStore) {
    let unknown = unknown_job(store).await;

    let refused = store.direct(id(1), RETRY, at(5)).await;
    assert!(
        matches!(refused, Err(DirectError::MayBeDuplicate(job)) if job == id(1)),
        "{refused:?}"
    );
    assert_eq!(get(store, 1).await, unknown);
    let retried = direct(store, RETRY_ANYWAY, 6).await;

    assert_eq!((retried.state, code(&retried)), (JobState::Deferred, "RETRIED_BY_CALLER"));
    let states: Vec<_> = retried.recipients.iter().map(|one| one.state).collect();
    assert_eq!(
        states,
        [RecipientState::Accepted, RecipientState::Pending, RecipientState::Refused]
    );
    let claimed = claim_one(store, at(6)).await;
    assert_eq!(claimed.job.message_id, unknown.message_id);
    assert_eq!(claimed.job.pending(), [1]);
    assert!(claimed.mail == mail(&THREE), "the mail is still there: {:?}", claimed.mail);
    store.settle(claimed.lease, sent(&claimed.job, at(7))).await.unwrap();
    assert_eq!(get(store, 1).await.state, JobState::Sent);
}

pub async fn an_unknown_job_cannot_be_retried_after_its_time_to_live(store: &impl JobStore) {
    let unknown = unknown_job(store).await;

    // Not even if a clock goes back: its mail is removed when its time to live ends.
    assert_eq!(store.expire(unknown.expires_at, 10).await.unwrap(), []);
    for now in [unknown.expires_at, at(5)] {
        let refused = store.direct(id(1), RETRY_ANYWAY, now).await;
        assert!(matches!(refused, Err(DirectError::TooLate(job)) if job == id(1)), "{refused:?}");
    }
    assert_eq!(get(store, 1).await, unknown);
}

pub async fn a_direction_is_a_change_but_where_nothing_changes(store: &impl JobStore) {
    submit(store, job(1)).await;
    let mut changed = store.changed();
    for (direction, expect) in
        [(Direction::Hold, true), (Direction::Hold, false), (Direction::Release, true)]
    {
        let before = store.last_change().await.unwrap();
        changed.borrow_and_update();

        let job = direct(store, direction, 5).await;

        let told = store.changes(before, None, 10).await.unwrap();
        let told: Vec<_> = told.into_iter().map(|one| one.job).collect();
        assert_eq!(told, if expect { vec![job] } else { vec![] }, "{direction:?}");
        assert_eq!(changed.has_changed().unwrap(), expect, "{direction:?}");
    }
    settle_to(store, JobState::Deferred, at(5)).await;
    let retried = direct(store, RETRY, 6).await;
    assert_eq!(direct(store, RETRY, 7).await, retried, "it is due already");
}

pub async fn a_job_that_is_not_there_cannot_be_directed(store: &impl JobStore) {
    for direction in [Direction::Hold, Direction::Release, RETRY] {
        let refused = store.direct(id(1), direction, at(5)).await;
        assert!(matches!(refused, Err(DirectError::NotFound(job)) if job == id(1)), "{refused:?}");
    }
}

const THREE: [&str; 3] = ["a@example.com", "b@example.com", "c@example.com"];

/// A job that one recipient has accepted and one refused; of the third nothing is known.
async fn unknown_job(store: &impl JobStore) -> Job {
    submit(store, NewJob { mail: mail(&THREE), ..job(1) }).await;
    let claimed = claim_one(store, at(1)).await;
    let settlement = waits(&claimed.job, JobState::Unknown, at(2), at(2));
    let mut recipients = claimed.job.recipients;
    let states = [RecipientState::Accepted, RecipientState::Unknown, RecipientState::Refused];
    for (one, state) in recipients.iter_mut().zip(states) {
        one.state = state;
    }
    let decision = Decision { recipients, ..settlement.decision };
    store.settle(claimed.lease, Settlement { decision, ..settlement }).await.unwrap()
}

/// Settles the one job that is due.
async fn settle_to(store: &impl JobStore, state: JobState, now: jiff::Timestamp) {
    let claimed = claim_one(store, now).await;
    let settlement = waits(&claimed.job, state, at(1000), now);
    store.settle(claimed.lease, settlement).await.unwrap();
}

async fn direct(store: &impl JobStore, direction: Direction, second: i64) -> Job {
    store.direct(id(1), direction, at(second)).await.unwrap()
}

async fn check_not_holdable(store: &impl JobStore, expect: JobState) {
    let before = get(store, 1).await;
    let refused = store.direct(id(1), Direction::Hold, at(5)).await;
    let told = matches!(refused, Err(DirectError::NotHoldable { state, .. }) if state == expect);
    assert!(told, "{refused:?}");
    assert_eq!(get(store, 1).await, before);
}

async fn check_not_held(store: &impl JobStore, expect: JobState) {
    let before = get(store, 1).await;
    let refused = store.direct(id(1), Direction::Release, at(5)).await;
    let told = matches!(refused, Err(DirectError::NotHeld { state, .. }) if state == expect);
    assert!(told, "{refused:?}");
    assert_eq!(get(store, 1).await, before);
}

async fn check_not_retryable(store: &impl JobStore, expect: JobState) {
    let before = get(store, 1).await;
    let refused = store.direct(id(1), RETRY_ANYWAY, at(5)).await;
    let told = matches!(refused, Err(DirectError::NotRetryable { state, .. }) if state == expect);
    assert!(told, "{refused:?}");
    assert_eq!(get(store, 1).await, before);
}

fn code(job: &Job) -> &str {
    job.reason.as_ref().map_or("", |reason| &reason.code)
}
