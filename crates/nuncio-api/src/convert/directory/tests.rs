use super::*;

fn now() -> Timestamp {
    "2026-03-01T10:00:00Z".parse().unwrap()
}

fn id() -> GuestId {
    guest_id("guests/erika").unwrap()
}

fn given() -> v1::Guest {
    v1::Guest {
        email: "erika@example.com".to_owned(),
        valid_to_time: Some(timestamp("2026-04-01T10:00:00Z".parse().unwrap())),
        state: v1::GuestState::Active.into(),
        ..v1::Guest::default()
    }
}

#[test]
fn names_lead_to_ids_and_what_is_no_name_says_so() {
    assert_eq!(guest_id("guests/a@b.org").unwrap().as_str(), "a@b.org");
    assert_eq!(user_id("users/root").unwrap().as_str(), "root");
    for name in ["", "guests/", "users/erika", "guests/a/b", "guests/ä", "erika"] {
        let error = guest_id(name).unwrap_err().to_string();
        assert!(error.contains("`guests/{id}`"), "{error}");
    }
}

#[test]
fn a_guest_told_and_given_back_is_the_same() {
    let guest = updated_guest(given(), &Mask::All, id(), None, now()).unwrap();
    let again = updated_guest((&guest).into(), &Mask::All, id(), Some(&guest), now()).unwrap();
    assert_eq!(again, guest);
}

#[test]
fn a_user_told_and_given_back_is_the_same() {
    let given = v1::User {
        kind: v1::UserKind::Administrator.into(),
        disabled: true,
        password_expire_time: given().valid_to_time,
        ..v1::User::default()
    };
    let id = user_id("users/root").unwrap();
    let user = updated_user(given, &Mask::All, id.clone(), None, now()).unwrap();
    assert!(!user.is_enabled);
    let again = updated_user((&user).into(), &Mask::Given, id, Some(&user), now()).unwrap();
    assert_eq!(again, user);
}

#[test]
fn what_a_mask_leaves_out_stays_and_the_state_with_it() {
    let before = updated_guest(given(), &Mask::All, id(), None, now()).unwrap();
    let company = v1::Guest { company: "Acme".to_owned(), ..v1::Guest::default() };
    let after = updated_guest(company, &Mask::Given, id(), Some(&before), now()).unwrap();
    assert_eq!(after, Guest { company: "Acme".to_owned(), ..before });
}

#[test]
fn what_cannot_be_read_is_told_once_and_beside_all_else() {
    let wrong = v1::Guest {
        email: "erika".to_owned(),
        state: 99,
        valid_to_time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: -1 }),
        ..v1::Guest::default()
    };
    let violations = updated_guest(wrong, &Mask::All, id(), None, now()).unwrap_err();
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["state", "valid_to_time", "email"]);
}
