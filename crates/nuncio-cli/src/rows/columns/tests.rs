use super::*;

fn zone() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

#[track_caller]
fn check(cell: &str, zone: Option<&TimeZone>, expected: &str) {
    let told = match time(cell, zone) {
        Ok(time) => time_cell(time),
        Err(problem) => problem,
    };
    assert!(told.starts_with(expected), "{cell}: {told}");
}

#[test]
fn a_time_has_an_offset_or_is_one_of_the_time_zone() {
    check("2027-03-15T08:00:00+01:00", None, "2027-03-15T07:00:00Z");
    check("2027-03-15T08:00:00.25Z", Some(&zone()), "2027-03-15T08:00:00.25Z");
    check("2027-07-15 08:00", Some(&zone()), "2027-07-15T06:00:00Z");
    check("2027-01-15T08:00:30", Some(&zone()), "2027-01-15T07:00:30Z");
    check("2027-03-15T08:00:00+01:00[Europe/Berlin]", None, "2027-03-15T07:00:00Z");
    check("", None, "");
    check("2027-07-15 08:00", None, "`2027-07-15 08:00` has no offset");
    check("soon", Some(&zone()), "`soon` is no moment");
    let day = time("2027-07-15", Some(&zone())).unwrap_err();
    assert!(day.ends_with("the time of the day is needed too"), "{day}");
}

#[test]
fn flags_and_states_are_read_whatever_their_capitals() {
    let mut guest = Guest::default();
    for (cell, expected) in [("yes", true), ("NO", false), ("1", true), ("", false)] {
        guest.set("has_logged_in", cell, None).unwrap();
        assert_eq!(guest.has_logged_in, expected, "{cell}");
    }
    assert!(guest.set("has_logged_in", "perhaps", None).is_err());
    guest.set("state", "pending approval", None).unwrap();
    assert_eq!(guest.state(), GuestState::PendingApproval);
    assert_eq!(guest.cell("state"), "PENDING_APPROVAL");
    guest.set("state", "", None).unwrap();
    assert_eq!(guest.state(), GuestState::Unspecified);
    assert!(guest.set("state", "gone", None).is_err());
}

#[test]
fn every_field_that_can_be_set_is_a_column() {
    use nuncio_api::convert::field_mask::Masked;

    let sorted = |names: &[&'static str]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    assert_eq!(sorted(Guest::COLUMNS), sorted(Guest::FIELDS));
    assert_eq!(sorted(User::COLUMNS), sorted(User::FIELDS));
}
