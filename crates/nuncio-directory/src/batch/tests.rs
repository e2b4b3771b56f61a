use nuncio_core::directory::guest::{Guest, GuestId};
use nuncio_core::violation::Violations;

use super::*;
use crate::testing::{days, directory, draft, guest_id, now};

const OUTCOMES: [&str; 4] = ["created", "updated", "unchanged", "rejected"];

/// How many rows came to each of [`OUTCOMES`], in this order.
fn counts(outcomes: &[RowOutcome]) -> [usize; OUTCOMES.len()] {
    let mut counts = [0; OUTCOMES.len()];
    for outcome in outcomes {
        let index = match outcome {
            RowOutcome::Created => 0,
            RowOutcome::Updated => 1,
            RowOutcome::Unchanged => 2,
            RowOutcome::Rejected(_) => 3,
        };
        counts[index] += 1;
    }
    counts
}

fn ids(count: usize) -> Vec<GuestId> {
    (0..count).map(|index| guest_id(&format!("g{index:04}"))).collect()
}

fn make(id: &GuestId, before: Option<&Guest>, end: i64) -> Result<Guest, Violations> {
    let mut draft = draft();
    draft.valid_to = Some(days(end));
    draft.check(id.clone(), before, days(0))
}

#[tokio::test]
async fn rows_are_counted_by_what_became_of_them_and_repeated_they_change_nothing() {
    let directory = directory();
    let ids = ids(ROWS_MAX);
    let run = async |end: i64, validate_only| {
        let make = |index: usize, before: Option<&Guest>| match index {
            3 => make(&guest_id("g0003"), before, -1),
            _ => make(&guest_id(&format!("g{index:04}")), before, end),
        };
        let batch = Batch { ids: &ids, make: &make, now: now(), validate_only };
        counts(&directory.write_batch(&batch).await.unwrap())
    };
    assert_eq!(run(5, true).await, [999, 0, 0, 1]);
    assert_eq!(run(5, false).await, [999, 0, 0, 1]);
    assert_eq!(run(5, false).await, [0, 0, 999, 1]);
    assert_eq!(run(6, true).await, [0, 999, 0, 1]);
    assert_eq!(run(6, false).await, [0, 999, 0, 1]);
}

#[tokio::test]
async fn an_unchanged_guest_keeps_the_moment_of_the_last_change() {
    let directory = directory();
    let ids = ids(1);
    for later in [0, 1] {
        let make =
            |_, before: Option<&Guest>| draft().check(guest_id("g0000"), before, days(later));
        let batch = Batch { ids: &ids, make: &make, now: days(later), validate_only: false };
        directory.write_batch(&batch).await.unwrap();
    }
    let entry = directory.get::<Guest>(&ids[0]).await.unwrap().unwrap();
    assert_eq!((entry.version, entry.subject.updated_at), (1, now()));
}

#[tokio::test]
async fn a_batch_removes_those_who_are_there_and_those_who_cannot_be_read() {
    let directory = directory();
    let ids = ids(4);
    let make = |index: usize, before: Option<&Guest>| make(&ids[index], before, 5);
    let batch = Batch { ids: &ids[..2], make: &make, now: now(), validate_only: false };
    directory.write_batch(&batch).await.unwrap();
    let mut changes = Changeset::new(now());
    changes.writes.push(Write::Put {
        key: Guest::key(&ids[2]),
        expected: Expected::Absent,
        owner: None,
        due_at: None,
        content: "{}".to_owned(),
    });
    directory.records.commit(changes).await.unwrap();
    let run = async |validate_only| {
        directory.remove_batch::<Guest>(&ids, now(), validate_only).await.unwrap()
    };

    assert_eq!(run(true).await, [true, true, true, false]);
    assert_eq!(run(false).await, [true, true, true, false]);
    assert_eq!(run(false).await, [false; 4]);
}
