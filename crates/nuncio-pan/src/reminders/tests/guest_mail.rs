//! Reminders of guests obey the guest mail settings.

use nuncio_core::address::Mailbox;
use nuncio_core::directory::guest::{Guest, GuestState};
use nuncio_core::directory::user::{User, UserKind};
use nuncio_core::mail::Mail;
use nuncio_core::reminder::rules::{ReminderSettings, Rule, Stage};
use nuncio_core::settings::guest_mail::{GuestMailSettings, SenderChoice};

use super::world::*;

fn off() -> GuestMailSettings {
    GuestMailSettings { is_enabled: false, ..GuestMailSettings::default() }
}

fn mailbox(address: &str) -> Mailbox {
    Mailbox { address: address.parse().unwrap(), display_name: None }
}

/// The addresses in `From` and `Reply-To` of a mail.
fn senders(mail: &Mail) -> (Option<String>, Option<String>) {
    let address = |one: &Option<Mailbox>| one.as_ref().map(|one| one.address.to_string());
    (address(&mail.from), address(&mail.reply_to))
}

#[tokio::test]
async fn while_mail_to_guests_is_off_no_guest_and_no_sponsor_is_reminded_but_users_are() {
    let world = World::new(&[72]);
    let rule = |copy_to_sponsor| Rule {
        is_enabled: true,
        stages: vec![Stage::at(DAY * 3)],
        copy_to_sponsor,
    };
    world.save(&ReminderSettings {
        guests: rule(true),
        administrators: rule(false),
        ..ReminderSettings::default()
    });
    world.save_guest_mail(&off());
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;
    world.put(user("root", UserKind::Administrator, "2026-05-10T12:00:00Z")).await;

    world.round_at("2026-05-08T00:00:00Z").await;

    let jobs = world.jobs().await;
    let templates: Vec<_> = jobs.iter().filter_map(|job| job.template.as_deref()).collect();
    assert_eq!(templates, ["templates/password-expiry"]);
    assert!(world.ledger("guests/anna").await.is_empty(), "no stage counts as dealt with");
    world.round_at("2026-05-10T12:00:00Z").await;
    assert_eq!(world.guest("anna").await.subject.state, GuestState::Expired);
}

#[tokio::test]
async fn guests_are_reminded_again_when_their_mail_is_switched_on_before_the_expiry() {
    let world = World::new(&[72]);
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;
    world.save_guest_mail(&off());
    world.reminders.sweep::<Guest>().await.unwrap();
    world.round_at("2026-05-08T00:00:00Z").await;
    let while_off = world.mails().await;

    world.save_guest_mail(&GuestMailSettings::default());
    world.reminders.sweep::<Guest>().await.unwrap();
    world.round_at("2026-05-08T00:00:01Z").await;

    assert_eq!((while_off, world.mails().await), ((0, 0), (1, 0)));
}

#[tokio::test]
async fn a_guests_reminder_is_from_the_default_sender_of_guest_mail() {
    let world = World::new(&[72]);
    world.save_guest_mail(&GuestMailSettings {
        default_from: Some(mailbox("wifi@contoso.example")),
        reply_to: Some(mailbox("desk@contoso.example")),
        ..GuestMailSettings::default()
    });
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;

    world.round_at("2026-05-08T00:00:00Z").await;

    let wifi = Some("wifi@contoso.example".to_owned());
    let desk = Some("desk@contoso.example".to_owned());
    let [mail] = &world.claimed().await[..] else { panic!("there is one mail") };
    assert_eq!(senders(mail), (wifi, desk.clone()));
    // The mailbox of the SMTP settings may always send.
    assert_eq!(senders(&mail.with_next_sender().unwrap()), (None, desk));
}

#[tokio::test]
async fn a_guests_reminder_is_from_the_sponsor_if_that_is_chosen_and_the_sponsors_copy_is_not() {
    let world = World::new(&[72]);
    let rule = Rule { is_enabled: true, stages: vec![Stage::at(DAY * 3)], copy_to_sponsor: true };
    world.save(&ReminderSettings { guests: rule, ..ReminderSettings::default() });
    world.save_guest_mail(&GuestMailSettings {
        default_from: Some(mailbox("wifi@contoso.example")),
        sender: SenderChoice::SponsorIfSponsored,
        ..GuestMailSettings::default()
    });
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;

    world.round_at("2026-05-08T00:00:00Z").await;

    let sponsor = (Some("sam@contoso.example".to_owned()), None);
    let default = (Some("wifi@contoso.example".to_owned()), None);
    let mut seen: Vec<_> = world.claimed().await.iter().map(senders).collect();
    seen.sort();
    assert_eq!(seen, [sponsor, default]);
}

#[tokio::test]
async fn a_reminder_of_a_password_does_not_look_at_guest_mail() {
    let world = World::new(&[]);
    let rule = Rule { is_enabled: true, stages: vec![Stage::at(DAY * 3)], copy_to_sponsor: false };
    world.save(&ReminderSettings { administrators: rule, ..ReminderSettings::default() });
    world.save_guest_mail(&GuestMailSettings {
        default_from: Some(mailbox("wifi@contoso.example")),
        ..off()
    });
    world.put(user("root", UserKind::Administrator, "2026-05-10T12:00:00Z")).await;

    world.reminders.sweep::<User>().await.unwrap();
    world.round_at("2026-05-08T00:00:00Z").await;

    let seen: Vec<_> = world.claimed().await.iter().map(senders).collect();
    assert_eq!(seen, [(None, None)]);
}
