//! What a node is told about the use of mailboxes.

use std::time::Duration;

use super::fixture::*;
use crate::address::EmailAddress;
use crate::job::{Attempt, BudgetUse, NewJob};
use crate::ports::job_store::*;

const DAY: i64 = 24 * 60 * 60;

pub async fn attempts_of_the_last_minute_are_told_one_by_one(store: &impl JobStore) {
    attempt(store, 1, at(941), Some(used("a@example.com", 1))).await;
    attempt(store, 2, at(942) + US, Some(used("b@example.com", 20))).await;
    attempt(store, 3, at(1000), Some(used("a@example.com", 3))).await;
    // The clock of another node may be ahead.
    attempt(store, 4, at(1001), Some(used("b@example.com", 4))).await;

    let expect = [
        usage("a@example.com", at(941), 1, 1),
        usage("b@example.com", at(942) + US, 1, 20),
        usage("a@example.com", at(1000), 1, 3),
        usage("b@example.com", at(1001), 1, 4),
    ];
    assert_eq!(store.usage(at(1000), &node("a")).await.unwrap(), expect);
}

pub async fn older_attempts_of_a_day_are_told_in_sums_of_five_minutes(store: &impl JobStore) {
    let now = at(DAY);
    let ago = |seconds| at(DAY - seconds);
    for (number, ended_at, mailbox, recipients) in [
        (1, ago(DAY), "a@example.com", 90),
        (2, ago(DAY) + US, "a@example.com", 1),
        (3, ago(360), "a@example.com", 2),
        (4, ago(360) + US, "a@example.com", 30),
        (5, ago(100), "b@example.com", 7),
        (6, ago(60), "a@example.com", 400),
        (7, ago(60) + US, "a@example.com", 5),
    ] {
        attempt(store, number, ended_at, Some(used(mailbox, recipients))).await;
    }

    // A step of 300 seconds ends 60 seconds ago, and so on: the last of a day is a shorter one.
    let expect = [
        usage("a@example.com", ago(86_160), 1, 1),
        usage("a@example.com", ago(360), 1, 2),
        usage("a@example.com", ago(60), 2, 430),
        usage("b@example.com", ago(60), 1, 7),
        usage("a@example.com", ago(60) + US, 1, 5),
    ];
    assert_eq!(store.usage(now, &node("a")).await.unwrap(), expect);
}

pub async fn attempts_long_after_the_question_are_not_told(store: &impl JobStore) {
    attempt(store, 1, at(1000), Some(used("a@example.com", 1))).await;
    attempt(store, 2, at(1060), Some(used("a@example.com", 2))).await;
    attempt(store, 3, at(1060) + US, Some(used("a@example.com", 3))).await;

    let expect = [usage("a@example.com", at(1000), 1, 1), usage("a@example.com", at(1060), 1, 2)];
    assert_eq!(store.usage(at(1000), &node("a")).await.unwrap(), expect);
}

pub async fn only_attempts_that_may_have_reached_the_provider_count(store: &impl JobStore) {
    attempt(store, 1, at(10), None).await;
    let two = Some(used("a@example.com", 2));
    attempt(store, 2, at(20), two.clone()).await;

    let told = store.usage(at(30), &node("a")).await.unwrap();

    assert_eq!(told, [usage("a@example.com", at(20), 1, 2)]);
    assert_eq!(store.attempts(id(1), 9).await.unwrap()[0].used, None);
    assert_eq!(store.attempts(id(2), 9).await.unwrap()[0].used, two);
}

pub async fn an_attempt_of_a_dead_node_counts_for_any_mailbox(store: &impl JobStore) {
    for (number, into_body) in [(1, false), (2, true)] {
        let mail = mail(&["a@example.com", "b@example.com"]);
        submit(store, NewJob { mail, ..job(number) }).await;
        let claim = Claim { into_body, ..claim_of("a", at(1), 1) };
        assert_eq!(store.claim(claim).await.unwrap().len(), 1);
    }

    store.rescue(Dead::AllBut(node("b")), at(5)).await.unwrap();

    let expect = MailboxUsage { mailbox: None, ended_at: at(5), messages: 1, recipients: 2 };
    assert_eq!(store.usage(at(6), &node("b")).await.unwrap(), [expect]);
}

pub async fn what_others_have_under_way_counts_for_any_mailbox(store: &impl JobStore) {
    for (number, holder) in [(1, "a"), (2, "b"), (3, "c")] {
        let mail = mail(&["a@example.com", "b@example.com"]);
        submit(store, NewJob { mail, ..job(number) }).await;
        assert_eq!(store.claim(claim_of(holder, at(1), 1)).await.unwrap().len(), 1);
    }

    let expect = MailboxUsage { mailbox: None, ended_at: at(5), messages: 2, recipients: 4 };
    assert_eq!(store.usage(at(5), &node("a")).await.unwrap(), [expect]);
}

/// The smallest step of time.
const US: Duration = Duration::from_micros(1);

fn usage(mailbox: &str, ended_at: jiff::Timestamp, messages: u32, recipients: u32) -> MailboxUsage {
    let mailbox: EmailAddress = mailbox.parse().unwrap();
    MailboxUsage { mailbox: Some(mailbox), ended_at, messages, recipients }
}

/// An attempt of a job of its own.
async fn attempt(
    store: &impl JobStore,
    number: u8,
    ended_at: jiff::Timestamp,
    used: Option<BudgetUse>,
) {
    submit(store, job(number)).await;
    let claimed = claim_one(store, at(1)).await;
    let settlement = sent(&claimed.job, ended_at);
    let attempt = settlement.attempt.map(|attempt| Attempt { used, ..attempt });
    store.settle(claimed.lease, Settlement { attempt, ..settlement }).await.unwrap();
}
