use std::io::Cursor;

use nuncio_api::v1::{Guest, User};
use proptest::prelude::*;

use super::*;
use crate::rows::columns::Columns;
use crate::rows::reader::RowReader;

fn texts() -> impl Strategy<Value = Vec<String>> {
    // What the server keeps: no control characters, no blanks around it.
    let text = proptest::string::string_regex("[\\PC&&[^\\u2028\\u2029]]{0,12}");
    let text = text.expect("it is an expression").prop_map(|text| text.trim().to_owned());
    prop::collection::vec(text, Guest::COLUMNS.len())
}

fn moment() -> impl Strategy<Value = Option<prost_types::Timestamp>> {
    let parts = (0..4_000_000_000_i64, 0..1_000_000_000_i32);
    prop::option::of(parts.prop_map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos }))
}

/// Reads what was written.
fn read<P: Person>(content: Vec<u8>) -> Vec<P> {
    let mut reader = RowReader::<P>::open(Box::new(Cursor::new(content)), None).unwrap();
    let rows = reader.next_rows(100).unwrap();
    let people = rows.into_iter().map(|row| {
        assert!(row.problems.is_empty(), "{:?}", row.problems);
        row.person
    });
    people.collect()
}

fn guest(texts: &[String], state: i32, flags: (bool, bool)) -> Guest {
    let mut guest = Guest { name: "guests/a".to_owned(), state, ..Guest::default() };
    (guest.has_logged_in, guest.is_password_own) = flags;
    for (column, text) in Guest::COLUMNS.iter().zip(texts) {
        let is_text = guest.clone().set(column, "no value", None).is_ok();
        if is_text && *column != "time_zone" {
            guest.set(column, text, None).unwrap();
        }
    }
    guest.time_zone = "Europe/Berlin".to_owned();
    guest
}

proptest! {
    #[test]
    fn every_guest_is_imported_as_it_was_exported(
        texts in texts(), state in 0..7, flags in any::<(bool, bool)>(),
        times in (moment(), moment()),
    ) {
        let mut guest = guest(&texts, state, flags);
        (guest.valid_from_time, guest.valid_to_time) = times;
        let people = vec![guest.clone(), guest];
        prop_assert_eq!(read::<Guest>(lines(&people, true).unwrap()), people);
    }

    #[test]
    fn every_user_is_imported_as_it_was_exported(
        texts in texts(), kind in 0..3, flags in any::<(bool, bool, bool)>(),
        times in (moment(), moment()),
    ) {
        let user = User {
            name: "users/a".to_owned(),
            kind,
            username: texts[0].clone(),
            display_name: texts[1].clone(),
            email: texts[2].clone(),
            disabled: flags.0,
            password_never_expires: flags.1,
            include_system_alarms_in_emails: flags.2,
            password_change_time: times.0,
            password_expire_time: times.1,
            ..User::default()
        };
        prop_assert_eq!(read::<User>(lines(std::slice::from_ref(&user), true).unwrap()), [user]);
    }
}
