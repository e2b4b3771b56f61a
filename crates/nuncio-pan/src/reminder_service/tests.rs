//! The service over a store in memory and the embedded settings.

use std::sync::Arc;
use std::time::Duration;

use nuncio_api::convert::time::duration;
use nuncio_api::v1;
use nuncio_api::v1::reminder_service_server::ReminderService as _;
use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use nuncio_core::directory::guest::GuestState;
use nuncio_core::directory::user::UserKind;
use nuncio_core::ports::settings::SettingsShare as _;
use nuncio_core::settings::document::SettingsDocument;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::ReminderApi;
use crate::reminders::tests::world::{World, at, guest, user};

struct Fixture {
    world: World,
    service: ReminderApi,
    _folder: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let keys = load_keys(folder.path(), None).unwrap();
    let settings = Arc::new(EmbeddedCluster::open(folder.path(), keys).unwrap());
    let mut world = World::new(&[72]);
    world.reminders.settings = settings.document(SettingsDocument::Reminders);
    world.reminders.guest_mail = settings.document(SettingsDocument::GuestMail);
    let service = ReminderApi { reminders: world.reminders.clone(), settings };
    Fixture { world, service, _folder: folder }
}

impl Fixture {
    async fn update(
        &self,
        settings: v1::ReminderSettings,
        max_due_count: i64,
        validate_only: bool,
    ) -> Result<v1::UpdateReminderSettingsResponse, Status> {
        let reminder_settings = Some(settings);
        let request =
            v1::UpdateReminderSettingsRequest { reminder_settings, max_due_count, validate_only };
        let response = self.service.update_reminder_settings(Request::new(request)).await?;
        Ok(response.into_inner())
    }

    async fn get(&self) -> v1::ReminderSettings {
        let request = Request::new(v1::GetReminderSettingsRequest {});
        let response = self.service.get_reminder_settings(request).await.unwrap();
        response.into_inner().reminder_settings.unwrap()
    }

    async fn preview(
        &self,
        request: v1::PreviewRemindersRequest,
    ) -> Result<v1::PreviewRemindersResponse, Status> {
        Ok(self.service.preview_reminders(Request::new(request)).await?.into_inner())
    }
}

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

/// Guests are reminded at these hours before the expiry.
fn settings(stages: &[u64]) -> v1::ReminderSettings {
    let stages = stages.iter().map(|before| v1::ReminderStage {
        before: Some(duration(hours(*before))),
        portal: String::new(),
    });
    let guests =
        v1::ReminderRule { enabled: true, stages: stages.collect(), copy_to_sponsor: false };
    v1::ReminderSettings { guests: Some(guests), ..Default::default() }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test]
async fn nobody_is_reminded_until_settings_are_saved_and_each_change_is_noted() {
    let fixture = fixture();

    let defaults = fixture.get().await;
    let saved = fixture.update(settings(&[72, 168]), 0, false).await.unwrap();
    let saved = saved.reminder_settings.unwrap();

    assert!(!defaults.guests.unwrap().enabled);
    assert_eq!((defaults.etag.as_str(), defaults.generation), ("", 0));
    assert_eq!(fixture.get().await, saved);
    assert_eq!((saved.etag.as_str(), saved.generation), ("g1", 1));
    let document = fixture.service.saved().unwrap();
    assert_eq!(document.history[0].summary, "guests: on, 7d 3d");
}

#[tokio::test]
async fn a_herd_is_not_sent_unseen() {
    let fixture = fixture();
    for id in ["anna", "ben", "cleo"] {
        fixture.world.put(guest(id, "2026-05-02T00:00:00Z")).await;
    }

    let counted = fixture.update(settings(&[72]), 0, true).await.unwrap();
    let refused = fixture.update(settings(&[72]), 2, false).await.unwrap_err();
    let nothing = fixture.get().await.generation;
    let saved = fixture.update(settings(&[72]), 3, false).await.unwrap();

    assert_eq!((counted.due_count, saved.due_count, nothing), (3, 3, 0));
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused), "TOO_MANY_REMINDERS_DUE");
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["due_count"], "3");
}

#[tokio::test]
async fn an_update_of_settings_that_others_have_changed_is_refused() {
    let fixture = fixture();
    fixture.update(settings(&[72]), 0, false).await.unwrap();
    fixture.update(settings(&[48]), 0, false).await.unwrap();

    let old = v1::ReminderSettings { etag: "g1".to_owned(), ..settings(&[24]) };
    let refused = fixture.update(old, 0, false).await.unwrap_err();

    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
}

#[tokio::test]
async fn a_preview_tells_who_gets_what_and_when_and_why_others_do_not() {
    let fixture = fixture();
    let mut bare = guest("ben", "2026-05-05T12:00:00Z");
    bare.email = None;
    let mut suspended = guest("cleo", "2026-05-05T12:00:00Z");
    suspended.state = GuestState::Suspended;
    fixture.world.put(guest("anna", "2026-05-05T23:00:00Z")).await;
    fixture.world.put(bare).await;
    fixture.world.put(suspended).await;
    fixture.world.put(guest("dora", "2026-07-01T00:00:00Z")).await;
    fixture.world.put(user("root", UserKind::Administrator, "2026-05-05T00:00:00Z")).await;
    let quiet_hours = Some(v1::QuietHours { start: "21:00".into(), end: "07:00".into() });

    let request = v1::PreviewRemindersRequest {
        reminder_settings: Some(v1::ReminderSettings { quiet_hours, ..settings(&[72]) }),
        include_not_reminded: true,
        ..Default::default()
    };
    let guests = fixture.preview(request.clone()).await.unwrap();
    let page_token = guests.next_page_token.clone();
    let users = fixture.preview(v1::PreviewRemindersRequest { page_token, ..request }).await;
    let users = users.unwrap();

    assert_eq!((guests.subject_count, guests.reminder_count), (4, 1));
    let anna = &guests.forecasts[0];
    assert_eq!(
        (anna.subject.as_str(), anna.address.as_str()),
        ("guests/anna", "anna@guest.example")
    );
    assert_eq!(anna.send_time.unwrap().seconds, at("2026-05-03T07:00:00Z").as_second());
    assert!(anna.put_off);
    let why: Vec<_> =
        guests.forecasts[1..].iter().map(v1::ReminderForecast::not_reminded).collect();
    assert_eq!(
        why,
        [v1::NotReminded::NoAddress, v1::NotReminded::Suspended, v1::NotReminded::Later]
    );
    assert_eq!(users.not_reminded_counts["SWITCHED_OFF"], 1);
    assert_eq!(users.next_page_token, "");
    assert!(fixture.world.jobs().await.is_empty());
}

#[tokio::test]
async fn a_preview_goes_through_all_pages_and_can_look_at_one() {
    let fixture = fixture();
    for number in 0..7 {
        fixture.world.put(guest(&format!("guest-{number}"), "2026-05-05T00:00:00Z")).await;
    }
    let request = v1::PreviewRemindersRequest {
        reminder_settings: Some(settings(&[72, 24])),
        page_size: 3,
        ..Default::default()
    };

    let (mut pages, mut names, mut page_token) = (0, Vec::new(), String::new());
    loop {
        let next = v1::PreviewRemindersRequest { page_token, ..request.clone() };
        let page = fixture.preview(next).await.unwrap();
        names.extend(page.forecasts.into_iter().map(|one| one.subject));
        (pages, page_token) = (pages + 1, page.next_page_token);
        if page_token.is_empty() {
            break;
        }
    }
    let subject = "guests/guest-4".to_owned();
    let one = fixture.preview(v1::PreviewRemindersRequest { subject, ..request }).await.unwrap();

    assert_eq!((pages, names.len()), (4, 14));
    assert_eq!((one.subject_count, one.reminder_count), (1, 2));
}

#[tokio::test]
async fn bad_previews_are_refused_with_their_reasons() {
    let fixture = fixture();
    let request = |change: fn(&mut v1::PreviewRemindersRequest)| {
        let mut request = v1::PreviewRemindersRequest::default();
        change(&mut request);
        request
    };

    for (request, expected) in [
        (request(|one| one.horizon = Some(duration(hours(24 * 400)))), "INVALID_PREVIEW"),
        (request(|one| one.page_size = -1), "INVALID_PAGE_SIZE"),
        (request(|one| one.page_token = "cng".to_owned()), "INVALID_PAGE_TOKEN"),
        (request(|one| one.subject = "anna".to_owned()), "INVALID_NAME"),
        (request(|one| one.reminder_settings = Some(settings(&[0]))), "INVALID_REMINDER_SETTINGS"),
    ] {
        assert_eq!(reason(&fixture.preview(request).await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn the_ledger_of_somebody_tells_what_was_sent_and_what_was_passed_over() {
    let fixture = fixture();
    fixture.world.put(guest("anna", "2026-05-02T00:00:00Z")).await;
    fixture.update(settings(&[168, 72]), 1, false).await.unwrap();
    fixture.world.reminders.sweep::<nuncio_core::directory::guest::Guest>().await.unwrap();
    fixture.world.reminders.round().await.unwrap();

    let mut request = v1::ListRemindersRequest {
        subject: "guests/anna".to_owned(),
        page_size: 1,
        page_token: String::new(),
    };
    let mut rows = Vec::new();
    loop {
        let page = fixture.service.list_reminders(Request::new(request.clone())).await.unwrap();
        let page = page.into_inner();
        rows.extend(page.reminders);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }

    let told: Vec<_> =
        rows.iter().map(|row| (row.before.unwrap().seconds, row.outcome())).collect();
    assert_eq!(
        told,
        [(72 * 3600, v1::ReminderOutcome::Mailed), (168 * 3600, v1::ReminderOutcome::Superseded)]
    );
    assert!(rows[0].mail_job.starts_with("mailJobs/"), "{rows:?}");
}
