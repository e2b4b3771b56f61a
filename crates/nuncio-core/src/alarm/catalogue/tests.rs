use super::*;
use crate::alarm::kind::{DISPLAY_NAME_CHARS_MAX, TYPE_TEXT_CHARS_MAX, is_type_id};

#[test]
fn every_type_is_within_the_limits_of_types_and_the_ids_are_in_order() {
    let types: Vec<AlarmType> = shipped().collect();

    assert!(types.is_sorted_by(|one, next| one.id < next.id));
    for one in &types {
        assert!(is_type_id(&one.id), "{}", one.id);
        assert!((1..=DISPLAY_NAME_CHARS_MAX).contains(&one.display_name.chars().count()));
        assert!(one.description.chars().count() <= TYPE_TEXT_CHARS_MAX);
        assert!(!one.suggested_action.is_empty(), "{}", one.id);
    }
}

#[test]
fn the_types_that_nuncio_raises_itself_are_there() {
    for id in [
        SECRET_ABOUT_TO_EXPIRE,
        SECRET_EXPIRED,
        SECRET_DATE_DIFFERS,
        MAILBOX_CLOSED,
        MAIL_PROVIDER_DOWN,
        ALARM_MAIL_FAILED,
        JOB_STORE_FULL,
    ] {
        assert!(find(id).is_some_and(|one| one.is_mail_path), "{id}");
    }
    assert!(find(SENDER_NOT_ALLOWED).is_some_and(|one| !one.is_mail_path));
}

#[test]
fn the_alarms_about_the_secret_have_the_names_and_the_category_of_ise() {
    let expired = find(SECRET_EXPIRED).unwrap();

    assert_eq!(expired.display_name, "SMTP OAuth Client Secret has expired");
    assert_eq!(expired.category, Category::Audit);
    assert_eq!(expired.severity, Severity::Critical);
}

#[test]
fn what_nobody_shipped_is_not_found() {
    assert_eq!(find("no-such-alarm"), None);
}
