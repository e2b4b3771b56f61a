use nuncio_core::ports::records::{Changeset, Expected, Write};

use super::*;
use crate::testing::{days, directory, guest, now, user};

async fn with_guests(guests: impl IntoIterator<Item = Guest>) -> Directory {
    let directory = directory();
    let guests: Vec<_> = guests.into_iter().collect();
    for part in guests.chunks(1000) {
        let mut changes = Changeset::new(now());
        for guest in part {
            directory.put(None, guest, now()).add_to(&mut changes);
        }
        directory.records.commit(changes).await.unwrap();
    }
    directory
}

fn ids(page: &Page<Guest>) -> Vec<&str> {
    page.entries.iter().map(|entry| entry.subject.id.as_str()).collect()
}

#[tokio::test]
async fn pages_hold_everybody_once_and_in_order() {
    let directory = with_guests((0..250).map(|index| guest(&format!("g{index:03}")))).await;
    for limit in [1, 7, 100, 250, 1000] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = directory.list(&GuestFilter::default(), after, limit).await.unwrap();
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            assert!(page.entries.len() <= usize::try_from(limit).unwrap());
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let expected: Vec<_> = (0..250).map(|index| format!("g{index:03}")).collect();
        assert_eq!(seen, expected, "pages of {limit}");
    }
}

#[tokio::test]
async fn a_call_looks_at_so_many_and_no_more() {
    let many = (0..EXAMINED_MAX + 5).map(|index| guest(&format!("g{index:05}")));
    let directory = with_guests(many.chain([Guest { company: "Acme".into(), ..guest("z") }])).await;
    let filter = GuestFilter { text: "acme".to_owned(), ..GuestFilter::default() };
    let first = directory.list(&filter, None, 10).await.unwrap();
    assert_eq!((ids(&first), first.next.as_deref()), (vec![], Some("g09999")));
    let second = directory.list(&filter, first.next, 10).await.unwrap();
    assert_eq!((ids(&second), second.next.as_deref()), (vec!["z"], None));
}

#[tokio::test]
async fn each_filter_finds_its_guests() {
    let of_other = Guest { sponsor: None, guest_type: "daily".into(), ..guest("a") };
    let there = Guest { location: "Rome".into(), state: GuestState::Active, ..guest("b") };
    let short = Guest { valid_to: days(1), last_name: "Müller".into(), ..guest("c") };
    let directory = with_guests([of_other, there, short]).await;
    let none = GuestFilter::default;
    let cases: [(GuestFilter, &[&str]); 8] = [
        (GuestFilter { states: vec![GuestState::Active], ..none() }, &["b"]),
        (GuestFilter { guest_type: "daily".into(), ..none() }, &["a"]),
        (GuestFilter { sponsor_email: "MAX@example.com".into(), ..none() }, &["b", "c"]),
        (GuestFilter { location: "Rome".into(), ..none() }, &["b"]),
        (GuestFilter { valid_to_before: Some(days(10)), ..none() }, &["c"]),
        (GuestFilter { text: "erika MÜL".into(), ..none() }, &["c"]),
        (GuestFilter { text: "erika@EXAMPLE".into(), ..none() }, &["a", "b", "c"]),
        (GuestFilter { text: "nobody".into(), ..none() }, &[]),
    ];
    for (filter, expected) in cases {
        let page = directory.list(&filter, None, 10).await.unwrap();
        assert_eq!(ids(&page), expected, "{filter:?}");
    }
}

#[test]
fn a_password_that_never_expires_is_not_about_to() {
    let filter = UserFilter { password_expires_before: Some(days(6)), ..UserFilter::default() };
    assert!(filter.fits(&user("root")));
    assert!(!filter.fits(&User { password_never_expires: true, ..user("root") }));
    assert!(!filter.fits(&User { password_expires_at: None, ..user("root") }));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_hides_no_others() {
    let directory = with_guests([guest("a"), guest("c")]).await;
    let mut changes = Changeset::new(now());
    let entry = Write::Put {
        key: Guest::key(&crate::testing::guest_id("b")),
        expected: Expected::Absent,
        owner: None,
        due_at: None,
        content: r#"{"v":99}"#.to_owned(),
    };
    changes.writes.push(entry);
    directory.records.commit(changes).await.unwrap();
    let page = directory.list(&GuestFilter::default(), None, 10).await.unwrap();
    assert_eq!(ids(&page), ["a", "c"]);
    assert_eq!(page.broken.len(), 1);
}
