use super::*;
use crate::directory::guest::Sponsor;
use crate::portal::testing::guest;

const NO_OPTIONS: NoticeOptions =
    NoticeOptions { separate_mails: false, copy_me: false, copy_password: false };
const COPY: NoticeOptions = NoticeOptions { copy_me: true, ..NO_OPTIONS };
const SEPARATE: NoticeOptions = NoticeOptions { separate_mails: true, ..NO_OPTIONS };

/// The mails as `kind to address[, cc address]`, or the code of the refusal.
fn planned(notice: &Notice<'_>, settings: &GuestMailSettings) -> Vec<String> {
    match plan(notice, settings) {
        Ok(mails) => {
            let shown = mails.iter().map(|mail| {
                let cc = mail.cc.as_ref().map(|cc| format!(", cc {}", cc.address));
                let cc = cc.unwrap_or_default();
                format!("{} to {}{cc}", mail.kind.name(), mail.to.address)
            });
            shown.collect()
        }
        Err(refused) => vec![refused.code().to_owned()],
    }
}

fn check(event: PortalEvent, state: GuestState, options: NoticeOptions, expect: &[&str]) {
    let mut guest = guest();
    guest.state = state;
    let has_password = event.needs_password();
    let notice = Notice { event, guest: &guest, has_password, options };
    assert_eq!(planned(&notice, &GuestMailSettings::default()), expect, "{event:?} {options:?}");
}

#[test]
fn each_event_makes_its_mail_for_the_guest() {
    use GuestState::{Active, Created, Denied, Suspended};
    use PortalEvent as Event;
    for (event, state, expect) in [
        (Event::CredentialsCreated, Created, "guest-credentials to ada@example.com"),
        (Event::CredentialsResent, Active, "guest-credentials to ada@example.com"),
        (Event::PasswordReset, Active, "guest-password-reset to ada@example.com"),
        (Event::SelfRegistration, Created, "guest-self-registration to ada@example.com"),
        (Event::Approved, Created, "guest-approved to ada@example.com"),
        (Event::Denied, Denied, "guest-denied to ada@example.com"),
        (Event::Extended, Active, "guest-extended to ada@example.com"),
        (Event::Suspended, Suspended, "guest-suspended to ada@example.com"),
        (Event::Reinstated, Active, "guest-reinstated to ada@example.com"),
        (Event::Deleted, Suspended, "guest-deleted to ada@example.com"),
    ] {
        check(event, state, NO_OPTIONS, &[expect]);
    }
}

#[test]
fn user_name_and_password_go_in_separate_mails_on_wish() {
    let both = ["guest-username to ada@example.com", "guest-password to ada@example.com"];
    for event in [
        PortalEvent::CredentialsCreated,
        PortalEvent::CredentialsResent,
        PortalEvent::SelfRegistration,
    ] {
        check(event, GuestState::Created, SEPARATE, &both);
    }
    check(PortalEvent::PasswordReset, GuestState::Active, SEPARATE, &both[1..]);
}

#[test]
fn a_sponsor_gets_copies_but_no_password() {
    let event = PortalEvent::CredentialsCreated;
    let copy = "guest-username to sam@example.com";
    check(event, GuestState::Created, COPY, &["guest-credentials to ada@example.com", copy]);
    let separate = NoticeOptions { separate_mails: true, ..COPY };
    check(
        event,
        GuestState::Created,
        separate,
        &[
            "guest-username to ada@example.com, cc sam@example.com",
            "guest-password to ada@example.com",
        ],
    );
    let extended = "guest-extended to ada@example.com, cc sam@example.com";
    check(PortalEvent::Extended, GuestState::Active, COPY, &[extended]);
}

#[test]
fn a_sponsor_gets_the_password_only_where_that_is_wished() {
    let options = NoticeOptions { copy_password: true, ..COPY };
    let expect = ["guest-credentials to ada@example.com, cc sam@example.com"];
    check(PortalEvent::CredentialsCreated, GuestState::Created, options, &expect);
    // Without a wish for copies the other one is none.
    let options = NoticeOptions { copy_password: true, ..NO_OPTIONS };
    let expect = ["guest-credentials to ada@example.com"];
    check(PortalEvent::CredentialsCreated, GuestState::Created, options, &expect);
}

#[test]
fn credentials_are_sent_again_only_to_who_can_use_them() {
    for state in GuestState::ALL {
        let expect = match state {
            GuestState::Created | GuestState::Active => "guest-credentials to ada@example.com",
            GuestState::PendingApproval
            | GuestState::Suspended
            | GuestState::Expired
            | GuestState::Denied => "GUEST_STATE",
        };
        check(PortalEvent::CredentialsResent, state, NO_OPTIONS, &[expect]);
    }
}

#[test]
fn a_refusal_names_the_state_and_says_what_to_do() {
    let mut guest = guest();
    guest.state = GuestState::Suspended;
    let event = PortalEvent::CredentialsResent;
    let notice = Notice { event, guest: &guest, has_password: true, options: NO_OPTIONS };

    let refused = plan(&notice, &GuestMailSettings::default()).unwrap_err();

    let expect = "`credentials-resent` cannot be sent to a guest who is SUSPENDED; only to one who is CREATED or ACTIVE";
    assert_eq!(refused.to_string(), expect);
    assert_eq!(refused.remedy(), "reinstate the guest first");
}

#[test]
fn a_password_that_the_guest_chose_cannot_be_sent_again() {
    let mut guest = guest();
    guest.is_password_own = true;
    let notice = |event| Notice { event, guest: &guest, has_password: true, options: NO_OPTIONS };
    let settings = GuestMailSettings::default();

    let again = planned(&notice(PortalEvent::CredentialsResent), &settings);
    let anew = planned(&notice(PortalEvent::PasswordReset), &settings);

    assert_eq!(again, ["GUEST_PASSWORD_OWN"]);
    assert_eq!(anew, ["guest-password-reset to ada@example.com"]);
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    let settings = GuestMailSettings::default();
    let mut lonely = guest();
    lonely.email = None;
    let mut alone = guest();
    alone.sponsor = None;
    let ada = guest();
    for (event, guest, has_password, options, expect) in [
        (PortalEvent::CredentialsCreated, &lonely, true, NO_OPTIONS, "GUEST_WITHOUT_ADDRESS"),
        (PortalEvent::CredentialsCreated, &alone, true, COPY, "GUEST_WITHOUT_SPONSOR"),
        (PortalEvent::CredentialsCreated, &ada, false, NO_OPTIONS, "PASSWORD_MISSING"),
        (PortalEvent::Extended, &ada, true, NO_OPTIONS, "PASSWORD_NOT_TOLD"),
    ] {
        let notice = Notice { event, guest, has_password, options };
        assert_eq!(planned(&notice, &settings), [expect]);
    }
}

#[test]
fn what_is_switched_off_is_not_sent() {
    let guest = guest();
    let event = PortalEvent::CredentialsCreated;
    let notice = Notice { event, guest: &guest, has_password: true, options: SEPARATE };
    let off = |kinds: &[GuestMailEvent]| GuestMailSettings {
        events_off: kinds.iter().copied().collect(),
        ..GuestMailSettings::default()
    };

    let username_off = planned(&notice, &off(&[GuestMailEvent::Username]));
    let both_off = planned(&notice, &off(&[GuestMailEvent::Username, GuestMailEvent::Password]));
    let all_off = GuestMailSettings { is_enabled: false, ..GuestMailSettings::default() };

    assert_eq!(username_off, ["guest-password to ada@example.com"]);
    assert_eq!(both_off, ["GUEST_MAIL_EVENT_OFF"]);
    assert_eq!(planned(&notice, &all_off), ["GUEST_MAIL_DISABLED"]);
}

#[test]
fn an_approval_tells_the_credentials_if_it_knows_them() {
    let guest = guest();
    let event = PortalEvent::Approved;
    let notice = Notice { event, guest: &guest, has_password: true, options: SEPARATE };
    let kinds = plan(&notice, &GuestMailSettings::default()).unwrap();
    let kinds: Vec<_> = kinds.iter().map(|mail| mail.kind.name()).collect();
    assert_eq!(kinds, ["guest-approved", "guest-username", "guest-password"]);
}

#[test]
fn only_mails_that_hold_a_password_are_marked_so() {
    let mut guest = guest();
    guest.sponsor =
        Some(Sponsor { name: String::new(), email: "sam@example.com".parse().unwrap() });
    let event = PortalEvent::CredentialsCreated;
    let notice = Notice { event, guest: &guest, has_password: true, options: COPY };
    let mails = plan(&notice, &GuestMailSettings::default()).unwrap();
    let marks: Vec<_> = mails.iter().map(|mail| mail.tells_password).collect();
    assert_eq!(marks, [true, false]);
}
