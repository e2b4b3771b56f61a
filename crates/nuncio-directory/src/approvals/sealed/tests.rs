use std::collections::BTreeMap;
use std::time::Duration;

use nuncio_core::conformance::sealer::TestKeys;
use nuncio_core::portal::approval::ApprovalState;
use nuncio_core::portal::plan::NoticeOptions;

use super::*;
use crate::approvals::{find, put};
use crate::testing::{directory, guest_id, now};

/// A request with a password under the present key, or without one.
async fn ask(records: &dyn RecordStore, number: u8, password: Option<(&str, &TestKeys)>) {
    let id = ApprovalId::new([number; 16]);
    let seal = |(password, keys): (&str, &TestKeys)| WaitingCredentials {
        sealed_password: keys.current().seal(&password_context(id), password.as_bytes()),
        options: NoticeOptions::default(),
        labels: BTreeMap::new(),
    };
    let approval = Approval {
        id,
        guest: guest_id("ada"),
        state: ApprovalState::Pending,
        approvers: vec!["boss@example.com".parse().unwrap()],
        created_at: now(),
        expires_at: now() + Duration::from_hours(1),
        sent_at: now(),
        sent_count: 1,
        request_jobs: Vec::new(),
        credentials: password.map(seal),
        result_jobs: Vec::new(),
        decision: None,
        locale: String::new(),
        portal: String::new(),
    };
    let mut changes = Changeset::new(now());
    changes.writes.push(put(&approval, Expected::Absent, now()));
    records.commit(changes).await.unwrap();
}

async fn counts(records: &dyn RecordStore, keys: &TestKeys) -> [u64; 2] {
    let sealer = keys.current();
    [count(records, &*sealer, "old").await.unwrap(), count(records, &*sealer, "new").await.unwrap()]
}

#[tokio::test]
async fn passwords_that_wait_come_under_the_new_key_and_stay_what_they_are() {
    let (directory, keys) = (directory(), TestKeys::new(&["old"]));
    let records = &*directory.records;
    ask(records, 1, Some(("hunter2", &keys))).await;
    ask(records, 2, None).await;
    keys.set(&["new", "old"]);
    ask(records, 3, Some(("hunter3", &keys))).await;
    assert_eq!(counts(records, &keys).await, [1, 1]);
    let due_at = records.next_due_record(APPROVAL).await.unwrap();

    assert_eq!(reseal(records, &keys, now()).await.unwrap(), 1);
    assert_eq!(reseal(records, &keys, now()).await.unwrap(), 0, "there is nothing left to do");

    assert_eq!(counts(records, &keys).await, [0, 2]);
    keys.set(&["new"]);
    let id = ApprovalId::new([1; 16]);
    let stored = find(records, id).await.unwrap().unwrap();
    let sealed = stored.approval.credentials.unwrap().sealed_password;
    assert_eq!(keys.current().open(&password_context(id), &sealed).unwrap(), b"hunter2");
    assert_eq!(records.next_due_record(APPROVAL).await.unwrap(), due_at);
}

#[tokio::test]
async fn a_password_that_cannot_be_opened_is_left_as_it_is() {
    let (directory, keys) = (directory(), TestKeys::new(&["old"]));
    ask(&*directory.records, 1, Some(("hunter2", &keys))).await;
    keys.set(&["new"]);

    assert_eq!(reseal(&*directory.records, &keys, now()).await.unwrap(), 0);

    assert_eq!(counts(&*directory.records, &keys).await, [1, 0]);
}
