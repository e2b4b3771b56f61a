//! Records and changesets that the promises are checked with.

use super::super::job_store::fixture::at;
use crate::ports::records::*;

pub(super) const GUEST: RecordKind = RecordKind("guest");
pub(super) const ALARM: RecordKind = RecordKind("alarm");

pub(super) fn guest(id: &str) -> RecordKey {
    RecordKey::new(GUEST, id)
}

/// A put without owner and due time.
pub(super) fn put(id: &str, expected: Expected) -> Write {
    Write::Put {
        key: guest(id),
        expected,
        owner: None,
        due_at: None,
        content: format!("{{\"name\":\"{id}\"}}"),
    }
}

pub(super) fn owned(id: &str, owner: &str) -> Write {
    Write::Put {
        key: guest(id),
        expected: Expected::Any,
        owner: Some(owner.to_owned()),
        due_at: None,
        content: "{}".to_owned(),
    }
}

pub(super) fn due(id: &str, seconds: i64) -> Write {
    Write::Put {
        key: guest(id),
        expected: Expected::Any,
        owner: None,
        due_at: Some(at(seconds)),
        content: "{}".to_owned(),
    }
}

pub(super) fn changes(writes: impl IntoIterator<Item = Write>) -> Changeset {
    Changeset { writes: writes.into_iter().collect(), ..Changeset::new(at(0)) }
}

pub(super) async fn commit(store: &impl RecordStore, writes: impl IntoIterator<Item = Write>) {
    let committed = store.commit(changes(writes)).await.unwrap();
    assert_eq!(committed, Committed { jobs: Vec::new(), cancelled: Vec::new() });
}

pub(super) async fn read(store: &impl RecordStore, id: &str) -> Option<Record> {
    store.read(&[guest(id)]).await.unwrap().remove(0)
}

/// The version of a guest, if it is there.
pub(super) async fn version(store: &impl RecordStore, id: &str) -> Option<i64> {
    read(store, id).await.map(|record| record.version)
}

pub(super) fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.key.id.as_str()).collect()
}

/// All guests.
pub(super) async fn all(store: &impl RecordStore) -> Vec<Record> {
    let query = RecordQuery { kind: GUEST, owner: None, after: None, limit: 10_000 };
    store.list_records(&query).await.unwrap()
}
