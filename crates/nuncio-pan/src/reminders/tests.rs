//! Reminders over a store in memory.

mod guest_mail;
pub(crate) mod world;
mod year;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nuncio_core::class::MailClass;
use nuncio_core::directory::guest::{Guest, GuestId, GuestState};
use nuncio_core::directory::user::UserKind;
use nuncio_core::job::JobState;
use nuncio_core::ports::clock::Clock as _;
use nuncio_core::ports::job_store::JobStore as _;
use nuncio_core::ports::records::RecordStore as _;
use nuncio_core::reminder::Channel;
use nuncio_core::reminder::ledger::{LEDGER, LEDGER_RETENTION};
use nuncio_core::reminder::rules::{ReminderSettings, Rule, Stage};
use nuncio_directory::directory::Wanted;
use nuncio_runtime::clock::TestClock;
use nuncio_store::memory::MemoryJobStore;
use tokio_util::sync::CancellationToken;

use super::ledger::LedgerOutcome;
use world::*;

#[tokio::test]
async fn a_guest_is_reminded_when_the_stage_comes_and_once() {
    let world = World::new(&[72]);
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;

    world.round_at("2026-05-07T11:59:59Z").await;
    let before = world.jobs().await;
    for moment in ["2026-05-07T12:00:00Z", "2026-05-07T12:00:01Z", "2026-05-09T00:00:00Z"] {
        world.round_at(moment).await;
    }

    let jobs = world.jobs().await;
    assert_eq!((before.len(), jobs.len()), (0, 1));
    assert_eq!(jobs[0].class, MailClass::Reminder);
    assert_eq!(jobs[0].recipients[0].address.as_str(), "anna@guest.example");
    assert_eq!(jobs[0].template.as_deref(), Some("templates/guest-expiry"));
    assert_eq!(jobs[0].expires_at, at("2026-05-10T12:00:00Z"));
    let row = &world.ledger("guests/anna").await[0];
    assert_eq!(row.outcome, LedgerOutcome::Mailed(jobs[0].id));
    assert_eq!(*world.told.sent.lock().unwrap(), [(Channel::Subject, Duration::ZERO)]);
    assert_eq!(world.guest("anna").await.due_at, Some(at("2026-05-10T12:00:00Z")));
}

#[tokio::test]
async fn the_state_changes_when_the_access_ends() {
    let world = World::new(&[72]);
    let mut suspended = guest("ben", "2026-05-10T12:00:00Z");
    suspended.state = GuestState::Suspended;
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;
    world.put(suspended).await;

    world.round_at("2026-05-10T11:59:59Z").await;
    let before = world.guest("anna").await.subject.state;
    world.round_at("2026-05-10T12:00:00Z").await;

    assert_eq!(before, GuestState::Active);
    for id in ["anna", "ben"] {
        let after = world.guest(id).await;
        assert_eq!((after.subject.state, after.due_at), (GuestState::Expired, None));
    }
    assert_eq!(world.told.expired.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn after_a_downtime_the_most_urgent_stage_is_sent_and_the_others_are_noted() {
    let world = World::new(&[168, 72, 24]);
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;

    world.round_at("2026-05-09T18:00:00Z").await;

    let rows = world.ledger("guests/anna").await;
    let outcomes: Vec<_> = rows
        .iter()
        .map(|row| (row.key.before.as_secs() / 3600, row.outcome == LedgerOutcome::Superseded))
        .collect();
    assert_eq!(outcomes, [(24, false), (72, true), (168, true)]);
    assert_eq!(world.jobs().await.len(), 1);
    assert_eq!(world.told.sent.lock().unwrap()[0].1, Duration::from_hours(6));
    assert_eq!(world.told.superseded.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_password_is_reminded_of_by_the_rule_of_its_kind_at_the_alias_address() {
    let world = World::new(&[72]);
    let rule = |days| Rule {
        is_enabled: true,
        stages: vec![Stage::at(DAY * days)],
        copy_to_sponsor: false,
    };
    world.save(&ReminderSettings {
        administrators: rule(30),
        network_users: rule(2),
        ..ReminderSettings::default()
    });
    let mut root = user("root", UserKind::Administrator, "2026-06-01T00:00:00Z");
    root.alias_email = Some("admins@contoso.example".parse().unwrap());
    world.put(root).await;
    world.put(user("uma", UserKind::NetworkUser, "2026-06-01T00:00:00Z")).await;

    world.round_at("2026-05-10T00:00:00Z").await;
    let first = world.jobs().await;
    world.round_at("2026-05-30T00:00:00Z").await;
    let both = world.jobs().await;
    world.round_at("2026-06-02T00:00:00Z").await;

    assert_eq!(first.len(), 1);
    assert_eq!(first[0].recipients[0].address.as_str(), "admins@contoso.example");
    assert_eq!(both.len(), 2);
    assert_eq!(both[1].template.as_deref(), Some("templates/password-expiry"));
    assert_eq!(world.jobs().await.len(), 2);
}

#[tokio::test]
async fn an_extension_cancels_what_waits_and_begins_anew() {
    let world = World::new(&[72]);
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;
    world.round_at("2026-05-07T12:00:00Z").await;

    world.change_guest("anna", |guest| guest.valid_to = at("2026-06-10T12:00:00Z")).await;
    let extended = world.mails().await;
    world.round_at("2026-05-07T12:00:01Z").await;
    let at_once = world.mails().await;
    world.round_at("2026-06-07T12:00:00Z").await;

    assert_eq!((extended, at_once), ((0, 1), (0, 1)));
    assert_eq!(world.mails().await, (1, 1));
}

#[tokio::test]
async fn who_is_suspended_gets_nothing_and_who_is_reinstated_gets_it_after_all() {
    let world = World::new(&[72]);
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;
    world.round_at("2026-05-07T12:00:00Z").await;

    world.change_guest("anna", |guest| guest.state = GuestState::Suspended).await;
    world.round_at("2026-05-08T00:00:00Z").await;
    let suspended = world.mails().await;
    world.change_guest("anna", |guest| guest.state = GuestState::Active).await;
    world.round_at("2026-05-08T01:00:00Z").await;
    world.round_at("2026-05-08T02:00:00Z").await;

    assert_eq!(suspended, (0, 1));
    assert_eq!(world.mails().await, (1, 1));
    assert_eq!(world.ledger("guests/anna").await.len(), 1);
}

#[tokio::test]
async fn a_mail_to_an_address_that_was_wrong_is_sent_to_the_right_one_if_it_still_waits() {
    let world = World::new(&[72]);
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;
    world.round_at("2026-05-07T12:00:00Z").await;

    let right = "anna.right@guest.example";
    world.change_guest("anna", |guest| guest.email = Some(right.parse().unwrap())).await;
    world.round_at("2026-05-07T12:01:00Z").await;

    let jobs = world.jobs().await;
    let told: Vec<_> =
        jobs.iter().map(|job| (job.recipients[0].address.as_str(), job.state)).collect();
    assert_eq!(told, [("anna@guest.example", JobState::Cancelled), (right, JobState::Queued)]);
}

#[tokio::test]
async fn a_mail_of_somebody_who_is_removed_is_cancelled() {
    let world = World::new(&[72]);
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;
    world.round_at("2026-05-07T12:00:00Z").await;

    let (anna, now) = (GuestId::parse("anna").unwrap(), world.clock.now());
    let remove = |_: Option<&_>| Ok::<_, ()>(Wanted::<Guest>::Remove);
    world.directory().change(&anna, now, remove).await.unwrap();
    world.round_at("2026-05-09T12:00:00Z").await;

    assert_eq!(world.mails().await, (0, 1));
}

#[tokio::test]
async fn a_mail_that_still_waits_when_a_more_urgent_one_is_made_is_cancelled() {
    let world = World::new(&[72, 24]);
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;

    world.round_at("2026-05-07T12:00:00Z").await;
    world.round_at("2026-05-09T12:00:00Z").await;

    assert_eq!(world.mails().await, (1, 1));
    assert_eq!(world.ledger("guests/anna").await.len(), 2);
}

#[tokio::test]
async fn guest_and_sponsor_get_a_mail_each() {
    let world = World::new(&[72]);
    let mut settings = stages(&[72]);
    settings.guests.copy_to_sponsor = true;
    world.save(&settings);
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;

    world.round_at("2026-05-07T12:00:00Z").await;

    let jobs = world.jobs().await;
    let told: Vec<_> = jobs.iter().map(|job| job.recipients[0].address.as_str()).collect();
    assert_eq!(told, ["anna@guest.example", "sam@contoso.example"]);
}

#[tokio::test]
async fn texts_that_do_not_exist_and_a_language_that_is_none_cost_nobody_a_reminder() {
    let world = World::new(&[72]);
    let mut settings = stages(&[72]);
    settings.guests.stages[0].portal = Some("gone".to_owned());
    world.save(&settings);
    let mut anna = guest("anna", "2026-05-10T12:00:00Z");
    anna.language = "no language".to_owned();
    world.put(anna).await;

    world.round_at("2026-05-07T12:00:00Z").await;

    assert_eq!(world.jobs().await[0].template.as_deref(), Some("templates/guest-expiry"));
}

#[tokio::test]
async fn new_settings_count_for_those_who_are_there_already() {
    let world = World::new(&[72]);
    world.save(&ReminderSettings::default());
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;
    world.put(guest("ben", "2026-05-20T12:00:00Z")).await;
    world.round_at("2026-05-08T12:00:00Z").await;
    let off = world.jobs().await.len();

    world.save(&stages(&[72]));
    world.reminders.sweep::<Guest>().await.unwrap();
    world.round_at("2026-05-08T12:00:01Z").await;
    let anna = world.jobs().await.len();
    world.round_at("2026-05-17T12:00:00Z").await;

    assert_eq!((off, anna), (0, 1));
    assert_eq!(world.jobs().await.len(), 2);
}

#[tokio::test]
async fn two_pans_at_once_double_nothing() {
    let store = Arc::new(MemoryJobStore::default());
    // Each waits before each commit, so that the other has read the same.
    let waiting = Arc::new(CutStore::new(Arc::clone(&store), u32::MAX, Cut::Before));
    let world = World::over(store, waiting, &[168, 72]);
    for index in 0..500 {
        world.put(guest(&format!("guest-{index}"), "2026-05-10T12:00:00Z")).await;
    }
    world.clock.set(at("2026-05-07T12:00:00Z"));

    let (one, other) = (world.reminders.clone(), world.reminders.clone());
    let (one, other) = tokio::join!(one.round(), other.round());
    one.and(other).unwrap();
    world.reminders.round().await.unwrap();

    let mut names: Vec<_> =
        world.jobs().await.iter().map(|job| job.recipients[0].address.to_string()).collect();
    names.sort();
    names.dedup();
    assert_eq!((names.len(), world.jobs().await.len()), (500, 500));
    assert_eq!(world.store.count_records(LEDGER).await.unwrap(), 1000);
    assert_eq!(world.told.sent.lock().unwrap().len(), 500);
}

#[tokio::test]
async fn a_pan_that_dies_at_any_commit_doubles_and_misses_nothing() {
    for cut in [Cut::Before, Cut::After] {
        for commit in 0..40 {
            let store = Arc::new(MemoryJobStore::default());
            let dying = Arc::new(CutStore::new(Arc::clone(&store), commit, cut));
            let world = World::over(store, Arc::<CutStore>::clone(&dying) as _, &[72, 24]);
            for index in 0..5 {
                let (id, hour) = (format!("guest-{index}"), 12 + index);
                world.put(guest(&id, &format!("2026-05-10T{hour}:00:00Z"))).await;
            }
            for hour in 0..(24 * 5) {
                world.clock.set(at("2026-05-06T12:00:00Z") + Duration::from_hours(hour));
                // A round that dies is taken up by the next life.
                if world.reminders.round().await.is_err() {
                    world.reminders.round().await.unwrap();
                }
            }

            let jobs = world.jobs().await;
            assert_eq!(jobs.len(), 10, "{cut:?} commit {commit}");
            for index in 0..5 {
                let id = format!("guest-{index}");
                assert_eq!(world.guest(&id).await.subject.state, GuestState::Expired);
                assert_eq!(world.ledger(&format!("guests/{id}")).await.len(), 2);
            }
            // 5 guests: two mails and one end each.
            assert_eq!(dying.is_cut(), commit < 15, "{cut:?} commit {commit}");
        }
    }
}

#[tokio::test]
async fn rows_of_the_ledger_go_long_after_the_expiry() {
    let world = World::new(&[72]);
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;
    world.round_at("2026-05-07T12:00:00Z").await;

    let over = at("2026-05-10T12:00:00Z") + LEDGER_RETENTION;
    world.clock.set(over - Duration::from_secs(1));
    world.reminders.prune().await.unwrap();
    let kept = world.store.count_records(LEDGER).await.unwrap();
    world.clock.set(over);
    world.reminders.prune().await.unwrap();

    assert_eq!((kept, world.store.count_records(LEDGER).await.unwrap()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn it_sleeps_until_the_next_is_due_and_wakes_for_changes() {
    let mut world = World::new(&[72]);
    let clock = Arc::new(TestClock::starting_at(at("2026-05-01T00:00:00Z")));
    world.reminders.intake.clock = Arc::<TestClock>::clone(&clock);
    world.put(guest("anna", "2026-05-10T12:00:00Z")).await;
    let stop = CancellationToken::new();
    let running = world.reminders.clone();
    let life = async {
        running.run(stop.clone()).await.unwrap();
    };
    let script = async {
        let mut changes = world.store.changed();
        changes.changed().await.unwrap();
        let first = clock.now();
        world.clock.set(first);
        world.put(guest("ben", &(first + DAY).to_string())).await;
        changes.changed().await.unwrap();
        stop.cancel();
        (first, clock.now())
    };

    let ((), (first, second)) = tokio::join!(life, script);

    let late = |moment: jiff::Timestamp, due: jiff::Timestamp| moment.duration_since(due).as_secs();
    assert!((0..=1).contains(&late(first, at("2026-05-07T12:00:00Z"))), "{first}");
    assert!((0..=1).contains(&late(second, first)), "{second}");
}
