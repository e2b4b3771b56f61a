//! What a changeset promises of its records.

use futures::future::join_all;
use jiff::Timestamp;

use super::super::job_store::fixture::at;
use super::fixture::*;
use crate::ports::job_store::StoreError;
use crate::ports::records::*;

pub async fn a_record_comes_back_as_it_was_put(store: &impl RecordStore) {
    let content = r#"{"name":"Zoë","list":[1,2.5,null]}"#.to_owned();
    let put = Write::Put {
        key: guest("zoe"),
        expected: Expected::Absent,
        owner: Some("sponsor-1".to_owned()),
        due_at: Some(at(60)),
        content: content.clone(),
    };
    commit(store, [put]).await;

    let expect = Record {
        key: guest("zoe"),
        version: 1,
        owner: Some("sponsor-1".to_owned()),
        due_at: Some(at(60)),
        updated_at: at(0),
        content,
    };
    assert!(read(store, "zoe").await == Some(expect), "{:?}", read(store, "zoe").await);
    assert_eq!(read(store, "nobody").await, None);
}

pub async fn a_version_grows_with_each_put(store: &impl RecordStore) {
    commit(store, [put("zoe", Expected::Any)]).await;
    commit(store, [put("zoe", Expected::Version(1))]).await;
    commit(store, [put("zoe", Expected::Any)]).await;

    assert_eq!(version(store, "zoe").await, Some(3));
}

pub async fn a_record_that_was_deleted_is_not_there(store: &impl RecordStore) {
    commit(store, [put("zoe", Expected::Any), put("ann", Expected::Any)]).await;
    let delete = |id| Write::Delete { key: guest(id), expected: Expected::Any };

    commit(store, [delete("zoe"), delete("nobody")]).await;

    assert_eq!(version(store, "zoe").await, None);
    assert_eq!(ids(&all(store).await), ["ann"]);
    commit(store, [put("zoe", Expected::Absent)]).await;
    assert_eq!(version(store, "zoe").await, Some(1));
}

pub async fn a_write_is_only_done_if_the_record_is_as_expected(store: &impl RecordStore) {
    let (present, absent) = (Some(2), None);
    for (was, expected, done) in [
        (absent, Expected::Any, true),
        (absent, Expected::Absent, true),
        (absent, Expected::Version(1), false),
        (present, Expected::Any, true),
        (present, Expected::Absent, false),
        (present, Expected::Version(2), true),
        (present, Expected::Version(1), false),
        (present, Expected::Version(3), false),
    ] {
        for write in [
            put("zoe", expected),
            Write::Delete { key: guest("zoe"), expected },
            Write::Require { key: guest("zoe"), expected },
        ] {
            commit(store, [Write::Delete { key: guest("zoe"), expected: Expected::Any }]).await;
            for _ in 0..was.unwrap_or(0) {
                commit(store, [put("zoe", Expected::Any)]).await;
            }

            let result = store.commit(changes([write.clone()])).await;

            assert_eq!(result.is_ok(), done, "{write:?} of {was:?}: {result:?}");
            if let Err(error) = result {
                let CommitError::Conflict { key, present } = error else { panic!("{error:?}") };
                assert_eq!((key, present), (guest("zoe"), was), "{write:?}");
                assert_eq!(version(store, "zoe").await, was, "{write:?}");
            }
        }
    }
}

pub async fn a_requirement_changes_nothing(store: &impl RecordStore) {
    commit(store, [put("zoe", Expected::Any)]).await;
    let before = read(store, "zoe").await;

    let require = |id, expected| Write::Require { key: guest(id), expected };
    let writes = [
        require("zoe", Expected::Version(1)),
        require("nobody", Expected::Absent),
        require("somebody", Expected::Any),
    ];
    store.commit(Changeset { now: at(9), ..changes(writes) }).await.unwrap();

    assert!(read(store, "zoe").await == before);
    assert_eq!(all(store).await.len(), 1);
}

pub async fn all_is_done_or_nothing(store: &impl RecordStore) {
    commit(store, [put("ann", Expected::Any), put("zoe", Expected::Any)]).await;
    let before = all(store).await;

    // The check that fails comes first, last, or between.
    for place in 0..3 {
        let mut writes = vec![
            put("ann", Expected::Version(1)),
            Write::Delete { key: guest("zoe"), expected: Expected::Version(1) },
        ];
        let absent = Write::Require { key: guest("bob"), expected: Expected::Version(1) };
        writes.insert(place, absent);
        writes.push(put("new", Expected::Absent));

        let refused = store.commit(changes(writes)).await;

        assert!(matches!(refused, Err(CommitError::Conflict { present: None, .. })), "{refused:?}");
        assert!(all(store).await == before, "at {place}: {:?}", all(store).await);
    }
}

pub async fn a_key_that_stands_twice_is_refused(store: &impl RecordStore) {
    let twice = [put("zoe", Expected::Any), put("ann", Expected::Any), put("zoe", Expected::Any)];
    let refused = store.commit(changes(twice)).await;

    assert!(matches!(refused, Err(CommitError::Store(StoreError::Unusable(_)))), "{refused:?}");
    assert_eq!(all(store).await, []);
}

pub async fn what_is_longer_than_it_may_is_refused(store: &impl RecordStore) {
    let long = "i".repeat(RECORD_ID_BYTES_MAX + 1);
    let content = |bytes| Write::Put {
        key: guest("zoe"),
        expected: Expected::Any,
        owner: None,
        due_at: None,
        content: format!("\"{}\"", "c".repeat(bytes - 2)),
    };
    let too_many = (0..=CHANGES_MAX).map(|number| put(&number.to_string(), Expected::Any));
    for writes in [
        vec![put("", Expected::Any)],
        vec![put(&long, Expected::Any)],
        vec![owned("zoe", &long)],
        vec![content(RECORD_CONTENT_BYTES_MAX + 1)],
        vec![put("z\0e", Expected::Any)],
        too_many.collect(),
    ] {
        let refused = store.commit(changes(writes)).await;
        assert!(matches!(refused, Err(CommitError::Store(StoreError::Unusable(_)))), "{refused:?}");
    }
    assert_eq!(all(store).await, []);

    commit(store, [owned(&long[1..], &long[1..]), content(RECORD_CONTENT_BYTES_MAX)]).await;
    assert_eq!(version(store, &long[1..]).await, Some(1));
    assert_eq!(read(store, "zoe").await.unwrap().content.len(), RECORD_CONTENT_BYTES_MAX);
}

pub async fn a_changeset_of_the_greatest_size_is_taken(store: &impl RecordStore) {
    let puts = || (0..CHANGES_MAX).map(|number| put(&format!("{number:04}"), Expected::Any));
    commit(store, puts()).await;
    commit(store, puts()).await;

    let there = all(store).await;
    assert_eq!(there.len(), CHANGES_MAX);
    assert!(there.iter().all(|record| record.version == 2));
    assert!(there.iter().enumerate().all(|(place, one)| one.key.id == format!("{place:04}")));
    let delete = |number| Write::Delete {
        key: guest(&format!("{number:04}")),
        expected: Expected::Version(2),
    };
    commit(store, (1..CHANGES_MAX).map(delete)).await;
    assert_eq!(ids(&all(store).await), ["0000"]);
}

pub async fn an_empty_changeset_is_taken(store: &impl RecordStore) {
    commit(store, []).await;
}

pub async fn records_of_another_kind_are_other_records(store: &impl RecordStore) {
    let alarm = Write::Put {
        key: RecordKey::new(ALARM, "zoe"),
        expected: Expected::Absent,
        owner: None,
        due_at: Some(at(1)),
        content: "[]".to_owned(),
    };
    commit(store, [put("zoe", Expected::Absent), alarm]).await;

    let keys = [RecordKey::new(ALARM, "zoe"), guest("zoe")];
    let both = store.read(&keys).await.unwrap();
    let contents = both.iter().map(|record| record.as_ref().unwrap().content.as_str());
    assert!(contents.eq(["[]", "{\"name\":\"zoe\"}"]));
    assert_eq!(store.next_due_record(GUEST).await.unwrap(), None);
    assert_eq!(ids(&all(store).await), ["zoe"]);
}

pub async fn any_text_comes_back_as_it_was_given(store: &impl RecordStore) {
    let text = "é e\u{301} \u{202e}عربي 日本 \u{1f511} \u{10ffff} \u{1} ' \" \\ % _ \u{feff}\r\n\t";
    let put = Write::Put {
        key: guest(text),
        expected: Expected::Absent,
        owner: Some(text.to_owned()),
        due_at: Some(at(1)),
        content: text.repeat(100),
    };
    commit(store, [put]).await;

    let record = read(store, text).await.unwrap();
    assert_eq!((record.key.id.as_str(), record.owner.as_deref()), (text, Some(text)));
    assert!(record.content == text.repeat(100));
    let query = RecordQuery { kind: GUEST, owner: Some(text.to_owned()), after: None, limit: 2 };
    assert!(store.list_records(&query).await.unwrap() == [record.clone()]);
    assert!(store.due_records(GUEST, at(1), None, 2).await.unwrap() == [record]);
}

pub async fn times_are_kept_to_the_microsecond(store: &impl RecordStore) {
    let exact: Timestamp = "2026-03-01T10:25:00.123456789Z".parse().unwrap();
    let kept: Timestamp = "2026-03-01T10:25:00.123456Z".parse().unwrap();
    let put = Write::Put {
        key: guest("zoe"),
        expected: Expected::Any,
        owner: None,
        due_at: Some(exact),
        content: "{}".to_owned(),
    };
    store.commit(Changeset { now: exact, ..changes([put]) }).await.unwrap();

    let record = read(store, "zoe").await.unwrap();
    assert_eq!((record.due_at, record.updated_at), (Some(kept), kept));
    assert_eq!(store.next_due_record(GUEST).await.unwrap(), Some(kept));
    assert_eq!(store.due_records(GUEST, exact, None, 2).await.unwrap().len(), 1);
}

pub async fn of_concurrent_writes_on_one_version_one_is_done(store: &impl RecordStore) {
    commit(store, [put("zoe", Expected::Absent)]).await;

    let writes = (0..20).map(|_| store.commit(changes([put("zoe", Expected::Version(1))])));
    let results = join_all(writes).await;

    check_one_done(&results);
    assert_eq!(version(store, "zoe").await, Some(2));
}

pub async fn of_concurrent_first_writes_one_is_done(store: &impl RecordStore) {
    let writes = (0..20).map(|_| store.commit(changes([put("zoe", Expected::Absent)])));
    let results = join_all(writes).await;

    check_one_done(&results);
    assert_eq!(version(store, "zoe").await, Some(1));
}

fn check_one_done(results: &[Result<Committed, CommitError>]) {
    assert_eq!(results.iter().filter(|one| one.is_ok()).count(), 1, "{results:?}");
    let refused = |one: &&Result<_, _>| matches!(one, Err(CommitError::Conflict { .. }));
    assert_eq!(results.iter().filter(refused).count(), results.len() - 1, "{results:?}");
}

pub async fn concurrent_writes_that_expect_nothing_are_all_done(store: &impl RecordStore) {
    // In different orders, so that stores which lock rows may not wait for each other in a ring.
    let write = |number: usize| {
        let mut writes =
            vec![put("ann", Expected::Any), put("bob", Expected::Any), put("zoe", Expected::Any)];
        writes.rotate_left(number % 3);
        store.commit(changes(writes))
    };
    let results = join_all((0..30).map(write)).await;

    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(all(store).await.iter().all(|record| record.version == 30));
}

/// Stores may write several changesets together: what is wrong with one must not hurt the others.
pub async fn a_refused_changeset_spares_those_beside_it(store: &impl RecordStore) {
    commit(store, [put("old", Expected::Absent)]).await;
    let change = |number: usize| {
        let id = format!("{number:02}");
        let expected = if number == 7 { Expected::Version(9) } else { Expected::Version(1) };
        let check = Write::Require { key: guest("old"), expected };
        store.commit(changes([put(&id, Expected::Absent), check]))
    };
    let results = join_all((0..20).map(change)).await;

    let failed: Vec<_> = (0..20).filter(|number| results[*number].is_err()).collect();
    assert_eq!(failed, [7], "{results:?}");
    assert_eq!(version(store, "07").await, None);
    assert_eq!(all(store).await.len(), 20);
}

pub async fn every_changeset_wakes_who_waits(store: &impl RecordStore) {
    let mut changed = store.records_changed();
    changed.borrow_and_update();
    for id in ["ann", "zoe"] {
        commit(store, [put(id, Expected::Any)]).await;
        assert!(changed.has_changed().unwrap());
        changed.borrow_and_update();
    }
    let refused = store.commit(changes([put("zoe", Expected::Absent)])).await;
    assert!(refused.is_err());
    assert!(!changed.has_changed().unwrap());
}

pub async fn a_quiet_changeset_wakes_nobody(store: &impl RecordStore) {
    let mut changed = store.records_changed();
    changed.borrow_and_update();
    let quiet = Changeset { is_quiet: true, ..changes([put("ann", Expected::Any)]) };

    store.commit(quiet).await.unwrap();

    assert!(!changed.has_changed().unwrap());
    assert!(read(store, "ann").await.is_some());
}
