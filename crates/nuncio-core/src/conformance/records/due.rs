//! What due times promise.

use super::super::job_store::fixture::at;
use super::fixture::*;
use crate::ports::records::*;

async fn due_ids(store: &impl RecordStore, until: i64) -> Vec<String> {
    let found = store.due_records(GUEST, at(until), None, 100).await.unwrap();
    ids(&found).into_iter().map(str::to_owned).collect()
}

pub async fn due_records_come_earliest_first_page_by_page(store: &impl RecordStore) {
    let sorted = [("z", -5), ("a", 0), ("b", 0), ("é", 0), ("0", 1), ("00", 7)];
    commit(store, sorted.iter().rev().map(|(id, at)| due(id, *at))).await;
    commit(store, [put("never", Expected::Any), due("later", 8)]).await;

    for limit in [1, 2, 4, 6, 7] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = store.due_records(GUEST, at(7), after.as_ref(), limit).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(DuePlace { due_at: last.due_at.unwrap(), id: last.key.id.clone() });
            found.extend(page);
        }
        assert_eq!(ids(&found), sorted.map(|(id, _)| id), "pages of {limit}");
    }
    assert_eq!(store.due_records(GUEST, at(7), None, 0).await.unwrap(), []);
    // The place to go on from need not be there.
    let after = DuePlace { due_at: at(0), id: "az".to_owned() };
    assert_eq!(ids(&store.due_records(GUEST, at(7), Some(&after), 2).await.unwrap()), ["b", "é"]);
    let after = DuePlace { due_at: at(0), id: "b\0".to_owned() };
    assert_eq!(ids(&store.due_records(GUEST, at(7), Some(&after), 1).await.unwrap()), ["é"]);
}

pub async fn records_are_due_at_their_moment_and_not_before(store: &impl RecordStore) {
    commit(store, [due("zoe", 10)]).await;

    assert_eq!(due_ids(store, 9).await.len(), 0);
    assert_eq!(due_ids(store, 10).await, ["zoe"]);
    assert_eq!(store.due_records(ALARM, at(10), None, 9).await.unwrap(), []);
}

pub async fn a_record_that_is_put_again_is_due_when_it_says_then(store: &impl RecordStore) {
    commit(store, [due("1", 1), due("2", 1), due("3", 1)]).await;
    let gone = Write::Delete { key: guest("3"), expected: Expected::Any };

    commit(store, [due("1", 20), put("2", Expected::Any), gone, due("4", 2)]).await;

    assert_eq!(due_ids(store, 10).await, ["4"]);
    assert_eq!(due_ids(store, 20).await, ["4", "1"]);
    assert_eq!(read(store, "2").await.unwrap().due_at, None);
}

pub async fn the_next_due_time_is_that_of_the_earliest_record(store: &impl RecordStore) {
    assert_eq!(store.next_due_record(GUEST).await.unwrap(), None);
    commit(store, [put("never", Expected::Any)]).await;
    assert_eq!(store.next_due_record(GUEST).await.unwrap(), None);

    commit(store, [due("1", 20), due("2", -3)]).await;
    assert_eq!(store.next_due_record(GUEST).await.unwrap(), Some(at(-3)));
    commit(store, [Write::Delete { key: guest("2"), expected: Expected::Any }]).await;
    assert_eq!(store.next_due_record(GUEST).await.unwrap(), Some(at(20)));
    assert_eq!(store.next_due_record(ALARM).await.unwrap(), None);
}
