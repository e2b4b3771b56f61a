use super::*;

#[test]
fn each_event_can_be_switched_off_by_itself() {
    let draft = GuestMailDraft {
        is_enabled: true,
        sender: Some(SenderChoice::SponsorIfSponsored),
        events_off: vec!["guest-extended".to_owned()],
        ..Default::default()
    };

    let settings = draft.check().unwrap();

    assert!(!settings.sends(GuestMailEvent::Extended));
    assert!(settings.sends(GuestMailEvent::Credentials));
    let off = GuestMailSettings { is_enabled: false, ..GuestMailSettings::default() };
    assert!(GuestMailEvent::ALL.into_iter().all(|event| !off.sends(event)));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mailbox = |address: &str, name: &str| {
        Some(MailboxDraft { address: address.to_owned(), display_name: name.to_owned() })
    };
    let draft = GuestMailDraft {
        default_from: mailbox("nobody", ""),
        reply_to: mailbox("desk@contoso.example", "Desk\r\nBcc: all"),
        events_off: vec!["guest-credentials".to_owned(), "guest-party".to_owned()],
        ..Default::default()
    };

    let violations = draft.check().unwrap_err();

    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "guest_mail_settings.default_from.address",
            "guest_mail_settings.reply_to.display_name",
            "guest_mail_settings.sender",
            "guest_mail_settings.events_off[1]",
        ]
    );
}

#[test]
fn the_history_names_the_fields_that_have_changed() {
    let before = GuestMailSettings::default();
    let after = GuestMailSettings {
        is_enabled: false,
        sender: SenderChoice::SponsorIfSponsored,
        ..before.clone()
    };

    assert_eq!(after.changes_since(Some(&before)), "enabled, sender");
    assert_eq!(after.changes_since(Some(&after)), "nothing changed");
}
