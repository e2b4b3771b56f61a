use nuncio_core::directory::guest::{Guest, GuestId, GuestState, Sponsor};
use nuncio_core::directory::user::{User, UserId, UserKind};
use proptest::prelude::*;

use super::*;
use crate::mails::AccessMail;
use crate::notes::Notes;
use crate::testing;
use nuncio_core::job::MailJobId;

fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("\\PC{0,12}").expect("it is an expression")
}

fn moment() -> impl Strategy<Value = jiff::Timestamp> {
    (0..4_000_000_000_i64, 0..1_000_000_000_i32)
        .prop_map(|(seconds, nanos)| jiff::Timestamp::new(seconds, nanos).expect("in range"))
}

fn zone() -> impl Strategy<Value = TimeZone> {
    prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Tokyo"])
        .prop_map(time_zone)
}

fn mailbox() -> impl Strategy<Value = Option<EmailAddress>> {
    prop::option::of("[a-z]{1,8}@[a-z]{1,8}\\.org".prop_map(|text| text.parse().expect("address")))
}

prop_compose! {
    fn any_guest()(
        texts in prop::collection::vec(text(), 12),
        (email, sponsor) in (mailbox(), mailbox()),
        state in prop::sample::select(GuestState::ALL.to_vec()),
        (has_logged_in, is_password_own) in any::<(bool, bool)>(),
        times in prop::collection::vec(moment(), 4),
        time_zone in zone(),
    ) -> Guest {
        let mut texts = texts.into_iter();
        let mut text = move || texts.next().expect("there are enough");
        Guest {
            id: GuestId::parse("g+1@x.org").expect("it is an id"),
            username: text(), first_name: text(), last_name: text(), company: text(),
            mobile_number: text(), email, guest_type: text(),
            sponsor: sponsor.map(|email| Sponsor { name: text(), email }),
            location: text(), time_zone, language: text(), person_visited: text(),
            reason_for_visit: text(), ssid: String::new(), state, state_reason: text(),
            has_logged_in, valid_from: times[0], valid_to: times[1], is_password_own,
            created_at: times[2], updated_at: times[3],
        }
    }
}

prop_compose! {
    fn any_user()(
        texts in prop::collection::vec(text(), 3),
        (email, alias_email) in (mailbox(), mailbox()),
        kind in prop::sample::select(vec![UserKind::Administrator, UserKind::NetworkUser]),
        (is_enabled, password_never_expires, alarms) in any::<(bool, bool, bool)>(),
        (changed, expires) in (prop::option::of(moment()), prop::option::of(moment())),
        (created_at, updated_at) in (moment(), moment()),
        time_zone in zone(),
    ) -> User {
        User {
            id: UserId::parse("u.1").expect("it is an id"),
            username: texts[0].clone(), kind, display_name: texts[1].clone(), email, alias_email,
            language: texts[2].clone(), time_zone, is_enabled, password_changed_at: changed,
            password_expires_at: expires, password_never_expires,
            include_system_alarms_in_emails: alarms, created_at, updated_at,
        }
    }
}

proptest! {
    #[test]
    fn every_guest_is_read_as_it_was_written(
        guest in any_guest(), noted in prop::option::of(text()), waiting in 0_u8..3,
    ) {
        let notes = noted.map(|text| Notes::new(&vec![text]));
        let mail = |number| AccessMail {
            job: MailJobId::new(testing::now(), [number; 10]),
            until: testing::days(2),
        };
        let mails: Vec<_> = (0..waiting).map(mail).collect();
        let content = guest::encode(&guest, notes.as_ref(), &mails);
        prop_assert_eq!(guest::decode("g+1@x.org", &content).unwrap(), (guest, notes, mails));
    }

    #[test]
    fn every_user_is_read_as_it_was_written(user in any_user(), noted in prop::option::of(text())) {
        let notes = noted.map(|text| Notes::new(&vec![text]));
        let content = user::encode(&user, notes.as_ref());
        prop_assert_eq!(user::decode("u.1", &content).unwrap(), (user, notes));
    }
}

#[test]
fn what_the_first_version_wrote_is_still_read() {
    let content = r#"{"v":1,"username":"erika","time_zone":"Europe/Berlin","state":"CREATED",
        "valid_from":"2026-03-01T10:00:00Z","valid_to":"2026-03-11T10:00:00Z","later_field":7,
        "created_at":"2026-03-01T10:00:00Z","updated_at":"2026-03-01T10:00:00Z",
        "reminders":{"open":["a"]}}"#;
    let (guest, notes, mails) = guest::decode("erika", content).unwrap();
    assert_eq!(mails, []);
    assert_eq!(guest.valid_to, testing::days(10));
    let open: std::collections::BTreeMap<String, Vec<String>> = notes.unwrap().read().unwrap();
    assert_eq!(open["open"], ["a"]);
}

#[test]
fn a_record_that_cannot_be_read_is_named_without_its_content() {
    let content = guest::encode(&testing::guest("erika"), None, &[]);
    for broken in [
        content.replace(r#""v":1"#, r#""v":2"#),
        content.replace("CREATED", "Mustermann"),
        content.replace("2026", "Mustermann"),
        content.replace('{', ""),
    ] {
        let error = guest::decode("erika", &broken).unwrap_err().to_string();
        assert!(error.contains("erika"), "{error}");
        assert!(!error.contains("Mustermann"), "{error}");
    }
}
