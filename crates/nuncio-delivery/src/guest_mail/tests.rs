use nuncio_core::settings::guest_mail::GuestMailEvent;

use super::*;

#[test]
fn the_settings_come_back_as_they_were_saved() {
    let mailbox = |address: &str, name: Option<&str>| Mailbox {
        address: address.parse().unwrap(),
        display_name: name.map(str::to_owned),
    };
    for settings in [
        GuestMailSettings::default(),
        GuestMailSettings {
            is_enabled: false,
            default_from: Some(mailbox("wifi@contoso.example", Some("Wi-Fi desk"))),
            sender: SenderChoice::SponsorIfSponsored,
            reply_to: Some(mailbox("desk@contoso.example", None)),
            events_off: [GuestMailEvent::Extended, GuestMailEvent::Deleted].into(),
        },
    ] {
        assert_eq!(decode(&encode(&settings)).unwrap(), settings);
    }
}

#[test]
fn a_document_of_another_version_is_not_guessed_at() {
    let json = encode(&GuestMailSettings::default());
    let newer = json.expose().replace("\"version\":1", "\"version\":2");

    let problem = decode(&Sensitive::from(newer)).unwrap_err().to_string();

    assert!(problem.contains("version 2 of its format; 1 is known"), "{problem}");
    assert!(decode(&Sensitive::from("{}".to_owned())).is_err());
}
