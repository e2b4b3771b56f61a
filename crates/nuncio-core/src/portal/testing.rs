//! What the tests of portal mail share.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::directory::guest::{Guest, GuestId, GuestState, Sponsor};

pub(super) fn guest() -> Guest {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    Guest {
        id: GuestId::parse("ada").unwrap(),
        username: "ada01".to_owned(),
        first_name: "Ada".to_owned(),
        last_name: "Lovelace".to_owned(),
        company: String::new(),
        mobile_number: String::new(),
        email: "ada@example.com".parse().ok(),
        guest_type: "daily".to_owned(),
        sponsor: Some(Sponsor {
            name: "Sam".to_owned(),
            email: "sam@example.com".parse().unwrap(),
        }),
        location: "Berlin".to_owned(),
        time_zone: TimeZone::get("Europe/Berlin").unwrap(),
        language: "en".to_owned(),
        person_visited: String::new(),
        reason_for_visit: String::new(),
        ssid: String::new(),
        state: GuestState::Created,
        state_reason: String::new(),
        has_logged_in: false,
        valid_from: at("2026-03-01T08:25:00Z"),
        valid_to: at("2026-03-03T08:25:00Z"),
        is_password_own: false,
        created_at: at("2026-03-01T08:25:00Z"),
        updated_at: at("2026-03-01T08:25:00Z"),
    }
}
