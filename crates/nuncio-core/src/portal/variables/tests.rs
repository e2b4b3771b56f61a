use super::*;
use crate::portal::testing::guest;

#[test]
fn a_guest_is_told_in_the_time_of_his_place() {
    let guest = guest();
    let variables = guest_variables(&guest, guest.valid_to - jiff::SignedDuration::from_hours(2));
    let value = |name: &str| variables[name].expose().to_owned();

    assert_eq!(value("valid_from"), "2026-03-01T09:25:00+01:00[Europe/Berlin]");
    assert_eq!(value("duration"), "PT48H");
    assert_eq!(value("time_left"), "PT2H");
    assert_eq!(value("sponsor_email"), "sam@example.com");
    assert!(!variables.contains_key("company"), "it is empty");
    assert!(!variables.contains_key("password"));
}

#[test]
fn no_time_is_left_to_a_guest_whose_access_has_ended() {
    let guest = guest();
    let variables = guest_variables(&guest, guest.valid_to + jiff::SignedDuration::from_hours(2));
    assert_eq!(variables["time_left"].expose(), "PT0S");
}
