//! What a lease and its settlement promise.

use futures::future::join_all;

use super::fixture::*;
use crate::job::{Job, JobState, NewJob, Reason, RecipientState};
use crate::ports::job_store::*;
use crate::retry::Decision;

pub async fn a_settlement_is_kept_whole(store: &impl JobStore) {
    let new = NewJob { mail: mail(&["a@example.com", "b@example.com"]), ..job(1) };
    let submitted = submit(store, new).await;
    let claimed = claim_one(store, at(1)).await;
    let mut recipients = claimed.job.recipients.clone();
    recipients[0].state = RecipientState::Accepted;
    recipients[0].reply = Some(reply(250, "tschüs"));
    recipients[1].reply = Some(reply(451, "busy"));
    let reason =
        Reason::new("PROVIDER_DEFERRED", "try later").remedy("wait").reply(reply(451, "busy"));
    let (state, due_at) = (JobState::Deferred, at(30));
    let decision = Decision {
        state,
        reason: Some(reason.clone()),
        due_at,
        recipients: recipients.clone(),
        counted: true,
    };
    let settlement = settlement(decision, at(3));
    let attempt = settlement.attempt.clone().unwrap();

    let settled = store.settle(claimed.lease, settlement).await.unwrap();

    let expect = Job {
        state,
        reason: Some(reason),
        due_at,
        recipients,
        attempts: 1,
        updated_at: at(3),
        settings_generation: Some(7),
        ..submitted
    };
    assert_eq!(settled, expect);
    assert_eq!(get(store, 1).await, expect);
    assert_eq!(store.attempts(id(1), 10).await.unwrap(), [attempt]);
}

pub async fn an_attempt_that_was_not_judged_is_recorded_but_not_counted(store: &impl JobStore) {
    submit(store, job(1)).await;
    let claimed = claim_one(store, at(1)).await;
    let settlement = waits(&claimed.job, JobState::Deferred, at(30), at(2));

    let settled = store.settle(claimed.lease, settlement).await.unwrap();

    assert_eq!(settled.attempts, 0);
    assert_eq!(store.attempts(id(1), 10).await.unwrap().len(), 1);
}

pub async fn a_job_that_is_given_back_untried_has_no_attempt(store: &impl JobStore) {
    submit(store, job(1)).await;
    let claimed = claim_one(store, at(1)).await;
    let settlement = waits(&claimed.job, JobState::Deferred, at(30), at(2));

    let settlement = Settlement { attempt: None, ..settlement };
    let settled = store.settle(claimed.lease, settlement).await.unwrap();

    assert_eq!(settled.state, JobState::Deferred);
    assert_eq!(store.attempts(id(1), 10).await.unwrap(), []);
}

pub async fn the_settings_generation_stays_when_an_attempt_used_none(store: &impl JobStore) {
    submit(store, job(1)).await;
    let claimed = claim_one(store, at(1)).await;
    let first = waits(&claimed.job, JobState::Deferred, at(2), at(1));
    store.settle(claimed.lease, first).await.unwrap();
    let claimed = claim_one(store, at(2)).await;
    let second = waits(&claimed.job, JobState::Held, at(3), at(2));
    let second = Settlement { settings_generation: None, ..second };

    let settled = store.settle(claimed.lease, second).await.unwrap();

    assert_eq!(settled.settings_generation, Some(7));
    assert_eq!(get(store, 1).await, settled);
}

pub async fn who_has_accepted_is_known_at_the_next_claim(store: &impl JobStore) {
    let new = NewJob { mail: mail(&["a@example.com", "b@example.com", "c@example.com"]), ..job(1) };
    submit(store, new).await;
    let claimed = claim_one(store, at(1)).await;
    let mut recipients = claimed.job.recipients.clone();
    recipients[0].state = RecipientState::Refused;
    recipients[2].state = RecipientState::Accepted;
    let settlement = waits(&claimed.job, JobState::Deferred, at(2), at(1));
    let decision = Decision { recipients: recipients.clone(), ..settlement.decision };
    store.settle(claimed.lease, Settlement { decision, ..settlement }).await.unwrap();

    let claimed = claim_one(store, at(2)).await;

    assert_eq!(claimed.job.recipients, recipients);
    assert_eq!(claimed.job.pending(), [1]);
    assert_eq!(claimed.mail.recipients.len(), 3);
}

pub async fn a_lost_lease_cannot_settle(store: &impl JobStore) {
    submit(store, job(1)).await;
    let lost = lose_one(store, at(1)).await;
    let rescued = get(store, 1).await;

    let refused = store.settle(again(&lost), sent(&rescued, at(2))).await;
    check_lost(&refused);
    assert_eq!(get(store, 1).await, rescued);

    let held = claim_one(store, at(2)).await;
    check_lost(&store.settle(lost, sent(&held.job, at(3))).await);
    assert_eq!(get(store, 1).await, held.job);
    let settled = store.settle(held.lease, sent(&held.job, at(4))).await.unwrap();
    assert_eq!((settled.state, settled.attempts), (JobState::Sent, 1));
}

pub async fn a_lost_lease_cannot_be_extended(store: &impl JobStore) {
    submit(store, job(1)).await;
    let lost = lose_one(store, at(1)).await;
    check_lost(&store.extend(&lost, at(500)).await);
    claim_one(store, at(2)).await;

    check_lost(&store.extend(&lost, at(500)).await);

    assert_eq!(store.rescue(Dead::LeaseEnded, at(2) + LEASE).await.unwrap().len(), 1);
}

pub async fn a_lost_lease_cannot_enter_the_body(store: &impl JobStore) {
    submit(store, job(1)).await;
    let lost = lose_one(store, at(1)).await;
    check_lost(&store.enter_body(&lost).await);
    claim_one(store, at(2)).await;

    check_lost(&store.enter_body(&lost).await);

    store.rescue(Dead::LeaseEnded, at(2) + LEASE).await.unwrap();
    assert_eq!(get(store, 1).await.state, JobState::Deferred);
}

pub async fn a_settled_lease_is_lost(store: &impl JobStore) {
    submit(store, job(1)).await;
    let Claimed { lease, job, .. } = claim_one(store, at(1)).await;
    let used = again(&lease);
    let settled = store.settle(lease, sent(&job, at(2))).await.unwrap();

    check_lost(&store.extend(&used, at(500)).await);
    check_lost(&store.enter_body(&used).await);
    check_lost(&store.settle(used, waits(&job, JobState::Deferred, at(3), at(3))).await);

    assert_eq!(get(store, 1).await, settled);
    assert_eq!(store.attempts(id(1), 10).await.unwrap().len(), 1);
}

pub async fn a_lease_of_an_unknown_job_is_lost(store: &impl JobStore) {
    let known = submit(store, job(1)).await;
    let lease = || Lease { job: id(2), fence: 1 };

    assert!(
        matches!(store.extend(&lease(), at(9)).await, Err(LeaseError::Lost(job)) if job == id(2))
    );
    assert!(matches!(store.enter_body(&lease()).await, Err(LeaseError::Lost(job)) if job == id(2)));
    let refused = store.settle(lease(), sent(&known, at(2))).await;
    assert!(matches!(refused, Err(LeaseError::Lost(job)) if job == id(2)));
}

/// Stores may write several settlements together: what is wrong with one must not hurt the others.
pub async fn a_lost_lease_spares_those_settled_beside_it(store: &impl JobStore) {
    submit(store, job(1)).await;
    let lost = lose_one(store, at(1)).await;
    join_all((2..=40).map(|number| store.submit(job(number)))).await;
    let claimed = claim(store, at(2), 50).await;
    assert_eq!(claimed.len(), 40);

    let mut settlements: Vec<_> =
        claimed.into_iter().map(|one| (one.lease, sent(&one.job, at(3)))).collect();
    settlements.insert(20, (lost, sent(&get(store, 1).await, at(3))));
    let settled = settlements.into_iter().map(|(lease, with)| store.settle(lease, with));
    let results = join_all(settled).await;

    assert_eq!(results.iter().filter(|one| one.is_ok()).count(), 40);
    check_lost(&results[20]);
    for number in 1..=40 {
        assert_eq!(get(store, number).await.attempts, 1);
        let attempts = store.attempts(id(number), 10).await.unwrap();
        assert_eq!(attempts.iter().filter(|one| one.counted).count(), 1);
    }
}

pub async fn the_last_attempts_come_oldest_first(store: &impl JobStore) {
    submit(store, job(1)).await;
    for second in 1..=4 {
        let claimed = claim_one(store, at(second)).await;
        let next = at(second + 1);
        let settlement = waits(&claimed.job, JobState::Deferred, next, at(second));
        store.settle(claimed.lease, settlement).await.unwrap();
    }

    let ended = |limit| async move {
        let attempts = store.attempts(id(1), limit).await.unwrap();
        attempts.into_iter().map(|one| one.ended_at).collect::<Vec<_>>()
    };
    assert_eq!(ended(10).await, [1, 2, 3, 4].map(at));
    assert_eq!(ended(2).await, [3, 4].map(at));
    assert_eq!(ended(0).await, []);
}

fn check_lost<T: std::fmt::Debug>(result: &Result<T, LeaseError>) {
    assert!(matches!(result, Err(LeaseError::Lost(job)) if *job == id(1)), "{result:?}");
}
