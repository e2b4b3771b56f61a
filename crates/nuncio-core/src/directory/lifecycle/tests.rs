use jiff::SignedDuration;

use super::*;
use crate::directory::draft::GuestDraft;
use crate::directory::guest::GuestId;
use GuestState::{Active, Created, Denied, Expired, PendingApproval, Suspended};

fn now() -> Timestamp {
    "2026-03-01T10:00:00Z".parse().unwrap()
}

fn days(count: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * count)
}

fn guest(state: GuestState) -> Guest {
    let draft =
        GuestDraft { valid_from: Some(days(-1)), valid_to: Some(days(1)), ..GuestDraft::default() };
    let guest = draft.check(GuestId::parse("erika").unwrap(), None, now()).unwrap();
    Guest { state, ..guest }
}

fn suspend() -> GuestAction {
    GuestAction::Suspend { reason: " lost badge ".to_owned() }
}

fn deny() -> GuestAction {
    GuestAction::Deny { reason: String::new() }
}

fn extend() -> GuestAction {
    GuestAction::Extend { valid_to: days(2) }
}

/// The states that a guest in each state comes to; what is not named is refused.
#[track_caller]
fn check(action: &GuestAction, expected: &[(GuestState, GuestState)]) {
    for state in GuestState::ALL {
        let after = guest(state).after(action, now());
        match expected.iter().find(|(before, _)| *before == state) {
            Some((_, expected)) => assert_eq!(after.unwrap().state, *expected, "{action:?}"),
            None => {
                assert_eq!(after.unwrap_err().code(), "GUEST_STATE", "{action:?} of {state:?}");
            }
        }
    }
}

#[test]
fn each_action_is_possible_in_its_states_only() {
    check(&GuestAction::Approve, &[(PendingApproval, Created)]);
    check(&deny(), &[(PendingApproval, Denied)]);
    check(&GuestAction::Activate, &[(Created, Active), (Active, Active)]);
    check(&suspend(), &[(Created, Suspended), (Active, Suspended)]);
    check(&GuestAction::Reinstate, &[(Suspended, Created)]);
    let kept = [PendingApproval, Created, Active, Suspended].map(|state| (state, state));
    check(&extend(), &[&kept[..], &[(Expired, Created)]].concat());
}

#[test]
fn a_refusal_says_in_which_states_it_were_possible() {
    let refused = guest(Denied).after(&suspend(), now()).unwrap_err();
    let message = "a guest who is DENIED cannot be suspended; only one who is CREATED, ACTIVE";
    assert_eq!(refused.to_string(), message);
}

#[test]
fn who_has_logged_in_comes_back_as_active() {
    let active = guest(Created).after(&GuestAction::Activate, now()).unwrap();
    let suspended = active.after(&suspend(), now()).unwrap();
    assert_eq!(suspended.state_reason, "lost badge");
    let back = suspended.after(&GuestAction::Reinstate, now()).unwrap();
    assert_eq!((back.state, back.state_reason.as_str()), (Active, ""));
    let expired = back.after(&GuestAction::Expire, days(1)).unwrap();
    assert_eq!(expired.after(&extend(), days(1)).unwrap().state, Active);
}

#[test]
fn nobody_expires_before_the_end() {
    let early = guest(Active).after(&GuestAction::Expire, now()).unwrap_err();
    assert_eq!(early.code(), "GUEST_STILL_VALID");
    for state in [PendingApproval, Created, Active, Suspended] {
        assert_eq!(guest(state).after(&GuestAction::Expire, days(1)).unwrap().state, Expired);
    }
    for state in [Expired, Denied] {
        assert!(guest(state).after(&GuestAction::Expire, days(1)).is_err());
    }
}

#[test]
fn nobody_is_let_in_outside_of_the_access() {
    let early = guest(Created).after(&GuestAction::Activate, days(-2)).unwrap_err();
    assert_eq!(early.code(), "GUEST_NOT_YET_VALID");
    let late = [
        (Created, GuestAction::Activate),
        (PendingApproval, GuestAction::Approve),
        (Suspended, GuestAction::Reinstate),
    ];
    for (state, action) in late {
        assert_eq!(
            guest(state).after(&action, days(1)).unwrap_err().code(),
            "GUEST_NO_LONGER_VALID"
        );
    }
}

#[test]
fn an_extension_only_moves_the_end_away() {
    for end in [days(0), days(1), Timestamp::MAX] {
        let refused = guest(Active).after(&GuestAction::Extend { valid_to: end }, now());
        assert_eq!(refused.unwrap_err().code(), "INVALID_VALID_TO");
    }
    // The end is past, and the new one too.
    let refused = guest(Expired).after(&extend(), days(3)).unwrap_err();
    assert_eq!(refused.code(), "INVALID_VALID_TO");
}

#[test]
fn a_reason_is_one_short_line() {
    for reason in ["a\r\nb".to_owned(), "x".repeat(REASON_CHARS_MAX + 1)] {
        let refused = guest(Active).after(&GuestAction::Suspend { reason }, now());
        assert_eq!(refused.unwrap_err().code(), "INVALID_REASON");
    }
}
