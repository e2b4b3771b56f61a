//! The service over a store in memory and the embedded settings.

use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use nuncio_core::settings::guest_mail::GuestMailEvent;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::*;
use crate::reminder_service::ReminderApi;
use crate::reminders::tests::world::{World, guest};

struct Fixture {
    world: World,
    service: GuestMailApi,
    _folder: tempfile::TempDir,
}

/// Guests are reminded three days before the expiry.
fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let keys = load_keys(folder.path(), None).unwrap();
    let settings = Arc::new(EmbeddedCluster::open(folder.path(), keys).unwrap());
    let mut world = World::new(&[72]);
    world.reminders.guest_mail = settings.document(SettingsDocument::GuestMail);
    let service = GuestMailApi { reminders: world.reminders.clone(), settings };
    Fixture { world, service, _folder: folder }
}

impl Fixture {
    async fn get(&self) -> v1::GuestMailSettings {
        let request = Request::new(v1::GetGuestMailSettingsRequest {});
        let response = self.service.get_guest_mail_settings(request).await.unwrap();
        response.into_inner().guest_mail_settings.unwrap()
    }

    async fn update(
        &self,
        settings: v1::GuestMailSettings,
        max_due_count: i64,
        validate_only: bool,
    ) -> Result<v1::UpdateGuestMailSettingsResponse, Status> {
        let guest_mail_settings = Some(settings);
        let request = v1::UpdateGuestMailSettingsRequest {
            guest_mail_settings,
            max_due_count,
            validate_only,
        };
        let response = self.service.update_guest_mail_settings(Request::new(request)).await?;
        Ok(response.into_inner())
    }
}

fn settings(enabled: bool) -> v1::GuestMailSettings {
    v1::GuestMailSettings {
        enabled,
        sender: v1::GuestMailSender::AlwaysDefault.into(),
        ..v1::GuestMailSettings::default()
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test]
async fn settings_are_saved_with_what_changed_and_count_at_once() {
    let fixture = fixture();

    let defaults = fixture.get().await;
    let off = vec![GuestMailEvent::Extended.name().to_owned()];
    let wanted = v1::GuestMailSettings { events_off: off.clone(), ..settings(true) };
    let saved = fixture.update(wanted, 0, false).await.unwrap().guest_mail_settings.unwrap();

    assert!(defaults.enabled);
    assert_eq!((defaults.etag.as_str(), defaults.generation), ("", 0));
    assert_eq!(fixture.get().await, saved);
    assert_eq!((saved.etag.as_str(), saved.generation, saved.events_off), ("g1", 1, off));
    let document = fixture.service.saved().unwrap();
    let change = &document.history[0];
    assert_eq!((change.caller.as_str(), change.summary.as_str()), ("local", "events_off"));
    let read = guest_mail::present(&fixture.world.reminders.guest_mail);
    assert!(!read.sends(GuestMailEvent::Extended));
}

#[tokio::test]
async fn nothing_is_saved_that_is_not_valid_that_others_have_changed_or_that_is_only_checked() {
    let fixture = fixture();
    fixture.update(settings(true), 0, false).await.unwrap();
    fixture.update(settings(true), 0, false).await.unwrap();

    fixture.update(settings(false), 0, true).await.unwrap();
    let invalid = v1::GuestMailSettings { sender: 0, ..settings(true) };
    let invalid = fixture.update(invalid, 0, false).await.unwrap_err();
    let stale = v1::GuestMailSettings { etag: "g1".to_owned(), ..settings(false) };
    let stale = fixture.update(stale, 0, false).await.unwrap_err();

    assert_eq!(reason(&invalid), "INVALID_GUEST_MAIL_SETTINGS");
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(fixture.get().await.generation, 2);
}

#[tokio::test]
async fn switching_mail_on_again_sends_no_herd_unseen() {
    let fixture = fixture();
    fixture.update(settings(false), 0, false).await.unwrap();
    for id in ["anna", "ben"] {
        fixture.world.put(guest(id, "2026-05-02T00:00:00Z")).await;
    }

    let counted = fixture.update(settings(true), 0, true).await.unwrap();
    let refused = fixture.update(settings(true), 1, false).await.unwrap_err();
    let saved = fixture.update(settings(true), 2, false).await.unwrap();
    let again = fixture.update(settings(true), 0, false).await.unwrap();

    assert_eq!(reason(&refused), "TOO_MANY_REMINDERS_DUE");
    assert_eq!((counted.due_count, saved.due_count, again.due_count), (2, 2, 0));
}

#[tokio::test]
async fn a_preview_says_that_guest_mail_is_off() {
    use nuncio_api::v1::reminder_service_server::ReminderService as _;

    let fixture = fixture();
    fixture.world.put(guest("anna", "2026-05-02T00:00:00Z")).await;
    fixture.update(settings(false), 0, false).await.unwrap();
    let reminders = fixture.world.reminders.clone();
    let service = ReminderApi { reminders, settings: Arc::clone(&fixture.service.settings) };
    let guests = v1::ReminderRule {
        enabled: true,
        stages: vec![v1::ReminderStage {
            before: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
            portal: String::new(),
        }],
        copy_to_sponsor: false,
    };
    let request = v1::PreviewRemindersRequest {
        reminder_settings: Some(v1::ReminderSettings {
            guests: Some(guests),
            ..v1::ReminderSettings::default()
        }),
        ..v1::PreviewRemindersRequest::default()
    };

    let preview = service.preview_reminders(Request::new(request)).await.unwrap().into_inner();

    assert_eq!(preview.reminder_count, 0);
    assert_eq!(preview.not_reminded_counts, [("GUEST_MAIL_OFF".to_owned(), 1)].into());
}
