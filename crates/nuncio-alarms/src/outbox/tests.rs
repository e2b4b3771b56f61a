use std::sync::Arc;

use nuncio_core::ports::alarms::AlarmSink as _;
use nuncio_runtime::clock::{TestClock, TestEntropy};
use nuncio_store::memory::MemoryJobStore;

use super::*;
use crate::testing::{alarm, identity};

fn outbox(store: &Arc<MemoryJobStore>, node: &str) -> Outbox {
    let records = Arc::<MemoryJobStore>::clone(store);
    let clock = TestClock::starting_at("2026-11-24T03:00:00Z".parse().unwrap());
    Outbox::new(records, Arc::new(clock), Arc::new(TestEntropy::default()), node)
}

async fn told(outbox: &Outbox) -> Vec<(bool, String)> {
    let events = outbox.first(100).await.unwrap();
    let told = |one: &Waiting| {
        let raised = matches!(one.event, AlarmEvent::Raised(_));
        (raised, one.event.identity().labels["mailbox"].clone())
    };
    events.iter().map(told).collect()
}

#[tokio::test(start_paused = true)]
async fn events_of_one_moment_keep_their_order() {
    let store = Arc::default();
    let outbox = outbox(&store, "one");

    for _ in 0..20 {
        outbox.raise(alarm("a")).await.unwrap();
        outbox.clear(identity("a")).await.unwrap();
    }

    let told = told(&outbox).await;
    assert_eq!(told.len(), 40);
    assert!(told.iter().enumerate().all(|(place, (raised, _))| *raised == (place % 2 == 0)));
}

#[tokio::test(start_paused = true)]
async fn what_waits_outlives_the_node_as_it_was_told() {
    let store = Arc::default();
    let before = outbox(&store, "one");
    before.raise(alarm("a")).await.unwrap();
    let kept = before.first(10).await.unwrap();
    drop(before);

    let after = outbox(&store, "one");
    after.clear(identity("a")).await.unwrap();

    let events = after.first(10).await.unwrap();
    assert_eq!(events[0], kept[0], "the request id too");
    assert_eq!(events[0].event, AlarmEvent::Raised(alarm("a")));
    assert!(matches!(events[1].event, AlarmEvent::Cleared { .. }));
    assert_eq!(*after.waiting().borrow(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_tells_its_own_alarms_and_after_an_hour_those_of_others() {
    let store = Arc::default();
    let (one, other) = (outbox(&store, "one"), outbox(&store, "other"));
    one.raise(alarm("a")).await.unwrap();
    other.raise(alarm("b")).await.unwrap();

    assert_eq!(told(&other).await, [(true, "b".to_owned())]);
    assert_eq!(other.abandoned(10).await.unwrap(), []);
    tokio::time::sleep(ABANDONED_AFTER + Duration::from_secs(1)).await;
    let abandoned = other.abandoned(10).await.unwrap();

    assert_eq!(abandoned.len(), 1);
    assert_eq!(abandoned[0].event.identity(), &identity("a"));
    other.remove(&abandoned).await.unwrap();
    assert_eq!(*other.waiting().borrow(), 1, "its own still waits");
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_keeps_the_last_word_about_each_alarm_and_says_how_many_it_stands_for() {
    let store = Arc::default();
    let outbox = Outbox { events_max: 2, ..outbox(&store, "one") };
    outbox.raise(alarm("a")).await.unwrap();
    outbox.raise(alarm("b")).await.unwrap();

    outbox.raise(alarm("a")).await.unwrap();
    outbox.raise(alarm("a")).await.unwrap();
    let refused = outbox.raise(alarm("c")).await.unwrap_err();

    assert!(matches!(refused, StoreError::Full(_)));
    let events = outbox.first(10).await.unwrap();
    assert_eq!(told(&outbox).await, [(true, "b".to_owned()), (true, "a".to_owned())]);
    let AlarmEvent::Raised(last) = &events[1].event else { panic!("it is raised: {events:?}") };
    assert!(last.details.contains("stands for 3 events"), "{last:?}");
    outbox.remove(&events[..1]).await.unwrap();
    outbox.raise(alarm("c")).await.unwrap();
    assert_eq!(told(&outbox).await.len(), 2);
}
