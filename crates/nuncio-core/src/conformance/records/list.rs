//! What reads and lists promise.

use super::fixture::*;
use crate::ports::records::*;

fn query(owner: Option<&str>, after: Option<&str>, limit: u32) -> RecordQuery {
    let (owner, after) = (owner.map(str::to_owned), after.map(str::to_owned));
    RecordQuery { kind: GUEST, owner, after, limit }
}

/// All that a query finds, page by page.
async fn pages(store: &impl RecordStore, owner: Option<&str>, limit: u32) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let query = query(owner, found.last().map(String::as_str), limit);
        let page = store.list_records(&query).await.unwrap();
        assert!(page.len() <= usize::try_from(limit).unwrap());
        if page.is_empty() {
            return found;
        }
        found.extend(page.into_iter().map(|record| record.key.id));
    }
}

pub async fn records_are_listed_by_id_page_by_page(store: &impl RecordStore) {
    // Byte by byte, which is no order of a dictionary.
    let sorted = ["0", "10", "9", "Z", "a", "a b", "a-b", "ab", "z", "é", "日", "\u{1f511}"];
    assert!(sorted.is_sorted());
    commit(store, sorted.iter().rev().map(|id| put(id, Expected::Absent))).await;

    for limit in [1, 2, 5, 12, 13] {
        assert_eq!(pages(store, None, limit).await, sorted, "pages of {limit}");
    }
    assert_eq!(store.list_records(&query(None, None, 0)).await.unwrap(), []);
    // The place to go on from need not be there.
    let behind = store.list_records(&query(None, Some("a a"), 2)).await.unwrap();
    assert_eq!(ids(&behind), ["a b", "a-b"]);
    let before_all = store.list_records(&query(None, Some("\0"), 1)).await.unwrap();
    assert_eq!(ids(&before_all), ["0"]);
}

pub async fn a_list_can_be_narrowed_to_an_owner(store: &impl RecordStore) {
    let of = |number: usize| owned(&format!("{number:02}"), ["ann", "bob"][number % 2]);
    commit(store, (0..10).map(of)).await;
    commit(store, [put("nobody's", Expected::Any)]).await;

    assert_eq!(pages(store, Some("bob"), 2).await, ["01", "03", "05", "07", "09"]);
    assert_eq!(pages(store, Some("ann"), 100).await.len(), 5);
    assert_eq!(pages(store, Some("zoe"), 2).await.len(), 0);
    assert_eq!(pages(store, Some("b\0b"), 2).await.len(), 0);
    assert_eq!(pages(store, None, 3).await.len(), 11);
}

pub async fn a_changed_owner_moves_the_record(store: &impl RecordStore) {
    commit(store, [owned("1", "ann"), owned("2", "ann"), owned("3", "ann")]).await;
    let gone = Write::Delete { key: guest("3"), expected: Expected::Any };

    commit(store, [owned("1", "bob"), put("2", Expected::Any), gone]).await;

    assert_eq!(pages(store, Some("ann"), 9).await.len(), 0);
    assert_eq!(pages(store, Some("bob"), 9).await, ["1"]);
    assert_eq!(read(store, "2").await.unwrap().owner, None);
}

pub async fn records_are_read_in_their_places(store: &impl RecordStore) {
    let ids: Vec<_> = (0..700).map(|number| number.to_string()).collect();
    commit(store, ids.iter().step_by(2).map(|id| put(id, Expected::Any))).await;

    let mut keys: Vec<_> = ids.iter().rev().map(|id| guest(id)).collect();
    keys.push(guest("0"));
    keys.push(RecordKey::new(ALARM, "0"));
    keys.push(guest("a\0b"));
    let read = store.read(&keys).await.unwrap();

    assert_eq!(read.len(), keys.len());
    for (key, record) in keys.iter().zip(&read) {
        let there = key.kind == GUEST && key.id.parse::<u32>().is_ok_and(|id| id % 2 == 0);
        assert_eq!(record.as_ref().map(|record| &record.key), there.then_some(key));
    }
    assert_eq!(store.read(&[]).await.unwrap(), []);
}

pub async fn records_are_counted_by_kind(store: &impl RecordStore) {
    commit(store, ["1", "2", "3"].map(|id| put(id, Expected::Any))).await;

    assert_eq!(store.count_records(GUEST).await.unwrap(), 3);
    assert_eq!(store.count_records(ALARM).await.unwrap(), 0);
}
