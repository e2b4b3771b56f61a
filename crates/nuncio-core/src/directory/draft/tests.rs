use super::text::check_language;
use super::*;
use crate::directory::guest::{Guest, GuestId, GuestState};
use crate::directory::user::{UserId, UserKind};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-03-01T10:00:00Z")
}

fn id() -> GuestId {
    GuestId::parse("erika").unwrap()
}

fn draft() -> GuestDraft {
    GuestDraft {
        first_name: "Erika".to_owned(),
        email: "erika@example.com".to_owned(),
        sponsor_name: "Max".to_owned(),
        sponsor_email: "max@example.com".to_owned(),
        time_zone: "europe/berlin".to_owned(),
        language: "DE-ch".to_owned(),
        valid_to: Some(at("2026-04-01T10:00:00Z")),
        ..GuestDraft::default()
    }
}

fn guest() -> Guest {
    draft().check(id(), None, now()).unwrap()
}

fn fields(result: Result<Guest, Violations>) -> Vec<String> {
    result.unwrap_err().into_iter().map(|violation| violation.field).collect()
}

#[test]
fn a_guest_gets_what_the_draft_leaves_out() {
    let guest = guest();
    assert_eq!(guest.username, "erika");
    assert_eq!(guest.state, GuestState::Created);
    assert_eq!(guest.valid_from, now());
    assert_eq!(guest.time_zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(guest.language, "de-CH");
    assert_eq!(guest.created_at, now());
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let wrong = GuestDraft {
        first_name: "Erika\r\nBcc: all@example.com".to_owned(),
        last_name: "x".repeat(NAME_CHARS_MAX + 1),
        company: "line\u{2028}separator".to_owned(),
        mobile_number: "1".repeat(MOBILE_NUMBER_CHARS_MAX + 1),
        email: "erika@".to_owned(),
        sponsor_email: String::new(),
        time_zone: "Europe/Atlantis".to_owned(),
        language: "german".repeat(3),
        ssid: "ä".repeat(17),
        valid_from: Some(at("2026-05-01T00:00:00Z")),
        ..draft()
    };
    let mut found = fields(wrong.check(id(), None, now()));
    found.sort();
    let expected = [
        "company",
        "email",
        "first_name",
        "language",
        "last_name",
        "mobile_number",
        "sponsor_email",
        "ssid",
        "time_zone",
        "valid_to_time",
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_end_must_be_there_and_behind_the_beginning() {
    let missing = GuestDraft { valid_to: None, ..draft() };
    assert_eq!(fields(missing.check(id(), None, now())), ["valid_to_time"]);
    let empty = GuestDraft { valid_from: draft().valid_to, ..draft() };
    assert_eq!(fields(empty.check(id(), None, now())), ["valid_to_time"]);
    let far = GuestDraft { valid_to: Some(Timestamp::MAX), ..draft() };
    assert_eq!(fields(far.check(id(), None, now())), ["valid_to_time"]);
    let early = GuestDraft { valid_from: Some(Timestamp::MIN), ..draft() };
    assert_eq!(fields(early.check(id(), None, now())), ["valid_from_time"]);
}

#[test]
fn a_time_zone_must_be_one_of_iana() {
    for name in ["CET-1CEST", "+01:00", "Mars/Olympus", "Europe/Berlin\n.."] {
        let wrong = GuestDraft { time_zone: name.to_owned(), ..draft() };
        assert_eq!(fields(wrong.check(id(), None, now())), ["time_zone"], "{name:?}");
    }
    let none = GuestDraft { time_zone: " ".to_owned(), ..draft() };
    assert_eq!(none.check(id(), None, now()).unwrap().time_zone, TimeZone::UTC);
}

#[test]
fn languages_are_written_in_their_usual_way() {
    for (given, written) in [
        ("EN", "en"),
        ("de-ch", "de-CH"),
        ("ZH-hant-tw", "zh-Hant-TW"),
        ("sl-rozaj-biske-1994", "sl-rozaj-biske-1994"),
        ("zh-cmn-Hans-CN", "zh-cmn-Hans-CN"),
        ("es-419", "es-419"),
        ("de-DE-u-CO-phonebk", "de-DE-u-co-phonebk"),
        ("en-x-a-bc", "en-x-a-bc"),
        ("", ""),
    ] {
        let mut violations = Violations::default();
        assert_eq!(check_language(&mut violations, "language", given), written);
        assert!(violations.is_empty(), "{given}: {violations}");
    }
    for wrong in
        ["e", "de_CH", "de-", "-de", "deutschland", "de-u", "de-u-x", "de--CH", "de-CH-DE", "日本"]
    {
        let mut violations = Violations::default();
        check_language(&mut violations, "language", wrong);
        assert!(!violations.is_empty(), "{wrong}");
    }
}

/// The state after an update of a guest in state `before` who has logged in, where the update names a state
/// or none, and sets the end to days from now.
#[track_caller]
fn check_state(before: GuestState, given: Option<GuestState>, days: i64, expected: GuestState) {
    let present = Guest { state: before, has_logged_in: true, ..guest() };
    let end = now() + jiff::SignedDuration::from_hours(24 * days);
    let valid_from = Some(at("2026-01-01T00:00:00Z"));
    let update = GuestDraft { state: given, valid_from, valid_to: Some(end), ..draft() };
    assert_eq!(update.check(id(), Some(&present), now()).unwrap().state, expected);
}

#[test]
fn an_update_without_a_state_keeps_the_present_one_unless_time_has_changed_it() {
    use GuestState::{Active, Created, Denied, Expired, PendingApproval, Suspended};
    for kept in [PendingApproval, Active, Suspended, Denied] {
        check_state(kept, None, 10, kept);
    }
    check_state(Expired, None, 10, Active);
    check_state(Expired, Some(Expired), 10, Expired);
    for open in [PendingApproval, Created, Active, Suspended, Expired] {
        check_state(open, None, -1, Expired);
        check_state(Expired, Some(open), -1, Expired);
    }
    check_state(Denied, None, -1, Denied);
    check_state(Active, Some(Created), 10, Created);
}

#[test]
fn a_reason_stays_only_with_states_that_have_one() {
    let reason = |state| {
        let draft =
            GuestDraft { state: Some(state), state_reason: "lost badge".to_owned(), ..draft() };
        draft.check(id(), None, now()).unwrap().state_reason
    };
    assert_eq!(reason(GuestState::Suspended), "lost badge");
    assert_eq!(reason(GuestState::Denied), "lost badge");
    assert_eq!(reason(GuestState::Active), "");
}

#[test]
fn a_guest_made_a_draft_and_checked_again_is_the_same() {
    let guest = guest();
    let again = GuestDraft::from(&guest).check(id(), Some(&guest), now()).unwrap();
    assert_eq!(again, guest);
}

#[test]
fn a_user_needs_a_kind_and_an_address_for_alarms() {
    let draft = UserDraft {
        include_system_alarms_in_emails: true,
        password_changed_at: Some(now()),
        password_expires_at: Some(now()),
        ..UserDraft::default()
    };
    let user_id = UserId::parse("root").unwrap();
    let wrong = draft.clone().check(user_id.clone(), None, now()).unwrap_err();
    let fields: Vec<_> = wrong.into_iter().map(|violation| violation.field).collect();
    assert_eq!(fields, ["kind", "password_expire_time", "email"]);

    let right = UserDraft {
        kind: Some(UserKind::Administrator),
        email: "root@example.com".to_owned(),
        password_expires_at: None,
        ..draft
    };
    let user = right.check(user_id.clone(), None, now()).unwrap();
    assert!(user.is_enabled);
    assert_eq!(UserDraft::from(&user).check(user_id, Some(&user), now()).unwrap(), user);
}
