use super::*;

fn given() -> v1::GuestMailSettings {
    v1::GuestMailSettings {
        enabled: true,
        default_from: Some(v1::Mailbox {
            address: "wifi@contoso.example".into(),
            display_name: "Wi-Fi desk".into(),
        }),
        sender: v1::GuestMailSender::SponsorIfSponsored.into(),
        reply_to: None,
        events_off: vec!["guest-extended".into()],
        ..v1::GuestMailSettings::default()
    }
}

#[test]
fn settings_come_back_as_they_were_given() {
    let read = guest_mail_settings(given()).unwrap();

    assert_eq!(v1::GuestMailSettings::from(&read), given());
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let wrong = v1::GuestMailSettings {
        default_from: Some(v1::Mailbox { address: "nobody".into(), ..v1::Mailbox::default() }),
        sender: 7,
        events_off: vec!["guest-extended".into(), "guest-married".into()],
        ..given()
    };

    let violations = guest_mail_settings(wrong).unwrap_err();

    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "guest_mail_settings.sender",
            "guest_mail_settings.default_from.address",
            "guest_mail_settings.events_off[1]",
        ]
    );
}

#[test]
fn the_sender_must_be_chosen() {
    let unchosen = v1::GuestMailSettings { sender: 0, ..given() };

    let violations = guest_mail_settings(unchosen).unwrap_err();

    let problems: Vec<_> = violations.iter().map(|one| one.problem.as_str()).collect();
    assert_eq!(problems, ["choose `SPONSOR_IF_SPONSORED` or `ALWAYS_DEFAULT`"]);
}
