//! What lists and counts promise.

use std::collections::BTreeMap;

use super::fixture::*;
use crate::class::MailClass;
use crate::job::{JobState, MailJobId, NewJob};
use crate::ports::job_store::*;

pub async fn jobs_are_listed_newest_first_page_by_page(store: &impl JobStore) {
    for number in [3, 1, 5, 2, 4] {
        submit(store, job(number)).await;
    }
    let query = JobQuery { limit: 2, ..JobQuery::default() };

    check_list(store, query.clone(), &[5, 4]).await;
    check_list(store, JobQuery { before: Some(id(4)), ..query.clone() }, &[3, 2]).await;
    check_list(store, JobQuery { before: Some(id(2)), ..query.clone() }, &[1]).await;
    check_list(store, JobQuery { before: Some(id(1)), ..query.clone() }, &[]).await;
    check_list(store, JobQuery { limit: 0, ..query }, &[]).await;
}

pub async fn a_list_can_be_narrowed_by_state_and_class(store: &impl JobStore) {
    for (number, class) in [
        (1, MailClass::Bulk),
        (2, MailClass::Alarm),
        (3, MailClass::Bulk),
        (4, MailClass::Reminder),
    ] {
        submit(store, NewJob { class, ..job(number) }).await;
    }
    store.cancel(id(1), at(1)).await.unwrap();
    store.cancel(id(4), at(1)).await.unwrap();
    let all = JobQuery { limit: 10, ..JobQuery::default() };
    let states = vec![JobState::Cancelled];
    let classes = vec![MailClass::Bulk, MailClass::Alarm];

    check_list(store, JobQuery { states: states.clone(), ..all.clone() }, &[4, 1]).await;
    check_list(store, JobQuery { classes: classes.clone(), ..all.clone() }, &[3, 2, 1]).await;
    let both = JobQuery { states, classes, ..all.clone() };
    check_list(store, both.clone(), &[1]).await;
    check_list(store, JobQuery { before: Some(id(1)), ..both }, &[]).await;
    check_list(store, JobQuery { states: JobState::ALL.to_vec(), ..all }, &[4, 3, 2, 1]).await;
}

pub async fn a_list_can_be_narrowed_to_a_time(store: &impl JobStore) {
    for number in 1..=5 {
        submit(store, job(number)).await;
    }
    let all = JobQuery { limit: 10, ..JobQuery::default() };
    let (from, before) = (Some(MailJobId::first_of(at(2))), Some(MailJobId::first_of(at(4))));

    check_list(store, JobQuery { from, ..all.clone() }, &[5, 4, 3, 2]).await;
    check_list(store, JobQuery { before, from, ..all.clone() }, &[3, 2]).await;
    check_list(store, JobQuery { before: from, from: before, ..all }, &[]).await;
}

pub async fn a_list_can_be_narrowed_to_a_recipient(store: &impl JobStore) {
    for (number, addresses) in [
        (1, &["guest@example.com", "other@example.com"][..]),
        (2, &["other@example.com"]),
        (3, &["second.guest@example.com", "guest@example.com.example"]),
        (4, &["grüße@example.com", "\"a\\\"b\"@example.com"]),
    ] {
        submit(store, NewJob { mail: mail(addresses), ..job(number) }).await;
    }
    for (address, expect) in [
        ("guest@example.com", &[1][..]),
        ("other@example.com", &[2, 1]),
        ("GUEST@example.com", &[]),
        ("grüße@example.com", &[4]),
        ("\"a\\\"b\"@example.com", &[4]),
        ("_uest@example.com", &[]),
    ] {
        let recipient = Some(address.parse().unwrap());
        check_list(store, JobQuery { recipient, limit: 10, ..JobQuery::default() }, expect).await;
    }
}

pub async fn a_list_can_be_narrowed_by_labels(store: &impl JobStore) {
    for (number, of_job) in [
        (1, &[("site", "north"), ("floor", "2")][..]),
        (2, &[("site", "north"), ("note", "\"site\":\"south\" 100% Grüße")]),
        (3, &[("site", "northern")]),
        (4, &[("my.site", "north")]),
    ] {
        submit(store, NewJob { labels: labels(of_job), ..job(number) }).await;
    }
    for (wanted, expect) in [
        (&[("site", "north")][..], &[2, 1][..]),
        (&[("site", "north"), ("floor", "2")], &[1]),
        (&[("site", "south")], &[]),
        (&[("note", "\"site\":\"south\" 100% Grüße")], &[2]),
        (&[("note", "%")], &[]),
        (&[("floor", "")], &[]),
    ] {
        let query = JobQuery { labels: labels(wanted), limit: 10, ..JobQuery::default() };
        check_list(store, query, expect).await;
    }
}

pub async fn a_list_looks_at_no_more_jobs_than_it_may(store: &impl JobStore) {
    for number in 1..=10 {
        submit(store, job(number)).await;
    }
    for number in [2, 9] {
        store.cancel(id(number), at(1)).await.unwrap();
    }
    let states = vec![JobState::Cancelled];
    let examine_max = Some(3);
    let mut query = JobQuery { states, examine_max, limit: 2, ..JobQuery::default() };

    let mut pages = Vec::new();
    loop {
        let page = store.list(&query).await.unwrap();
        pages.push(page.jobs.iter().map(|job| job.id).collect::<Vec<_>>());
        query.before = page.next;
        if page.next.is_none() {
            break;
        }
    }

    assert_eq!(pages, [vec![id(9)], vec![], vec![id(2)], vec![]]);
}

pub async fn a_page_tells_where_the_next_one_begins(store: &impl JobStore) {
    for number in 1..=3 {
        submit(store, job(number)).await;
    }
    let query = JobQuery { limit: 2, ..JobQuery::default() };

    let first = store.list(&query).await.unwrap();
    assert_eq!(first.next, Some(id(2)));
    let second = store.list(&JobQuery { before: first.next, ..query }).await.unwrap();
    assert_eq!((second.jobs.len(), second.next), (1, None));
}

pub async fn the_backlog_counts_each_kind_of_waiting(store: &impl JobStore) {
    assert_eq!(store.backlog().await.unwrap(), Backlog::default());
    for number in 1..=7 {
        submit(store, job(number)).await;
    }
    let states = [JobState::Deferred, JobState::Deferred, JobState::Held, JobState::Failed];
    for state in states {
        let claimed = claim(store, at(1), 1).await.remove(0);
        let settlement = waits(&claimed.job, state, at(50), at(1));
        store.settle(claimed.lease, settlement).await.unwrap();
    }
    claim(store, at(1), 1).await;

    let backlog = store.backlog().await.unwrap();
    let Backlog { queued, sending, deferred, held, .. } = backlog;
    assert_eq!((queued, sending, deferred, held), (2, 1, 2, 1));
}

pub async fn the_backlog_tells_since_when_what_is_urgent_and_what_is_not_could_go(
    store: &impl JobStore,
) {
    let of = |number, class| NewJob { class, ..job(number) };
    submit(store, of(1, MailClass::Credentials)).await;
    submit(store, of(2, MailClass::Credentials)).await;
    submit(store, of(3, MailClass::Bulk)).await;
    submit(store, of(4, MailClass::Bulk)).await;
    let due = |backlog: Backlog| (backlog.urgent_due_at, backlog.patient_due_at);
    let created_at = job(1).created_at;
    assert_eq!(due(store.backlog().await.unwrap()), (Some(created_at), Some(created_at)));

    // One of each class waits, and another one is held: that one could not go.
    let states = [JobState::Deferred, JobState::Held, JobState::Deferred, JobState::Held];
    for (state, due_at) in states.into_iter().zip([70, 20, 60, 30]) {
        let claimed = claim(store, at(1), 1).await.remove(0);
        let settlement = waits(&claimed.job, state, at(due_at), at(1));
        store.settle(claimed.lease, settlement).await.unwrap();
    }

    assert_eq!(due(store.backlog().await.unwrap()), (Some(at(70)), Some(at(60))));
}

pub async fn the_next_due_time_is_that_of_the_earliest_waiting_job(store: &impl JobStore) {
    assert_eq!(store.next_due().await.unwrap(), None);
    submit(store, NewJob { due_at: at(30), ..job(1) }).await;
    submit(store, NewJob { due_at: at(20), class: MailClass::Alarm, ..job(2) }).await;
    assert_eq!(store.next_due().await.unwrap(), Some(at(20)));

    let claimed = claim_one(store, at(25)).await;
    assert_eq!(store.next_due().await.unwrap(), Some(at(30)));

    store.settle(claimed.lease, sent(&claimed.job, at(26))).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(at(30)));
    store.cancel(id(1), at(27)).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), None);
}

async fn check_list(store: &impl JobStore, query: JobQuery, expect: &[u8]) {
    let listed = store.list(&query).await.unwrap().jobs;

    let expect: Vec<_> = expect.iter().map(|number| id(*number)).collect();
    assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), expect, "{query:?}");
    for job in listed {
        assert_eq!(store.get(job.id).await.unwrap().as_ref(), Some(&job));
    }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
